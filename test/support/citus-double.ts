import type pg from 'pg';

/**
 * A test double for Citus, in a database of its own: functions of the same names and parameters that record how they were
 * called, and leave the tables where they are.
 *
 * It shows that the statements come in an order that PostgreSQL accepts, with which arguments, and what is left afterwards.
 * It can not show that Citus accepts them, where it puts the rows, or which of the product's statements it can plan: it plans
 * all of them, being PostgreSQL.
 */
export async function installCitusDouble(pool: pg.Pool, workerNodes: number): Promise<void> {
  await pool.query(`
    CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, number integer GENERATED ALWAYS AS IDENTITY,
      partition_column text, colocated_with text, shard_count integer, is_empty boolean);
    CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
      colocate_with text DEFAULT 'default', shard_count integer DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE is_empty boolean;
    BEGIN
      IF (SELECT relkind FROM pg_class WHERE oid = table_name) <> 'r' THEN RAISE '% is not a plain table', table_name; END IF;
      EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', table_name) INTO is_empty;
      INSERT INTO pg_dist_partition VALUES (table_name, DEFAULT, distribution_column, colocate_with, shard_count, is_empty);
    END $$;
    CREATE FUNCTION citus_get_active_worker_nodes(OUT node_name text, OUT node_port bigint) RETURNS SETOF record LANGUAGE sql
      AS $$ SELECT 'worker' || n, 5432 FROM generate_series(1, ${workerNodes}) n $$`);
}
