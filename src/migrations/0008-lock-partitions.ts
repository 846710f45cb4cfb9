import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: a statement that locks rows while it chooses partitions brings PostgreSQL 18 down (log/append.ts). In a function, the
 * lock has a plan of its own. PL/pgSQL, because it keeps that plan, and is never merged into the statement that calls it.
 * Locks: none that anybody waits for.
 * Undo: drop it, after the processes that call it have stopped.
 * Breaking: no. Processes of the former version do not call it.
 */
export class LockPartitions1700000000008 implements MigrationInterface {
  name = 'LockPartitions1700000000008';

  async up(sql: QueryRunner): Promise<void> {
    // In the order of numbers: two writers can not deadlock. What it returns is as of the locks.
    await sql.query(`
      CREATE FUNCTION lock_partitions(wanted smallint[]) RETURNS TABLE (partition smallint, revision bigint)
      LANGUAGE plpgsql VOLATILE STRICT ROWS 16 AS $$
      BEGIN
        RETURN QUERY
          SELECT p.partition, p.revision FROM partitions p WHERE p.partition = ANY (wanted) ORDER BY p.partition FOR UPDATE;
      END $$
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP FUNCTION lock_partitions');
  }
}
