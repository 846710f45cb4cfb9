/** The ledger's refusals. docs/errors.md lists them; a test holds both equal. */
export const ledgerProblems = {
  'account-exists': { status: 409, title: 'The account exists with other content' },
  'account-not-found': { status: 404, title: 'There is no such account' },
  'account-closed': { status: 409, title: 'The account is closed' },
  'account-not-empty': { status: 409, title: 'The account has a balance or something pending' },
  'transaction-exists': { status: 409, title: 'The transaction exists with other content' },
  'transaction-not-found': { status: 404, title: 'There is no such transaction' },
  'currency-mismatch': { status: 409, title: 'The accounts are in different currencies' },
  'same-account': { status: 409, title: 'Source and destination are the same account' },
  'amount-out-of-range': { status: 409, title: 'A balance would leave 64 bits' },
  'insufficient-funds': { status: 409, title: 'The source has not enough available' },
  'not-pending': { status: 409, title: 'The transaction is not pending' },
  'capture-exceeds-pending': { status: 409, title: 'More than is pending' },
  'partial-capture-not-supported': { status: 409, title: 'Only single-posting transactions are captured in part' },
  'already-reversed': { status: 409, title: 'The transaction was reversed before' },
  'not-reversible': { status: 409, title: 'The transaction can not be reversed' },
} as const;
