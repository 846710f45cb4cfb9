import { accountStream, accountType, closeAccount, openAccount } from '../../src/modules/ledger/domain/account.js';
import type { AccountClosed, AccountOpened, OpenAccountInput } from '../../src/modules/ledger/domain/account.js';
import { ledgerEvents } from '../../src/modules/ledger/domain/events.js';
import * as transactions from '../../src/modules/ledger/domain/transaction.js';
import type { PostTransactionInput, Posting, ReverseTransactionInput } from '../../src/modules/ledger/domain/transaction.js';
import { scenariosOf, type Decider } from './given.js';

/** The ledger's events and commands in the words of somebody who keeps books. All in the ledger `main`. */
export const ledger = 'main';

export const given = scenariosOf(ledgerEvents, [accountType, transactions.transactionType]);

// ---- What has happened

export function opened(accountId: string, terms: Partial<AccountOpened['data']> = {}): AccountOpened {
  return { type: 'ledger.account-opened.v1', data: { ledger, accountId, currency: 'EUR', overdraft: 'none', ...terms } };
}

export function closed(accountId: string): AccountClosed {
  return { type: 'ledger.account-closed.v1', data: { ledger, accountId } };
}

/** `from → to: amount`; the balances that it left behind matter only where they are expected. */
export function booked(
  source: string,
  destination: string,
  amount: string,
  [sourceBalance, destinationBalance]: readonly [string, string] = ['0', '0'],
  currency = 'EUR',
): transactions.BookedPosting {
  return { source, destination, amount, currency, sourceBalance, destinationBalance };
}

export const posting = (source: string, destination: string, amount: string): Posting => ({ source, destination, amount });

type Details<E extends { data: object }> = Partial<Omit<E['data'], 'postings'>>;

export function posted(
  transactionId: string,
  postings: transactions.BookedPosting | readonly transactions.BookedPosting[],
  details: Details<transactions.TransactionPosted> = {},
): transactions.TransactionPosted {
  const data = { ledger, transactionId, postings: [postings].flat(), ...details };
  return { type: 'ledger.transaction-posted.v1', data };
}

export function authorised(
  transactionId: string,
  postings: Posting | readonly Posting[],
  details: Details<transactions.TransactionAuthorised> = {},
): transactions.TransactionAuthorised {
  const data = { ledger, transactionId, postings: [postings].flat(), ...details };
  return { type: 'ledger.transaction-authorised.v1', data };
}

export function captured(
  transactionId: string,
  ...postings: (transactions.BookedPosting & { authorised: string })[]
): transactions.TransactionCaptured {
  return { type: 'ledger.transaction-captured.v1', data: { ledger, transactionId, postings } };
}

export function released(
  transactionId: string,
  reason: 'voided' | 'expired',
  ...postings: Posting[]
): transactions.TransactionReleased {
  return { type: 'ledger.transaction-released.v1', data: { ledger, transactionId, reason, postings } };
}

// ---- What somebody wants

type Answer<Decide extends (...args: never[]) => { answer: unknown }> = ReturnType<Decide>['answer'];

export function opening(
  accountId: string,
  terms: Partial<OpenAccountInput> = {},
): Decider<Answer<typeof openAccount>> {
  const input = { ledger, accountId, currency: 'EUR', overdraft: 'none', ...terms } as const;
  return {
    streams: () => [accountStream(ledger, accountId)],
    decide: (states, context) => openAccount(states, input, context),
  };
}

export function closing(accountId: string): Decider<Answer<typeof closeAccount>> {
  return {
    streams: () => [accountStream(ledger, accountId)],
    decide: (states, context) => closeAccount(states, { ledger, accountId }, context),
  };
}

export function post(
  transactionId: string,
  postings: Posting | readonly Posting[],
  details: Partial<PostTransactionInput> = {},
): PostTransactionInput {
  return { ledger, transactionId, postings: [postings].flat(), ...details };
}

export function posts(...request: Parameters<typeof post>): Decider<Answer<typeof transactions.postTransaction>> {
  const input = post(...request);
  return {
    streams: () => transactions.streamsToPost(input),
    decide: (states, context) => transactions.postTransaction(states, input, context),
  };
}

export function authorises(...[id, postings, details]: Parameters<typeof post>): ReturnType<typeof posts> {
  return posts(id, postings, { ...details, pending: true });
}

export function captures(
  transactionId: string,
  amount?: string,
): Decider<Answer<typeof transactions.captureTransaction>> {
  const input = { ledger, transactionId, amount };
  return {
    streams: (states) => transactions.streamsToSettle(states, input),
    decide: (states, context) => transactions.captureTransaction(states, input, context),
  };
}

export function voids(transactionId: string): Decider<Answer<typeof transactions.voidTransaction>> {
  const input = { ledger, transactionId };
  return {
    streams: (states) => transactions.streamsToSettle(states, input),
    decide: (states, context) => transactions.voidTransaction(states, input, context),
  };
}

export function expires(transactionId: string): Decider<Answer<typeof transactions.expireTransaction>> {
  const input = { ledger, transactionId };
  return {
    streams: (states) => transactions.streamsToSettle(states, input),
    decide: (states, context) => transactions.expireTransaction(states, input, context),
  };
}

export function reverses(
  transactionId: string,
  reversalId: string,
  details: Partial<ReverseTransactionInput> = {},
): Decider<Answer<typeof transactions.reverseTransaction>> {
  const input = { ledger, transactionId, reversalId, ...details };
  return {
    streams: (states) => transactions.streamsToReverse(states, input),
    decide: (states, context) => transactions.reverseTransaction(states, input, context),
  };
}

export function postsMany(
  how: 'each' | 'all',
  ...items: PostTransactionInput[]
): Decider<Answer<typeof transactions.postEach>> {
  const decide = how === 'each' ? transactions.postEach : transactions.postAll;
  return {
    streams: () => items.flatMap(transactions.streamsToPost),
    decide: (states, context) => decide(states, items, context),
  };
}
