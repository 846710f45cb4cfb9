/**
 * What a ledger is, said as simply as possible: maps of bigints, changed in place, put back when a request fails.
 * It knows nothing of events, streams or the code that it is compared with.
 */
const largest = 2n ** 63n - 1n;
const smallest = -(2n ** 63n);

export interface Movement {
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
}

export interface ModelAccount {
  readonly currency: string;
  /** How far below zero it may go; unlimited is as far as an amount can say. */
  readonly limit: bigint;
  closed: boolean;
  balance: bigint;
  pendingIn: bigint;
  pendingOut: bigint;
  /** How many events it took part in. */
  version: number;
}

interface ModelTransaction {
  status: 'pending' | 'posted' | 'voided' | 'expired';
  movements: readonly Movement[];
  readonly request: string;
  readonly deadline?: number;
  readonly reverses?: string;
  reversedBy?: string;
}

/** `done` changed something, `same` was a repetition that changed nothing; anything else is a code. */
export type Result = string;

export class LedgerModel {
  readonly accounts = new Map<string, ModelAccount>();
  readonly transactions = new Map<string, ModelTransaction>();

  open(id: string, currency: string, limit: bigint | undefined): Result {
    const known = this.accounts.get(id);
    if (known) return known.currency === currency && known.limit === (limit ?? largest) ? 'same' : 'account-exists';
    const zero = { closed: false, balance: 0n, pendingIn: 0n, pendingOut: 0n, version: 1 };
    this.accounts.set(id, { currency, limit: limit ?? largest, ...zero });
    return 'done';
  }

  close(id: string): Result {
    const account = this.accounts.get(id);
    if (!account) return 'account-not-found';
    if (account.closed) return 'same';
    if (account.balance !== 0n || account.pendingIn !== 0n || account.pendingOut !== 0n) return 'account-not-empty';
    account.closed = true;
    account.version++;
    return 'done';
  }

  post(id: string, movements: readonly Movement[], pending: boolean, seconds: number | undefined, now: number): Result {
    const request = JSON.stringify([pending, seconds ?? null, movements.map(({ from, to, amount }) => [from, to, `${amount}`])]);
    const known = this.transactions.get(id);
    if (known) return known.request === request ? 'same' : 'transaction-exists';
    const refusal = this.move(movements, pending);
    if (refusal) return refusal;
    const deadline = seconds === undefined ? undefined : now + seconds * 1_000;
    this.transactions.set(id, { status: pending ? 'pending' : 'posted', movements, request, deadline });
    return 'done';
  }

  capture(id: string, part: bigint | undefined, now: number): Result {
    const transaction = this.transactions.get(id);
    const refusal = this.whyNotPending(id, now);
    if (!transaction || refusal) return refusal!;
    const { movements } = transaction;
    const currencies = new Set(movements.map(({ from }) => this.accounts.get(from)!.currency));
    if (part !== undefined && currencies.size > 1) return 'partial-capture-not-supported';
    const pending = movements.reduce((sum, { amount }) => sum + amount, 0n);
    if (part !== undefined && part > pending) return 'capture-exceeds-pending';
    if (part !== undefined && part < pending && movements.length > 1) return 'partial-capture-not-supported';
    this.release(movements);
    const moved = movements.map((movement) => ({ ...movement, amount: movements.length > 1 ? movement.amount : (part ?? movement.amount) }));
    for (const { from, to, amount } of moved) {
      this.accounts.get(from)!.balance -= amount;
      this.accounts.get(to)!.balance += amount;
    }
    Object.assign(transaction, { status: 'posted', movements: moved });
    return 'done';
  }

  void(id: string, now: number): Result {
    const refusal = this.whyNotPending(id, now);
    if (refusal) return refusal;
    this.end(id, 'voided');
    return 'done';
  }

  expire(id: string): Result {
    if (this.transactions.get(id)?.status !== 'pending') return 'same';
    this.end(id, 'expired');
    return 'done';
  }

  reverse(id: string, reversalId: string): Result {
    const original = this.transactions.get(id);
    if (!original) return 'transaction-not-found';
    if (original.reversedBy === reversalId) return 'same';
    if (original.reversedBy !== undefined) return 'already-reversed';
    if (original.status !== 'posted' || original.reverses !== undefined) return 'not-reversible';
    if (this.transactions.has(reversalId)) return 'transaction-exists';
    const movements = original.movements.map(({ from, to, amount }) => ({ from: to, to: from, amount })).reverse();
    const refusal = this.move(movements, false);
    if (refusal) return refusal;
    original.reversedBy = reversalId;
    this.transactions.set(reversalId, { status: 'posted', movements, request: 'a reversal', reverses: id });
    return 'done';
  }

  available({ balance, pendingOut, limit }: ModelAccount): bigint {
    const available = balance - pendingOut + limit;
    return available > largest ? largest : available;
  }

  /** Moves the money or sets it aside; or says why not, and changes nothing. */
  private move(movements: readonly Movement[], pending: boolean): Result | undefined {
    const ids = new Set(movements.flatMap(({ from, to }) => [from, to]));
    const accounts = [...ids].map((id) => this.accounts.get(id));
    if (accounts.includes(undefined)) return 'account-not-found';
    if (accounts.some((account) => account!.closed)) return 'account-closed';
    const currencyOf = (id: string) => this.accounts.get(id)!.currency;
    if (movements.some(({ from, to }) => currencyOf(from) !== currencyOf(to))) return 'currency-mismatch';
    if (movements.some(({ from, to }) => from === to)) return 'same-account';

    const before = new Map([...ids].map((id) => [id, { ...this.accounts.get(id)! }]));
    let short = false;
    let outOfRange = false;
    for (const { from, to, amount } of movements) {
      const [source, destination] = [this.accounts.get(from)!, this.accounts.get(to)!];
      if (amount > this.available(source)) short = true;
      if (pending) {
        source.pendingOut += amount;
        destination.pendingIn += amount;
      } else {
        source.balance -= amount;
        destination.balance += amount;
      }
      for (const { balance, pendingIn, pendingOut } of [source, destination]) {
        const extremes = [balance + pendingIn, balance - pendingOut, pendingIn, pendingOut];
        if (extremes.some((value) => value > largest || value < smallest)) outOfRange = true;
      }
    }
    if (outOfRange || short) {
      for (const [id, account] of before) this.accounts.set(id, account);
      return outOfRange ? 'amount-out-of-range' : 'insufficient-funds';
    }
    this.count(movements);
    return undefined;
  }

  private whyNotPending(id: string, now: number): Result | undefined {
    const transaction = this.transactions.get(id);
    if (!transaction) return 'transaction-not-found';
    const isLate = transaction.deadline !== undefined && transaction.deadline <= now;
    return transaction.status === 'pending' && !isLate ? undefined : 'not-pending';
  }

  private end(id: string, status: 'voided' | 'expired'): void {
    const transaction = this.transactions.get(id)!;
    this.release(transaction.movements);
    transaction.status = status;
  }

  private release(movements: readonly Movement[]): void {
    for (const { from, to, amount } of movements) {
      this.accounts.get(from)!.pendingOut -= amount;
      this.accounts.get(to)!.pendingIn -= amount;
    }
    this.count(movements);
  }

  private count(movements: readonly Movement[]): void {
    for (const id of new Set(movements.flatMap(({ from, to }) => [from, to]))) this.accounts.get(id)!.version++;
  }
}
