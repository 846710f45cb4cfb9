import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: lists of products without work that grows with what is found, nor with what a product has (ADR 0017).
 * Locks: catalog_products is written anew under its exclusive lock, some 5 s per 100,000 products; reads and the
 * projection wait meanwhile. catalog_prices is new. Both are full when this is done: nothing has to be rebuilt.
 * Undo: drop the column, the function and the table, and delete the checkpoints of the consumer named like the latter.
 * Breaking: no. What nodes of the version before write has its answer as well. They list by price with the secondary
 * indexes of catalog_skus, which are left for them.
 *
 * The answer follows from the row by itself, like what is searched for. A generated column takes only what is said to
 * be immutable. What is here is, though its parts are not said to be: of text, numbers and JSON json_build_object makes
 * the same under all settings, and so does to_char of a time without a zone in a format without names.
 */
export class CatalogLists1700000000006 implements MigrationInterface {
  name = 'CatalogLists1700000000006';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE FUNCTION catalog_product_answer(product_id text, status text, name text, description text, categories jsonb,
        attributes jsonb, variants jsonb, version integer, created_at timestamptz) RETURNS text
      LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT json_build_object('productId', product_id, 'status', status, 'name', name, 'description', description,
          'categories', categories, 'attributes', attributes, 'variants', variants, 'version', version,
          'createdAt', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))::text
      $$;
      ALTER TABLE catalog_products ADD COLUMN answer text NOT NULL GENERATED ALWAYS AS (catalog_product_answer(
        product_id, status, name, description, categories, attributes, variants, version, created_at)) STORED;

      CREATE TABLE catalog_prices (
        product_id   text COLLATE "C" NOT NULL,
        category     text COLLATE "C" NOT NULL,
        sku          text COLLATE "C" NOT NULL,
        amount       bigint NOT NULL,
        currency     text COLLATE "C" NOT NULL,
        below        bigint NOT NULL,
        orderable    boolean NOT NULL,
        PRIMARY KEY (product_id, category, sku) INCLUDE (currency, amount)
      );
      COMMENT ON TABLE catalog_prices IS 'One row per SKU and category of its product, and one per SKU in the category '''', which is the whole catalogue.';
      COMMENT ON COLUMN catalog_prices.below IS 'The next price below it of the same product and currency, -1 when it is the lowest.';
    `);
    // In one statement, so of one snapshot: what the table has and how far its consumer is belong together.
    await sql.query(`
      WITH filled_up_to AS (
        INSERT INTO checkpoints (consumer, partition, position)
        SELECT 'catalog-prices', partition, position FROM checkpoints WHERE consumer = 'catalog-products')
      INSERT INTO catalog_prices (product_id, category, sku, amount, currency, below, orderable)
      SELECT product_id, category, sku, amount, currency, below, status = 'active'
      FROM catalog_products CROSS JOIN LATERAL (
        SELECT *, coalesce(lag(amount) OVER (PARTITION BY currency ORDER BY amount, sku COLLATE "C"), -1) AS below
        FROM jsonb_array_elements(variants) AS variant CROSS JOIN LATERAL (
          SELECT variant->>'sku' AS sku, (variant->'price'->>'amount')::bigint AS amount,
            variant->'price'->>'currency' AS currency) price) prices
      CROSS JOIN LATERAL jsonb_array_elements_text(categories || '[""]') AS category`);
    await sql.query(
      'CREATE INDEX ON catalog_prices (category, currency, orderable, amount, product_id) INCLUDE (below)',
    );
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query(`
      DROP TABLE catalog_prices;
      ALTER TABLE catalog_products DROP COLUMN answer;
      DROP FUNCTION catalog_product_answer`);
    await sql.query(`DELETE FROM checkpoints WHERE consumer = 'catalog-prices'`);
  }
}
