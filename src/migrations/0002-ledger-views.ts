import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the ledger's read tables. Filled by projections from the log, so they can be dropped and rebuilt at any time.
 * Locks: none that matter, every table is new.
 * Undo: drop the tables and delete the checkpoints of the consumers named like them.
 * Breaking: no.
 *
 * Ids are compared byte by byte (COLLATE "C"), whatever locale the database has: cursors and prefixes rely on it.
 */
export class LedgerViews1700000000002 implements MigrationInterface {
  name = 'LedgerViews1700000000002';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE ledger_accounts (
        ledger          text COLLATE "C" NOT NULL,
        account_id      text COLLATE "C" NOT NULL,
        currency        text COLLATE "C" NOT NULL,
        overdraft       json NOT NULL,
        overdraft_limit bigint NOT NULL,
        balance         bigint NOT NULL,
        pending_in      bigint NOT NULL,
        pending_out     bigint NOT NULL,
        version         integer NOT NULL,
        opened_at       timestamptz(3) NOT NULL,
        closed_at       timestamptz(3),
        metadata        jsonb NOT NULL,
        PRIMARY KEY (ledger, account_id)
      ) WITH (fillfactor = 70);
      CREATE INDEX ON ledger_accounts (ledger, currency, account_id);

      CREATE TABLE ledger_entries (
        ledger          text COLLATE "C" NOT NULL,
        account_id      text COLLATE "C" NOT NULL,
        recorded_at     timestamptz(3) NOT NULL,
        position        bigint NOT NULL,
        posting         smallint NOT NULL,
        transaction_id  text COLLATE "C" NOT NULL,
        amount          bigint NOT NULL,
        balance_after   bigint NOT NULL,
        counterparty    text COLLATE "C" NOT NULL,
        reference       text,
        PRIMARY KEY (ledger, account_id, recorded_at, position, posting)
      );

      CREATE TABLE ledger_transactions (
        ledger          text COLLATE "C" NOT NULL,
        transaction_id  text COLLATE "C" NOT NULL,
        status          text COLLATE "C" NOT NULL,
        postings        json NOT NULL,
        reference       text,
        metadata        jsonb NOT NULL,
        recorded_at     timestamptz(3) NOT NULL,
        expires_at      timestamptz(3),
        reverses        text COLLATE "C",
        reversed_by     text COLLATE "C",
        reversed_at     timestamptz(3),
        version         integer NOT NULL,
        PRIMARY KEY (ledger, transaction_id)
      ) WITH (fillfactor = 90);

      CREATE TABLE ledger_trial_balances (
        ledger          text COLLATE "C" NOT NULL,
        currency        text COLLATE "C" NOT NULL,
        accounts        bigint NOT NULL,
        debits          numeric NOT NULL,
        credits         numeric NOT NULL,
        PRIMARY KEY (ledger, currency)
      ) WITH (fillfactor = 50);
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE ledger_accounts, ledger_entries, ledger_transactions, ledger_trial_balances');
    await sql.query(`DELETE FROM checkpoints WHERE consumer LIKE 'ledger-%'`);
  }
}
