import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the customers' points as they are read. Filled by a projection from the log, so they can be dropped and rebuilt
 * at any time.
 * Locks: none that matter, the table is new.
 * Undo: drop the table and delete the checkpoints of the consumer named like it.
 * Breaking: no.
 */
export class LoyaltyViews1700000000099 implements MigrationInterface {
  name = 'LoyaltyViews1700000000099';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE loyalty_points (
        customer_id  text COLLATE "C" NOT NULL,
        balance      numeric NOT NULL,
        version      integer NOT NULL,
        PRIMARY KEY (customer_id)
      ) WITH (fillfactor = 70);
      COMMENT ON TABLE loyalty_points IS 'One row per customer who has ever earned a point.';
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE loyalty_points');
    await sql.query(`DELETE FROM checkpoints WHERE consumer LIKE 'loyalty-%'`);
  }
}
