import { Rejection, type Decision, type DecisionContext, type States } from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Event, type Stream, type StreamType } from '../../../platform/log/stream.js';
import { maxAmount } from '../../../shared/amount.js';
import { canonicalJson } from '../../../shared/canonical-json.js';
import type { TransactionEvent } from './transaction.js';

// ---- Events

export type Overdraft = 'none' | 'unlimited' | { readonly limit: string };

export type AccountOpened = Event<
  'ledger.account-opened.v1',
  { ledger: string; accountId: string; currency: string; overdraft: Overdraft; metadata?: object }
>;
export type AccountClosed = Event<'ledger.account-closed.v1', { ledger: string; accountId: string }>;
export type AccountEvent = AccountOpened | AccountClosed;

// ---- State

/** What decisions look at. Balances and pending amounts are in minor units. */
export interface AccountState {
  readonly accountId: string;
  readonly status: 'absent' | 'open' | 'closed';
  readonly currency: string;
  readonly overdraft: Overdraft;
  /** How far below zero the balance may go. */
  readonly overdraftLimit: bigint;
  readonly balance: bigint;
  readonly pendingIn: bigint;
  readonly pendingOut: bigint;
  readonly version: number;
  readonly openedAt: string;
  readonly closedAt?: string;
  readonly metadata?: object;
}

export const accountType: StreamType<AccountState, AccountEvent | TransactionEvent> = {
  name: 'account',
  stateVersion: 1,
  stateBytes: (state) => 300 + (state.metadata ? JSON.stringify(state.metadata).length * 2 : 0),
  initial: (id) => ({
    accountId: id.slice(id.indexOf('/') + 1),
    status: 'absent',
    currency: '',
    overdraft: 'none',
    overdraftLimit: 0n,
    balance: 0n,
    pendingIn: 0n,
    pendingOut: 0n,
    version: 0,
    openedAt: '',
  }),
  evolve: evolveAccount,
};

/** `ledger` and `accountId` are ids, so neither contains a slash. */
export function accountStream(ledger: string, accountId: string): Stream<AccountState> {
  return stream(accountType, `${ledger}/${accountId}`);
}

function evolveAccount(
  state: AccountState,
  event: AccountEvent | TransactionEvent,
  recordedAt: string,
): AccountState {
  const version = state.version + 1;
  switch (event.type) {
    case 'ledger.account-opened.v1': {
      const { currency, overdraft, metadata } = event.data;
      const overdraftLimit = limitOf(overdraft);
      const opened = { currency, overdraft, overdraftLimit, openedAt: recordedAt, metadata };
      return { ...state, ...opened, status: 'open', version };
    }
    case 'ledger.account-closed.v1':
      return { ...state, status: 'closed', closedAt: recordedAt, version };
    case 'ledger.transaction-posted.v1': {
      let { balance } = state;
      for (const posting of event.data.postings) {
        if (posting.source === state.accountId) balance -= BigInt(posting.amount);
        if (posting.destination === state.accountId) balance += BigInt(posting.amount);
      }
      return { ...state, balance, version };
    }
    case 'ledger.transaction-authorised.v1': {
      let { pendingIn, pendingOut } = state;
      for (const posting of event.data.postings) {
        if (posting.source === state.accountId) pendingOut += BigInt(posting.amount);
        if (posting.destination === state.accountId) pendingIn += BigInt(posting.amount);
      }
      return { ...state, pendingIn, pendingOut, version };
    }
    case 'ledger.transaction-captured.v1': {
      let { balance, pendingIn, pendingOut } = state;
      for (const posting of event.data.postings) {
        if (posting.source === state.accountId) {
          balance -= BigInt(posting.amount);
          pendingOut -= BigInt(posting.authorised);
        }
        if (posting.destination === state.accountId) {
          balance += BigInt(posting.amount);
          pendingIn -= BigInt(posting.authorised);
        }
      }
      return { ...state, balance, pendingIn, pendingOut, version };
    }
    case 'ledger.transaction-released.v1': {
      let { pendingIn, pendingOut } = state;
      for (const posting of event.data.postings) {
        if (posting.source === state.accountId) pendingOut -= BigInt(posting.amount);
        if (posting.destination === state.accountId) pendingIn -= BigInt(posting.amount);
      }
      return { ...state, pendingIn, pendingOut, version };
    }
    default:
      return unknownEvent(event);
  }
}

export function limitOf(overdraft: Overdraft): bigint {
  if (overdraft === 'none') return 0n;
  return overdraft === 'unlimited' ? maxAmount : BigInt(overdraft.limit);
}

// ---- Decisions

export interface OpenAccountInput {
  readonly ledger: string;
  readonly accountId: string;
  readonly currency: string;
  readonly overdraft: Overdraft;
  readonly metadata?: object;
}

/** The account as writes answer with it; reads answer the same from the view. */
export interface AccountAnswer {
  readonly accountId: string;
  readonly ledger: string;
  readonly currency: string;
  readonly overdraft: Overdraft;
  readonly balance: string;
  readonly pendingIn: string;
  readonly pendingOut: string;
  readonly available: string;
  readonly version: number;
  readonly openedAt: string;
  readonly closedAt?: string;
  readonly metadata: object;
}

/** Refusals: account-exists. */
export function openAccount(
  states: States,
  input: OpenAccountInput,
  context: DecisionContext,
): Decision<AccountAnswer> {
  const account = states.of(accountStream(input.ledger, input.accountId));
  if (account.status !== 'absent') {
    if (!isSameContent(account, input)) {
      throw new Rejection('account-exists', `account ${input.accountId} exists with other content`);
    }
    return { events: [], answer: answerOf(input.ledger, account) };
  }
  const opened: AccountOpened = { type: 'ledger.account-opened.v1', data: { ...input } };
  const answer = answerOf(input.ledger, evolveAccount(account, opened, context.now));
  return { events: [opened], answer, created: true };
}

/** Refusals: account-not-found, account-not-empty. Closing a closed account changes nothing. */
export function closeAccount(
  states: States,
  { ledger, accountId }: { ledger: string; accountId: string },
  context: DecisionContext,
): Decision<AccountAnswer> {
  const account = states.of(accountStream(ledger, accountId));
  if (account.status === 'absent') throw accountNotFound(accountId);
  if (account.status === 'closed') return { events: [], answer: answerOf(ledger, account) };
  const { balance, pendingIn, pendingOut } = account;
  if (balance !== 0n || pendingIn !== 0n || pendingOut !== 0n) {
    const detail = `account ${accountId} has a balance of ${balance}, ${pendingIn} coming in and ${pendingOut} going out`;
    throw new Rejection('account-not-empty', detail);
  }
  const closed: AccountClosed = { type: 'ledger.account-closed.v1', data: { ledger, accountId } };
  return { events: [closed], answer: answerOf(ledger, evolveAccount(account, closed, context.now)) };
}

export function accountNotFound(accountId: string): Rejection {
  return new Rejection('account-not-found', `there is no account ${accountId} in this ledger`);
}

/** Balance − pending out + overdraft limit, never more than the largest amount (an unlimited overdraft's). */
export function availableOf(account: { balance: bigint; pendingOut: bigint; overdraftLimit: bigint }): bigint {
  const available = account.balance - account.pendingOut + account.overdraftLimit;
  return available > maxAmount ? maxAmount : available;
}

function isSameContent(account: AccountState, input: OpenAccountInput): boolean {
  const content = ({ currency, overdraft, metadata }: OpenAccountInput | AccountState) =>
    canonicalJson({ currency, overdraft, metadata: metadata ?? {} });
  return content(account) === content(input);
}

function answerOf(ledger: string, account: AccountState): AccountAnswer {
  return {
    accountId: account.accountId,
    ledger,
    currency: account.currency,
    overdraft: account.overdraft,
    balance: account.balance.toString(),
    pendingIn: account.pendingIn.toString(),
    pendingOut: account.pendingOut.toString(),
    available: availableOf(account).toString(),
    version: account.version,
    openedAt: account.openedAt,
    ...(account.closedAt && { closedAt: account.closedAt }),
    metadata: account.metadata ?? {},
  };
}
