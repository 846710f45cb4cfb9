import type { Invariant } from '../../platform/audit/audit.js';

const booked = `type IN ('ledger.transaction-posted.v1', 'ledger.transaction-captured.v1')`;

/** Money is only ever moved: what all accounts of a ledger have in a currency is nothing. */
export const ledgerInvariants: readonly Invariant[] = [
  {
    name: '3 balances add up to 0 per ledger and currency',
    countSql: `
SELECT count(*) || ' accounts, ' || count(DISTINCT (ledger, currency)) || ' ledgers and currencies' AS counted
FROM ledger_accounts`,
    offendersSql: `
SELECT 'ledger ' || ledger || ': ' || sum(balance) || ' ' || currency || ' over ' || count(*) || ' accounts' AS offender
FROM ledger_accounts GROUP BY ledger, currency HAVING sum(balance) <> 0 ORDER BY 1`,
  },
  {
    name: '3 no account is below its floor',
    countSql: `SELECT count(*) || ' accounts' AS counted FROM ledger_accounts`,
    offendersSql: `
SELECT 'account ' || ledger || '/' || account_id || ': balance ' || balance || ', pending out ' || pending_out
  || ', overdraft limit ' || overdraft_limit AS offender
FROM ledger_accounts
WHERE balance::numeric - pending_out + overdraft_limit < 0 OR pending_in < 0 OR pending_out < 0 ORDER BY 1`,
  },
  {
    name: '3 every booked balance follows from the one before',
    countSql: `
SELECT coalesce(sum(2 * jsonb_array_length(data->'postings')), 0) || ' entries' AS counted FROM events WHERE ${booked}`,
    offendersSql: `
WITH entries AS (
  SELECT e.position, p.posting, e.data->>'ledger' AS ledger, e.data->>'transactionId' AS transaction_id, s.account_id,
    s.amount, s.balance_after
  FROM events e CROSS JOIN LATERAL jsonb_array_elements(e.data->'postings') WITH ORDINALITY AS p(said, posting)
  CROSS JOIN LATERAL (VALUES
    (said->>'source', -(said->>'amount')::numeric, (said->>'sourceBalance')::numeric),
    (said->>'destination', (said->>'amount')::numeric, (said->>'destinationBalance')::numeric)
  ) AS s(account_id, amount, balance_after)
  WHERE ${booked}
)
SELECT 'entry of ' || ledger || '/' || account_id || ' in transaction ' || transaction_id || ': ' || before || ' and '
  || amount || ' make ' || balance_after AS offender
FROM (
  SELECT *, coalesce(lag(balance_after) OVER (
    PARTITION BY ledger, account_id ORDER BY position, posting), 0) AS before
  FROM entries) e
WHERE before + amount <> balance_after ORDER BY 1`,
  },
];
