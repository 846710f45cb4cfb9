import {
  Rejection,
  type Decision,
  type DecisionContext,
  type ScheduledCommand,
  type States,
} from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Event, type Stream, type StreamType } from '../../../platform/log/stream.js';
import { maxAmount, minAmount } from '../../../shared/amount.js';
import { canonicalJson } from '../../../shared/canonical-json.js';
import { addSeconds } from '../../../shared/time.js';
import { accountNotFound, accountStream, availableOf, type AccountState } from './account.js';

// ---- Events. Each belongs to its transaction's stream and to those of all accounts of its postings.

export interface Posting {
  readonly source: string;
  readonly destination: string;
  readonly amount: string;
}

/** A posting with what it left behind, so that statements need no running sums. */
export interface BookedPosting extends Posting {
  readonly currency: string;
  readonly sourceBalance: string;
  readonly destinationBalance: string;
}

interface Origin {
  readonly ledger: string;
  readonly transactionId: string;
  readonly reference?: string;
  readonly metadata?: object;
}

export type TransactionPosted = Event<
  'ledger.transaction-posted.v1',
  Origin & {
    postings: readonly BookedPosting[];
    /** The transaction that this one reverses; the event belongs to its stream too. */
    reverses?: string;
  }
>;
export type TransactionAuthorised = Event<
  'ledger.transaction-authorised.v1',
  Origin & { postings: readonly Posting[]; expiresInSeconds?: number; expiresAt?: string }
>;
export type TransactionCaptured = Event<
  'ledger.transaction-captured.v1',
  {
    ledger: string;
    transactionId: string;
    /** `amount` is what was captured of `authorised`; the rest is released. */
    postings: readonly (BookedPosting & { authorised: string })[];
  }
>;
export type TransactionReleased = Event<
  'ledger.transaction-released.v1',
  { ledger: string; transactionId: string; reason: 'voided' | 'expired'; postings: readonly Posting[] }
>;
export type TransactionEvent =
  | TransactionPosted
  | TransactionAuthorised
  | TransactionCaptured
  | TransactionReleased;

// ---- State

/** What a client says of a transaction; its event says so too. */
interface Content {
  readonly postings: readonly Posting[];
  readonly expiresInSeconds?: number;
  readonly reference?: string;
  readonly metadata?: object;
}

export type TransactionStatus = 'pending' | 'posted' | 'voided' | 'expired';

export interface TransactionState {
  readonly transactionId: string;
  readonly status: 'absent' | TransactionStatus;
  /** As booked or authorised: those of the event itself, which may say more of each. */
  readonly postings: readonly Posting[];
  /** What the transaction was made of, to tell a repeated request from another one with the same id. */
  readonly content?: Content;
  readonly wasPending?: boolean;
  readonly expiresAt?: string;
  readonly reverses?: string;
  readonly reversedBy?: string;
  readonly recordedAt: string;
}

export const transactionType: StreamType<TransactionState, TransactionEvent> = {
  name: 'transaction',
  stateVersion: 2,
  stateBytes: (state) => 400 + state.postings.length * 300,
  initial: (id) => ({
    transactionId: id.slice(id.indexOf('/') + 1),
    status: 'absent',
    postings: [],
    recordedAt: '',
  }),
  evolve: evolveTransaction,
  // Most posted transactions are never looked at again; pending ones are, soon.
  isWorthKeeping: (state) => state.status === 'pending',
};

export function transactionStream(
  ledger: string,
  transactionId: string,
  isNew = false,
): Stream<TransactionState> {
  return stream(transactionType, `${ledger}/${transactionId}`, isNew);
}

export function streamsOfTransaction(data: TransactionEvent['data']): Stream[] {
  const streams: Stream[] = [transactionStream(data.ledger, data.transactionId)];
  if ('reverses' in data && data.reverses) streams.push(transactionStream(data.ledger, data.reverses));
  for (const accountId of accountsOf(data.postings)) streams.push(accountStream(data.ledger, accountId));
  return streams;
}

function evolveTransaction(
  state: TransactionState,
  event: TransactionEvent,
  recordedAt: string,
): TransactionState {
  const { data } = event;
  switch (event.type) {
    case 'ledger.transaction-posted.v1': {
      const { postings, reverses } = event.data;
      if (reverses === state.transactionId) return { ...state, reversedBy: data.transactionId };
      // Of the event as it is: hardly any posted transaction is asked for again, so nothing is copied for that.
      const { transactionId } = state;
      return { transactionId, status: 'posted', postings, content: event.data, wasPending: false, reverses, recordedAt };
    }
    case 'ledger.transaction-authorised.v1': {
      const { postings, expiresAt } = event.data;
      return { ...state, status: 'pending', postings, content: event.data, wasPending: true, expiresAt, recordedAt };
    }
    case 'ledger.transaction-captured.v1':
      return { ...state, status: 'posted', postings: event.data.postings };
    case 'ledger.transaction-released.v1':
      return { ...state, status: event.data.reason };
    default:
      return unknownEvent(event);
  }
}

const plain = ({ source, destination, amount }: Posting): Posting => ({ source, destination, amount });

// ---- Decisions

export interface PostTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
  /** The id was made by the server just now. */
  readonly isNew?: boolean;
  readonly postings: readonly Posting[];
  /** Of the amounts, where somebody else has set them: accounts in another one are refused. */
  readonly currency?: string;
  readonly pending?: boolean;
  readonly expiresInSeconds?: number;
  readonly reference?: string;
  readonly metadata?: object;
}

export interface TransactionAnswer {
  readonly transactionId: string;
  readonly status: TransactionStatus;
  readonly postings: readonly Posting[];
  readonly balances: Readonly<Record<string, { balance: string; available: string }>>;
  readonly recordedAt: string;
  readonly expiresAt?: string;
  readonly reverses?: string;
}

export function streamsToPost(input: PostTransactionInput): Stream[] {
  const streams: Stream[] = [transactionStream(input.ledger, input.transactionId, input.isNew)];
  for (const accountId of accountsOf(input.postings)) streams.push(accountStream(input.ledger, accountId));
  return streams;
}

/**
 * Moves money now (`posted`), or sets it aside for a capture (`pending`). All postings or none, each on what the
 * ones before it left. Refusals, in this order: transaction-exists, account-not-found, account-closed,
 * currency-mismatch, same-account, amount-out-of-range, insufficient-funds.
 */
export function postTransaction(
  states: States,
  input: PostTransactionInput,
  context: DecisionContext,
): Decision<TransactionAnswer> {
  const { ledger, transactionId } = input;
  const existing = states.of(transactionStream(ledger, transactionId, input.isNew));
  if (existing.status !== 'absent') return repeated(states, existing, input);
  const book = new Book(states, ledger, input.postings, input.currency);
  if (!input.pending) return posted(book, input, context);

  const expiresAt = expiryOf(input, context);
  const authorised: TransactionAuthorised = {
    type: 'ledger.transaction-authorised.v1',
    data: {
      ...originOf(input),
      postings: book.authorise(),
      ...(expiresAt && { expiresAt, expiresInSeconds: input.expiresInSeconds }),
    },
  };
  return {
    events: [authorised],
    created: true,
    answer: {
      transactionId,
      status: 'pending',
      postings: input.postings,
      balances: book.balances(),
      recordedAt: context.now,
      ...(expiresAt && { expiresAt }),
    },
    ...(expiresAt && { schedule: [expiryCommand(ledger, transactionId, expiresAt)] }),
  };
}

/**
 * Books what was set aside. Part of it for a single posting, the rest is released; an amount that is all that is pending
 * is no part. Refusals: transaction-not-found, not-pending, capture-exceeds-pending, partial-capture-not-supported.
 */
export function captureTransaction(
  states: States,
  input: { ledger: string; transactionId: string; amount?: string },
  context: DecisionContext,
): Decision<TransactionAnswer> {
  const { ledger, transactionId, amount } = input;
  const transaction = pendingTransaction(states, ledger, transactionId, context);
  const book = new Book(states, ledger, transaction.postings);
  const isSingle = transaction.postings.length === 1;
  if (amount !== undefined) {
    // Amounts of several currencies have no sum that another amount could be.
    const pending = book.isOfOneCurrency() ? transaction.postings.reduce((sum, posting) => sum + BigInt(posting.amount), 0n) : undefined;
    if (pending !== undefined && BigInt(amount) > pending) {
      throw new Rejection('capture-exceeds-pending', `${amount} is more than the ${pending} pending`);
    }
    if (!isSingle && (pending === undefined || BigInt(amount) < pending)) {
      const detail = 'a transaction of several postings is captured as a whole: leave the amount out';
      throw new Rejection('partial-capture-not-supported', detail);
    }
  }
  const postings = book.capture(isSingle ? amount : undefined);
  const captured: TransactionCaptured = {
    type: 'ledger.transaction-captured.v1',
    data: { ledger, transactionId, postings },
  };
  return {
    events: [captured],
    answer: answerOf(transaction, 'posted', postings, book, context.now),
    ...withoutDeadline(ledger, transaction),
  };
}

/** Gives back what was set aside. Refusals: transaction-not-found, not-pending. */
export function voidTransaction(
  states: States,
  { ledger, transactionId }: { ledger: string; transactionId: string },
  context: DecisionContext,
): Decision<TransactionAnswer> {
  return released(states, pendingTransaction(states, ledger, transactionId, context), ledger, 'voided', context);
}

/** What the deadline of a pending transaction does. One that is no longer pending is left as it is. */
export function expireTransaction(
  states: States,
  { ledger, transactionId }: { ledger: string; transactionId: string },
  context: DecisionContext,
): Decision<TransactionAnswer | null> {
  const transaction = states.of(transactionStream(ledger, transactionId));
  if (transaction.status !== 'pending') return { events: [], answer: null };
  return released(states, transaction, ledger, 'expired', context);
}

export interface ReverseTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
  readonly reversalId: string;
  readonly isNew?: boolean;
  readonly reference?: string;
  readonly metadata?: object;
}

/** The accounts follow from the transaction, so they can be named only once that is loaded. */
export function streamsToReverse(states: States, input: ReverseTransactionInput): Stream[] {
  const reversal = transactionStream(input.ledger, input.reversalId, input.isNew);
  return [reversal, ...streamsToSettle(states, input)];
}

/** The same for capture, void and expiry. */
export function streamsToSettle(states: States, input: { ledger: string; transactionId: string }): Stream[] {
  const original = transactionStream(input.ledger, input.transactionId);
  const postings = states.has(original) ? states.of(original).postings : [];
  return [original, ...accountsOf(postings).map((accountId) => accountStream(input.ledger, accountId))];
}

/**
 * Moves the money of a posted transaction back, by a new transaction. Refusals: transaction-not-found,
 * already-reversed, not-reversible (pending, voided, expired, or a reversal itself), then those of a posting.
 */
export function reverseTransaction(
  states: States,
  input: ReverseTransactionInput,
  context: DecisionContext,
): Decision<TransactionAnswer> {
  const { ledger, transactionId, reversalId, reference, metadata } = input;
  const original = states.of(transactionStream(ledger, transactionId));
  if (original.status === 'absent') throw transactionNotFound(transactionId);
  const reversal = states.of(transactionStream(ledger, reversalId, input.isNew));
  if (original.reversedBy !== undefined && original.reversedBy === reversalId) {
    if (!isSameReversal(reversal, input)) throw transactionExists(reversalId);
    const book = new Book(states, ledger, reversal.postings);
    return { events: [], answer: answerOf(reversal, 'posted', reversal.postings, book, reversal.recordedAt) };
  }
  if (original.reversedBy !== undefined) {
    throw new Rejection('already-reversed', `transaction ${transactionId} was reversed by ${original.reversedBy}`);
  }
  if (original.status !== 'posted' || original.reverses !== undefined) {
    const what = original.reverses === undefined ? original.status : 'a reversal itself';
    throw new Rejection('not-reversible', `transaction ${transactionId} is ${what}`);
  }
  if (reversal.status !== 'absent') throw transactionExists(reversalId);
  const postings = original.postings
    .map(({ source, destination, amount }) => ({ source: destination, destination: source, amount }))
    .reverse();
  const post = { ledger, transactionId: reversalId, postings, reference, metadata };
  return posted(new Book(states, ledger, postings), post, context, transactionId);
}

export type TransactionLook = Pick<TransactionState, 'status' | 'postings' | 'reversedBy'>;

/** What has become of it; `absent` when there is none. Changes nothing. */
export function lookAtTransaction(
  states: States,
  { ledger, transactionId }: { ledger: string; transactionId: string },
): Decision<TransactionLook> {
  const { status, postings, reversedBy } = states.of(transactionStream(ledger, transactionId));
  return { events: [], answer: { status, postings, reversedBy } };
}

// ---- Many at once

export interface BulkItemResult {
  readonly transactionId: string;
  readonly status: TransactionStatus | 'refused';
  readonly code?: string;
  readonly detail?: string;
}

/** Each on its own: a refused item stops no other. */
export function postEach(
  states: States,
  items: readonly PostTransactionInput[],
  context: DecisionContext,
): Decision<{ results: BulkItemResult[] }> {
  return postMany(states, items, context, (rejection, { transactionId }) => {
    const { code, detail } = rejection;
    return { transactionId, status: 'refused', code, detail };
  });
}

/** All or none: the first refusal refuses them all, and says which item it was. */
export function postAll(
  states: States,
  items: readonly PostTransactionInput[],
  context: DecisionContext,
): Decision<{ results: BulkItemResult[] }> {
  return postMany(states, items, context, ({ code, detail }, _item, index) => {
    throw new Rejection(code, `item ${index}: ${detail}`);
  });
}

function postMany(
  states: States,
  items: readonly PostTransactionInput[],
  context: DecisionContext,
  onRejection: (rejection: Rejection, item: PostTransactionInput, index: number) => BulkItemResult,
): Decision<{ results: BulkItemResult[] }> {
  const step = states.fork();
  const events: Event[] = [];
  const schedule: ScheduledCommand[] = [];
  const results = items.map((item, index): BulkItemResult => {
    try {
      const decision = postTransaction(step, item, context);
      step.apply(decision.events);
      events.push(...decision.events);
      schedule.push(...(decision.schedule ?? []));
      return { transactionId: item.transactionId, status: decision.answer.status };
    } catch (error) {
      if (error instanceof Rejection) return onRejection(error, item, index);
      throw error;
    }
  });
  return { events, answer: { results }, schedule, applied: step };
}

// ---- How it is done

/** An account as it stands after the postings so far; not its whole state, which would be copied for each of them. */
interface Line extends Readonly<Pick<AccountState, 'status' | 'currency' | 'overdraftLimit'>> {
  balance: bigint;
  pendingIn: bigint;
  pendingOut: bigint;
}

/** The accounts of some postings as they change from one posting to the next. */
class Book {
  private readonly accounts = new Map<string, Line>();

  constructor(
    states: States,
    ledger: string,
    private readonly postings: readonly Posting[],
    private readonly currency?: string,
  ) {
    for (const accountId of accountsOf(postings)) {
      const { status, currency, overdraftLimit, balance, pendingIn, pendingOut } = states.of(accountStream(ledger, accountId));
      this.accounts.set(accountId, { status, currency, overdraftLimit, balance, pendingIn, pendingOut });
    }
  }

  post(): BookedPosting[] {
    this.check();
    // Range before funds, whichever posting is the first to fail: one order of refusals for every request.
    let shortOfFunds: Rejection | undefined;
    const booked = this.postings.map(({ source, destination, amount }) => {
      const value = BigInt(amount);
      shortOfFunds ??= this.shortage(source, value);
      const from = this.change(source, -value, 0n, 0n);
      const to = this.change(destination, value, 0n, 0n);
      return {
        source,
        destination,
        amount,
        currency: from.currency,
        sourceBalance: from.balance.toString(),
        destinationBalance: to.balance.toString(),
      };
    });
    if (shortOfFunds) throw shortOfFunds;
    return booked;
  }

  isOfOneCurrency(): boolean {
    return new Set([...this.accounts.values()].map(({ currency }) => currency)).size === 1;
  }

  authorise(): Posting[] {
    this.check();
    let shortOfFunds: Rejection | undefined;
    for (const { source, destination, amount } of this.postings) {
      const value = BigInt(amount);
      shortOfFunds ??= this.shortage(source, value);
      this.change(source, 0n, 0n, value);
      this.change(destination, 0n, value, 0n);
    }
    if (shortOfFunds) throw shortOfFunds;
    return this.postings.map(plain);
  }

  /** Nothing can refuse a capture: funds and range were seen to when the amount was set aside. */
  capture(partialAmount?: string): (BookedPosting & { authorised: string })[] {
    return this.postings.map(({ source, destination, amount: authorised }) => {
      const amount = partialAmount ?? authorised;
      const [value, pending] = [BigInt(amount), BigInt(authorised)];
      const from = this.change(source, -value, 0n, -pending);
      const to = this.change(destination, value, -pending, 0n);
      return {
        source,
        destination,
        amount,
        authorised,
        currency: from.currency,
        sourceBalance: from.balance.toString(),
        destinationBalance: to.balance.toString(),
      };
    });
  }

  release(): Posting[] {
    for (const { source, destination, amount } of this.postings) {
      this.change(source, 0n, 0n, -BigInt(amount));
      this.change(destination, 0n, -BigInt(amount), 0n);
    }
    return this.postings.map(plain);
  }

  balances(): TransactionAnswer['balances'] {
    // Without a prototype: an account may be called `__proto__`.
    const balances = Object.create(null) as Record<string, { balance: string; available: string }>;
    for (const [accountId, account] of this.accounts) {
      balances[accountId] = { balance: account.balance.toString(), available: availableOf(account).toString() };
    }
    return balances;
  }

  private check(): void {
    const { accounts, postings } = this;
    for (const [accountId, { status }] of accounts) if (status === 'absent') throw accountNotFound(accountId);
    for (const [accountId, { status }] of accounts) {
      if (status === 'closed') throw new Rejection('account-closed', `account ${accountId} is closed`);
    }
    for (const { source, destination } of postings) {
      const [from, to] = [accounts.get(source)!.currency, accounts.get(destination)!.currency];
      if (from !== to) {
        throw new Rejection('currency-mismatch', `account ${source} is in ${from}, account ${destination} in ${to}`);
      }
      if (this.currency !== undefined && from !== this.currency) {
        throw new Rejection('currency-mismatch', `account ${source} is in ${from}, the amount in ${this.currency}`);
      }
    }
    for (const { source, destination } of postings) {
      if (source === destination) {
        throw new Rejection('same-account', `source and destination are both account ${source}`);
      }
    }
  }

  private change(accountId: string, balance: bigint, pendingIn: bigint, pendingOut: bigint): Line {
    const line = this.accounts.get(accountId)!;
    line.balance += balance;
    line.pendingIn += pendingIn;
    line.pendingOut += pendingOut;
    // What is pending counts in full, so that no capture can ever leave the range.
    const [highest, lowest] = [line.balance + line.pendingIn, line.balance - line.pendingOut];
    if (highest > maxAmount || lowest < minAmount || line.pendingIn > maxAmount || line.pendingOut > maxAmount) {
      throw new Rejection('amount-out-of-range', `the balance of account ${accountId} would leave 64 bits`);
    }
    return line;
  }

  private shortage(accountId: string, amount: bigint): Rejection | undefined {
    const available = availableOf(this.accounts.get(accountId)!);
    if (amount <= available) return undefined;
    const detail = `account ${accountId} has ${available} available, ${amount} is needed`;
    return new Rejection('insufficient-funds', detail);
  }
}

function posted(
  book: Book,
  input: PostTransactionInput,
  context: DecisionContext,
  reverses?: string,
): Decision<TransactionAnswer> {
  const event: TransactionPosted = {
    type: 'ledger.transaction-posted.v1',
    data: { ...originOf(input), postings: book.post(), ...(reverses && { reverses }) },
  };
  return {
    events: [event],
    created: reverses === undefined,
    answer: {
      transactionId: input.transactionId,
      status: 'posted',
      postings: input.postings,
      balances: book.balances(),
      recordedAt: context.now,
      ...(reverses && { reverses }),
    },
  };
}

function released(
  states: States,
  transaction: TransactionState,
  ledger: string,
  reason: 'voided' | 'expired',
  context: DecisionContext,
): Decision<TransactionAnswer> {
  const { transactionId } = transaction;
  const book = new Book(states, ledger, transaction.postings);
  const event: TransactionReleased = {
    type: 'ledger.transaction-released.v1',
    data: { ledger, transactionId, reason, postings: book.release() },
  };
  const answer = answerOf(transaction, reason, transaction.postings, book, context.now);
  return { events: [event], answer, ...withoutDeadline(ledger, transaction) };
}

function repeated(
  states: States,
  existing: TransactionState,
  input: PostTransactionInput,
): Decision<TransactionAnswer> {
  const isSame =
    existing.reverses === undefined &&
    canonicalJson(contentOf(existing.content!, existing.wasPending!)) === canonicalJson(contentOf(input, input.pending ?? false));
  if (!isSame) throw transactionExists(input.transactionId);
  // Of the request's accounts: they are the same as the transaction's, and loaded.
  const book = new Book(states, input.ledger, input.postings);
  const status = existing.status as TransactionStatus;
  return { events: [], answer: answerOf(existing, status, existing.postings, book, existing.recordedAt) };
}

/** The postings follow from the original; what the client has a say in is the rest. */
function isSameReversal(reversal: TransactionState, input: ReverseTransactionInput): boolean {
  const content = ({ reference, metadata }: Omit<Content, 'postings'>) => canonicalJson({ reference, metadata });
  return content(reversal.content!) === content(input);
}

function pendingTransaction(
  states: States,
  ledger: string,
  transactionId: string,
  context: DecisionContext,
): TransactionState {
  const transaction = states.of(transactionStream(ledger, transactionId));
  if (transaction.status === 'absent') throw transactionNotFound(transactionId);
  if (transaction.status !== 'pending') {
    throw new Rejection('not-pending', `transaction ${transactionId} is ${transaction.status}`);
  }
  // The deadline counts from the moment it passes, whenever the command that releases the money comes by.
  if (transaction.expiresAt !== undefined && transaction.expiresAt <= context.now) {
    throw new Rejection('not-pending', `transaction ${transactionId} expired at ${transaction.expiresAt}`);
  }
  return transaction;
}

function answerOf(
  transaction: TransactionState,
  status: TransactionStatus,
  postings: readonly Posting[],
  book: Book,
  recordedAt: string,
): TransactionAnswer {
  return {
    transactionId: transaction.transactionId,
    status,
    postings: postings.map(plain),
    balances: book.balances(),
    recordedAt,
    ...(status === 'pending' && transaction.expiresAt && { expiresAt: transaction.expiresAt }),
    ...(transaction.reverses && { reverses: transaction.reverses }),
  };
}

function accountsOf(postings: readonly Posting[]): string[] {
  if (postings.length === 1) {
    const { source, destination } = postings[0]!;
    return source === destination ? [source] : [source, destination];
  }
  return [...new Set(postings.flatMap(({ source, destination }) => [source, destination]))];
}

function contentOf({ postings, expiresInSeconds, reference, metadata }: Content, pending: boolean): object {
  return { postings: postings.map(plain), pending, expiresInSeconds, reference, metadata };
}

function originOf({ ledger, transactionId, reference, metadata }: PostTransactionInput): Origin {
  return { ledger, transactionId, ...(reference !== undefined && { reference }), ...(metadata && { metadata }) };
}

function expiryOf({ expiresInSeconds }: PostTransactionInput, { now }: DecisionContext): string | undefined {
  return expiresInSeconds === undefined ? undefined : addSeconds(now, expiresInSeconds);
}

function expiryCommand(ledger: string, transactionId: string, dueAt: string): ScheduledCommand {
  const key = expiryKey(ledger, transactionId);
  return { key, type: 'ledger.expire-transaction', payload: { ledger, transactionId }, dueAt };
}

function withoutDeadline(ledger: string, { transactionId, expiresAt }: TransactionState): Pick<Decision, 'unschedule'> {
  return expiresAt === undefined ? {} : { unschedule: [expiryKey(ledger, transactionId)] };
}

const expiryKey = (ledger: string, transactionId: string): string => `expire/${ledger}/${transactionId}`;

function transactionNotFound(transactionId: string): Rejection {
  return new Rejection('transaction-not-found', `there is no transaction ${transactionId} in this ledger`);
}

function transactionExists(transactionId: string): Rejection {
  return new Rejection('transaction-exists', `transaction ${transactionId} exists with other content`);
}
