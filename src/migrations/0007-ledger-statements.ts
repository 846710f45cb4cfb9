import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: statements and transactions are read from the log (ADR 0018). Their read tables repeated each event in three rows
 * and three index entries, which was 27 µs of a transfer's 72 in PostgreSQL, and 1 kB of its 2.4 kB of WAL.
 * Locks: exclusive on the two tables, for the moment it takes to drop them. Nothing is filled: the log is there.
 * Undo: create them as 0002 has them, and start the former version. It makes their checkpoints at the first event and
 * fills them from the log, as it does for every new view.
 * Breaking: yes. A process of the former version answers statements, balances as of a time and transactions with 500 from
 * here on, and loses nothing; replace the processes that answer reads first, or all at once.
 */
export class LedgerStatements1700000000007 implements MigrationInterface {
  name = 'LedgerStatements1700000000007';

  async up(sql: QueryRunner): Promise<void> {
    // The checkpoints too: nobody would move them any more, and they would show as lag for ever. Those of a rebuild that
    // was broken off, and its table, have no other owner either.
    await sql.query(`
      DELETE FROM checkpoints WHERE consumer IN ('ledger-entries', 'ledger-transactions', 'ledger-entries#rebuild',
        'ledger-transactions#rebuild');
      DROP TABLE ledger_entries, ledger_transactions;
      DROP TABLE IF EXISTS ledger_entries_rebuild, ledger_transactions_rebuild;
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query(`
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
    `);
  }
}
