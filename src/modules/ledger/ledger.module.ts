import type { DomainModule } from '../../platform/domain-module.js';
import { CaptureTransactionHandler } from './commands/capture-transaction.js';
import { CloseAccountHandler } from './commands/close-account.js';
import { ExpireTransactionHandler } from './commands/expire-transaction.js';
import { LookAtTransactionHandler } from './commands/look-at-transaction.js';
import { OpenAccountHandler } from './commands/open-account.js';
import { PostTransactionHandler } from './commands/post-transaction.js';
import { PostTransactionsHandler } from './commands/post-transactions.js';
import { ReverseTransactionHandler } from './commands/reverse-transaction.js';
import { VoidTransactionHandler } from './commands/void-transaction.js';
import { ledgerEvents } from './domain/events.js';
import { ledgerProblems } from './domain/problems.js';
import { ledgerInvariants } from './ledger.audit.js';
import { LedgerController } from './ledger.controller.js';
import { LedgerQueriesController } from './ledger.queries.controller.js';
import { GetAccountHandler, ledgerAccounts, ListAccountsHandler } from './views/accounts.js';
import { GetBalanceAtHandler, ListEntriesHandler } from './views/statement.js';
import { GetTransactionHandler } from './views/transactions.js';
import { GetTrialBalanceHandler, ledgerTrialBalances } from './views/trial-balance.js';

/** Double-entry book-keeping: accounts and the transactions between them. Partition key: the ledger's name. */
export const ledgerModule: DomainModule = {
  name: 'ledger',
  events: ledgerEvents,
  problems: ledgerProblems,
  projections: [ledgerAccounts, ledgerTrialBalances],
  invariants: ledgerInvariants,
  commands: {
    controllers: [LedgerController],
    providers: [
      OpenAccountHandler,
      CloseAccountHandler,
      PostTransactionHandler,
      PostTransactionsHandler,
      CaptureTransactionHandler,
      LookAtTransactionHandler,
      VoidTransactionHandler,
      ExpireTransactionHandler,
      ReverseTransactionHandler,
    ],
  },
  queries: {
    controllers: [LedgerQueriesController],
    providers: [
      GetAccountHandler,
      ListAccountsHandler,
      ListEntriesHandler,
      GetBalanceAtHandler,
      GetTransactionHandler,
      GetTrialBalanceHandler,
    ],
  },
};
