import type { Overdraft, Transfer } from './actions.js';
import { numbersOf, outcomeOf, type Operation, type Outcome } from './history.js';
import type { Call, Model } from './linearizability.js';

/**
 * Accounts as objects that do one thing after the other. A transfer is a call of its source and one of its
 * destination, with the balances it was answered with; a refusal for lack of funds is one of the account that has not
 * got them. Reads are not calls: they are answered from views, which promise no more than their token (C8, C9).
 *
 * Weaker than it could be: whether both halves of a transfer happened at once is for the log to say (C1, L2), and
 * what becomes of a pending transaction is left to its answers.
 */
export interface AccountCall {
  readonly what: 'open' | 'close' | 'move' | 'lack' | 'absent' | 'not empty';
  readonly overdraft?: Overdraft;
  /** What it adds to the balance, and to what is pending out. */
  readonly balance?: bigint;
  readonly pendingOut?: bigint;
  /** What must be available. With `lack`: what was not. */
  readonly needs?: bigint;
  readonly says?: { readonly balance: string; readonly available: string };
  readonly entries: readonly number[];
}

const maxAmount = 2n ** 63n - 1n;

export class Account implements Model<AccountCall> {
  private status: 'absent' | 'open' | 'closed' = 'absent';
  private limit = 0n;
  private balance = 0n;
  private pendingOut = 0n;

  take(call: AccountCall): (() => void) | undefined {
    const { what, needs = 0n } = call;
    switch (what) {
      case 'absent':
        return this.status === 'absent' ? nothing : undefined;
      case 'lack':
        return this.status === 'open' && this.available < needs ? nothing : undefined;
      case 'not empty':
        // What is pending in counts too, and is not followed here.
        return this.status === 'open' ? nothing : undefined;
      case 'open':
        return this.status === 'absent' ? this.become('open', call) : undefined;
      case 'close':
        // Closing a closed account is done, and changes nothing.
        return this.status === 'closed' || (this.balance === 0n && this.pendingOut === 0n) ? this.become('closed', call) : undefined;
      case 'move':
        return this.status === 'open' && (needs === 0n || this.available >= needs) ? this.become('open', call) : undefined;
    }
  }

  name(): string {
    return `${this.status} ${this.balance} ${this.pendingOut}`;
  }

  private get available(): bigint {
    const available = this.balance - this.pendingOut + this.limit;
    return available > maxAmount ? maxAmount : available;
  }

  private become(status: 'open' | 'closed', call: AccountCall): (() => void) | undefined {
    const { balance = 0n, pendingOut = 0n, overdraft, says } = call;
    const before = { status: this.status, limit: this.limit, balance: this.balance, pendingOut: this.pendingOut };
    const undo = () => void Object.assign(this, before);
    this.status = status;
    this.balance += balance;
    this.pendingOut += pendingOut;
    if (overdraft) this.limit = overdraft === 'none' ? 0n : overdraft === 'unlimited' ? maxAmount : BigInt(overdraft.limit);
    if (!says || (says.balance === String(this.balance) && says.available === String(this.available))) return undo;
    undo();
    return undefined;
  }
}

const nothing = () => undefined;

/**
 * Each account's calls, by `account/<ledger>/<id>`. Left out are accounts whose opening is not part of the history, and
 * those that orders pay from or to: what a checkout does to them is seen by no client.
 */
export function accountCalls(operations: readonly Operation[]): { calls: Map<string, Call<AccountCall>[]>; leftOut: Set<string> } {
  const calls = new Map<string, Call<AccountCall>[]>();
  const leftOut = new Set<string>();
  const opened = new Set<string>();
  const add = (operation: Operation, ledger: string, accountId: string, call: Omit<AccountCall, 'entries'>, afterMs = 0) => {
    const name = `account/${ledger}/${accountId}`;
    const isOpen = afterMs > 0 || outcomeOf(operation).kind === 'open';
    const own = calls.get(name) ?? [];
    calls.set(name, own);
    own.push({
      input: { ...call, entries: numbersOf(operation) },
      invokedAtMs: operation.invokedAtMs + afterMs,
      ...(!isOpen && { endedAtMs: operation.endedAtMs! }),
    });
  };
  const transactions = transactionsOf(operations);

  for (const operation of operations) {
    const { action } = operation;
    if (action.kind === 'place-order') {
      leftOut.add(`account/${action.ledger}/${action.account}`).add(`account/${action.ledger}/merchant`);
    }
    const outcome = outcomeOf(operation);
    if (outcome.kind === 'not tried') continue;
    switch (action.kind) {
      case 'open-account': {
        const { ledger, accountId, overdraft } = action;
        // 200: it was there already.
        if (outcome.kind === 'refused' || (outcome.kind === 'done' && outcome.status === 200)) break;
        opened.add(`account/${ledger}/${accountId}`);
        add(operation, ledger, accountId, { what: 'open', overdraft, says: outcome.kind === 'done' ? outcome.body : undefined });
        break;
      }
      case 'close-account': {
        const refusals = { 'account-not-found': 'absent', 'account-not-empty': 'not empty' } as const;
        const what = outcome.kind === 'refused' ? refusals[outcome.code as keyof typeof refusals] : 'close';
        if (what) add(operation, action.ledger, action.accountId, { what });
        break;
      }
      case 'transfer':
        if (isRepeated(outcome)) break;
        move(operation, outcome, action.ledger, action);
        break;
      case 'bulk-transfer':
        action.transfers.forEach((transfer, index) => move(operation, ofItem(outcome, index), action.ledger, transfer));
        break;
      case 'reverse': {
        const original = transactions.get(`${action.ledger}/${action.transactionId}`);
        if (!original) leaveOut(action.ledger, outcome);
        else move(operation, outcome, action.ledger, { source: original.destination, destination: original.source, amount: original.captured });
        break;
      }
      case 'authorise': {
        if (isRepeated(outcome)) break;
        const { ledger, source, amount, expiresInSeconds } = action;
        move(operation, outcome, ledger, action, { balance: 0n, pendingOut: BigInt(amount) });
        if (expiresInSeconds === undefined || outcome.kind === 'refused') break;
        add(operation, ledger, source, { what: 'move', pendingOut: -BigInt(amount) }, expiresInSeconds * 1_000);
        break;
      }
      case 'capture':
      case 'void': {
        if (outcome.kind === 'refused') break;
        const original = transactions.get(`${action.ledger}/${action.transactionId}`);
        if (!original) {
          leaveOut(action.ledger, outcome);
          break;
        }
        const amount = action.kind === 'void' ? 0n : BigInt(action.amount ?? original.amount);
        const says = balancesOf(outcome);
        const { source, destination } = original;
        const settled = { what: 'move', balance: -amount, pendingOut: -BigInt(original.amount), says: says?.[source] } as const;
        add(operation, action.ledger, source, settled);
        add(operation, action.ledger, destination, { what: 'move', balance: amount, says: says?.[destination] });
        break;
      }
    }
  }
  for (const name of calls.keys()) if (!opened.has(name)) leftOut.add(name);
  for (const name of leftOut) calls.delete(name);
  return { calls, leftOut };

  function move(
    operation: Operation,
    outcome: Outcome,
    ledger: string,
    { source, destination, amount }: Pick<Transfer, 'source' | 'destination' | 'amount'>,
    effect = { balance: -BigInt(amount), pendingOut: 0n },
  ): void {
    const needs = BigInt(amount);
    if (outcome.kind === 'refused') {
      // Which of the two is not there, or closed, is not said in so many words.
      if (outcome.code === 'insufficient-funds') add(operation, ledger, source, { what: 'lack', needs });
      return;
    }
    const says = balancesOf(outcome);
    add(operation, ledger, source, { what: 'move', ...effect, needs, says: says?.[source] });
    add(operation, ledger, destination, { what: 'move', balance: -effect.balance, says: says?.[destination] });
  }

  function leaveOut(ledger: string, outcome: Outcome): void {
    for (const accountId of Object.keys(balancesOf(outcome) ?? {})) leftOut.add(`account/${ledger}/${accountId}`);
  }
}

interface Known extends Pick<Transfer, 'source' | 'destination' | 'amount'> {
  /** What was booked of it in the end. */
  captured: string;
}

function transactionsOf(operations: readonly Operation[]): Map<string, Known> {
  const known = new Map<string, Known>();
  const learn = (ledger: string, { source, destination, amount, transactionId }: Transfer) =>
    known.set(`${ledger}/${transactionId}`, { source, destination, amount, captured: amount });
  for (const { action } of operations) {
    if (action.kind === 'transfer' || action.kind === 'authorise') learn(action.ledger, action);
    if (action.kind === 'bulk-transfer') for (const transfer of action.transfers) learn(action.ledger, transfer);
    if (action.kind === 'capture' && action.amount !== undefined) {
      const transaction = known.get(`${action.ledger}/${action.transactionId}`);
      if (transaction) transaction.captured = action.amount;
    }
  }
  return known;
}

/** 200 where a create is answered with 201: it was there already, under another key. */
function isRepeated(outcome: Outcome): boolean {
  return outcome.kind === 'done' && outcome.status === 200;
}

function ofItem(outcome: Outcome, index: number): Outcome {
  if (outcome.kind !== 'done') return outcome;
  const { status, code } = outcome.body.results[index];
  return status === 'refused' ? { kind: 'refused', status: 409, code } : { kind: 'done', status: 201, body: {} };
}

function balancesOf(outcome: Outcome): Record<string, { balance: string; available: string }> | undefined {
  return outcome.kind === 'done' ? outcome.body.balances : undefined;
}
