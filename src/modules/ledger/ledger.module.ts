import { Module } from '@nestjs/common';
import { Audit } from '../../platform/audit/audit.js';
import { ProjectionCatalogue } from '../../platform/consumers/projection-catalogue.js';
import { ProblemCatalogue } from '../../platform/http/problem.js';
import { EventCatalogue } from '../../platform/log/catalogue.js';
import { CaptureTransactionHandler } from './commands/capture-transaction.js';
import { CloseAccountHandler } from './commands/close-account.js';
import { ExpireTransactionHandler } from './commands/expire-transaction.js';
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
import { GetBalanceAtHandler, ledgerEntries, ListEntriesHandler } from './views/entries.js';
import { GetTransactionHandler, ledgerTransactions } from './views/transactions.js';
import { GetTrialBalanceHandler, ledgerTrialBalances } from './views/trial-balance.js';

const commands = [
  OpenAccountHandler,
  CloseAccountHandler,
  PostTransactionHandler,
  PostTransactionsHandler,
  CaptureTransactionHandler,
  VoidTransactionHandler,
  ExpireTransactionHandler,
  ReverseTransactionHandler,
];

const queries = [
  GetAccountHandler,
  ListAccountsHandler,
  ListEntriesHandler,
  GetBalanceAtHandler,
  GetTransactionHandler,
  GetTrialBalanceHandler,
];

/** Double-entry book-keeping: accounts and the transactions between them. Partition key: the ledger's name. */
@Module({
  controllers: [LedgerController, LedgerQueriesController],
  providers: [...commands, ...queries],
})
export class LedgerModule {
  constructor(events: EventCatalogue, problems: ProblemCatalogue, projections: ProjectionCatalogue, audit: Audit) {
    events.add(ledgerEvents);
    problems.add(ledgerProblems);
    projections.add(ledgerAccounts, ledgerEntries, ledgerTransactions, ledgerTrialBalances);
    audit.add(...ledgerInvariants);
  }
}
