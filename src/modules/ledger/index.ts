/** The ledger's face: what other modules may use. */
export { ledgerModule } from './ledger.module.js';
export { OpenAccount } from './commands/open-account.js';
export { PostTransaction } from './commands/post-transaction.js';
export { CaptureTransaction } from './commands/capture-transaction.js';
export { VoidTransaction } from './commands/void-transaction.js';
export { ReverseTransaction } from './commands/reverse-transaction.js';
export { LookAtTransaction } from './commands/look-at-transaction.js';
export { GetAccount } from './views/accounts.js';
export { GetTransaction } from './views/transactions.js';
export { ledgerProblems } from './domain/problems.js';
export type { TransactionLook } from './domain/transaction.js';
export type { LedgerEvent } from './domain/events.js';
