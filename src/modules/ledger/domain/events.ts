import type { EventModule, EventType } from '../../../platform/log/stream.js';
import { accountStream, type AccountEvent } from './account.js';
import { streamsOfTransaction, type TransactionEvent } from './transaction.js';

export type LedgerEvent = AccountEvent | TransactionEvent;

const ofAccount = (type: AccountEvent['type']): EventType<AccountEvent> => ({
  type,
  streams: ({ ledger, accountId }) => [accountStream(ledger, accountId)],
});
const ofTransaction = (type: TransactionEvent['type']): EventType<TransactionEvent> => ({
  type,
  streams: streamsOfTransaction,
});

/** The ledger's part of the log. docs/events.md lists the same events; a test holds them equal. */
export const ledgerEvents: EventModule = {
  events: [
    ofAccount('ledger.account-opened.v1'),
    ofAccount('ledger.account-closed.v1'),
    ofTransaction('ledger.transaction-posted.v1'),
    ofTransaction('ledger.transaction-authorised.v1'),
    ofTransaction('ledger.transaction-captured.v1'),
    ofTransaction('ledger.transaction-released.v1'),
  ],
};
