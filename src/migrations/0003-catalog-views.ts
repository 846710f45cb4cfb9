import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the catalogue's read tables. Filled by projections from the log, so they can be dropped and rebuilt at any time.
 * Locks: none that matter, every table is new.
 * Undo: drop the tables and delete the checkpoints of the consumers named like them.
 * Breaking: no.
 *
 * What is searched for follows from the row by itself (`search`), whatever statement changes it. Words are taken as
 * they are written ('simple'): a catalogue is in any language, full of names and numbers, and a dictionary of one
 * language would drop "The Who" and cut "Levi's" short.
 */
export class CatalogViews1700000000003 implements MigrationInterface {
  name = 'CatalogViews1700000000003';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE catalog_products (
        product_id   text COLLATE "C" PRIMARY KEY,
        status       text COLLATE "C" NOT NULL,
        name         text NOT NULL,
        sort_name    text COLLATE "C" NOT NULL,
        description  text NOT NULL,
        categories   jsonb NOT NULL,
        attributes   jsonb NOT NULL,
        variants     jsonb NOT NULL,
        created_at   timestamptz(3) NOT NULL,
        position     bigint NOT NULL,
        version      integer NOT NULL,
        search       tsvector NOT NULL GENERATED ALWAYS AS (
          to_tsvector('simple', name) || to_tsvector('simple', description)
          || jsonb_to_tsvector('simple', categories, '["string"]')
          || jsonb_to_tsvector('simple', jsonb_path_query_array(variants, '$[*].sku'), '["string"]')
          || jsonb_to_tsvector('simple', jsonb_path_query_array(variants, '$[*].name'), '["string"]')) STORED
      );
      CREATE INDEX ON catalog_products (status, sort_name, product_id);
      CREATE INDEX ON catalog_products (status, position);
      CREATE INDEX ON catalog_products USING gin (search);
      CREATE INDEX ON catalog_products USING gin (categories);

      CREATE TABLE catalog_skus (
        sku          text COLLATE "C" PRIMARY KEY,
        product_id   text COLLATE "C" NOT NULL,
        name         text,
        amount       bigint NOT NULL,
        currency     text COLLATE "C" NOT NULL,
        orderable    boolean NOT NULL
      );
      CREATE INDEX ON catalog_skus (product_id, currency, amount, sku);
      CREATE INDEX ON catalog_skus (currency, orderable, amount, product_id);
    `);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE catalog_products, catalog_skus');
    await sql.query(`DELETE FROM checkpoints WHERE consumer LIKE 'catalog-%'`);
  }
}
