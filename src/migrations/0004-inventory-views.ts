import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the inventory's read tables. Filled by projections from the log, so they can be dropped and rebuilt at any time.
 * Locks: none that matter, every table is new.
 * Undo: drop the tables and delete the checkpoints of the consumers named like them.
 * Breaking: no.
 *
 * Ids are compared byte by byte (COLLATE "C"), as in the ledger's tables.
 */
export class InventoryViews1700000000004 implements MigrationInterface {
  name = 'InventoryViews1700000000004';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE inventory_stock (
        sku             text COLLATE "C" NOT NULL,
        until           timestamptz(3) NOT NULL,
        location        text COLLATE "C" NOT NULL,
        first_position  bigint NOT NULL,
        on_hand         bigint NOT NULL,
        reserved        bigint NOT NULL,
        versions        integer NOT NULL,
        PRIMARY KEY (sku, until, location)
      ) WITH (fillfactor = 70);
      COMMENT ON TABLE inventory_stock IS 'Per SKU and location: what is there, in the row of until = infinity; and how much of what is reserved stops counting at a moment, in a row for each.';

      CREATE TABLE inventory_reservations (
        sku             text COLLATE "C" NOT NULL,
        reservation_id  text COLLATE "C" NOT NULL,
        quantity        bigint NOT NULL,
        status          text COLLATE "C" NOT NULL,
        allocations     json NOT NULL,
        expires_at      timestamptz(3),
        PRIMARY KEY (sku, reservation_id)
      ) WITH (fillfactor = 90);

      CREATE TABLE inventory_movements (
        sku             text COLLATE "C" NOT NULL,
        position        bigint NOT NULL,
        line            smallint NOT NULL,
        recorded_at     timestamptz(3) NOT NULL,
        type            text COLLATE "C" NOT NULL,
        location        text COLLATE "C" NOT NULL,
        quantity        bigint NOT NULL,
        on_hand_after   bigint NOT NULL,
        reserved_after  bigint NOT NULL,
        reservation_id  text COLLATE "C",
        reference       text,
        reason          text,
        PRIMARY KEY (sku, position, line)
      );
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE inventory_stock, inventory_reservations, inventory_movements');
    await sql.query(`DELETE FROM checkpoints WHERE consumer LIKE 'inventory-%'`);
  }
}
