import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the orders as they are read. Filled by a projection from the log, so they can be dropped and rebuilt at any time.
 * Locks: none that matter, the table is new.
 * Undo: drop the table and delete the checkpoints of the consumer named like it.
 * Breaking: no.
 */
export class OrderingViews1700000000005 implements MigrationInterface {
  name = 'OrderingViews1700000000005';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE ordering_orders (
        order_id     text COLLATE "C" NOT NULL,
        customer_id  text COLLATE "C" NOT NULL,
        status       text COLLATE "C" NOT NULL,
        placed_at    timestamptz(3) NOT NULL,
        version      integer NOT NULL,
        state        json NOT NULL,
        PRIMARY KEY (order_id)
      ) WITH (fillfactor = 50);
      COMMENT ON TABLE ordering_orders IS 'One row per order: its state as the domain folds it, and what lists are filtered by.';
      CREATE INDEX ON ordering_orders (placed_at, order_id);
      CREATE INDEX ON ordering_orders (customer_id, placed_at, order_id);
      CREATE INDEX ON ordering_orders (status, placed_at, order_id);
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE ordering_orders');
    await sql.query(`DELETE FROM checkpoints WHERE consumer LIKE 'ordering-%'`);
  }
}
