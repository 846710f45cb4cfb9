import type { Statement } from '../../../platform/consumers/consumer.js';
import type { Projection } from '../../../platform/consumers/projection.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { CatalogEvent } from '../domain/events.js';
import type { Price, Variant } from '../domain/product.js';

// ---- Table: one row per SKU and category of its product, for lists by price. Queries: products.ts.
//
// Each price knows the next one below it of the same product and currency. So of a product's prices from some amount on,
// the lowest is the one with nothing in between: two numbers of one row tell, and nothing has to be looked up.

/** Every product is in this category, and a client can name none like it. Of a product without others it has the prices. */
export const wholeCatalogue = '';

// ---- Fold: what a batch does to each product it touches

interface PriceChange {
  readonly productId: string;
  /** All, when they are others than before. */
  categories?: readonly string[];
  /** When it is said; it is, wherever a SKU is new. */
  orderable?: boolean;
  /** Those that are new or cost something else. */
  readonly prices: Map<string, Price & { readonly sku: string }>;
}

function changesOf(events: readonly RecordedEvent<CatalogEvent>[]): PriceChange[] {
  const changes = new Map<string, PriceChange>();
  const change = (productId: string, what: Partial<PriceChange>, ...variants: readonly Variant[]): void => {
    const before = changes.get(productId) ?? { productId, prices: new Map() };
    changes.set(productId, Object.assign(before, what));
    for (const { sku, price } of variants) before.prices.set(sku, { sku, ...price });
  };
  for (const { type, data } of events) {
    switch (type) {
      case 'catalog.product-created.v1':
        change(data.productId, { categories: data.categories, orderable: true }, ...data.variants);
        break;
      case 'catalog.product-changed.v1':
        if (data.categories) change(data.productId, { categories: data.categories });
        break;
      case 'catalog.variant-added.v1':
        change(data.productId, { orderable: data.orderable }, data);
        break;
      case 'catalog.variant-changed.v1':
        // Another name is nothing to this table.
        if (data.formerPrice) change(data.productId, {}, data);
        break;
      case 'catalog.product-archived.v1':
      case 'catalog.product-restored.v1':
        change(data.productId, { orderable: type === 'catalog.product-restored.v1' });
        break;
      default:
        break;
    }
  }
  return [...changes.values()];
}

export const catalogPrices: Projection = {
  name: 'catalog-prices',
  table: 'catalog_prices',
  key: ['product_id', 'category', 'sku'],

  project(events, table) {
    const changes = changesOf(events as readonly RecordedEvent<CatalogEvent>[]);
    if (changes.length === 0) return [];
    const statements: Statement[] = [];
    const categorised = changes.filter(({ categories }) => categories !== undefined);
    if (categorised.length > 0) {
      statements.push({
        name: `${table}-leave`,
        text: `
DELETE FROM ${table} t USING json_to_recordset($1::json) AS r("productId" text, categories jsonb)
WHERE t.product_id = r."productId" AND t.category <> '' AND NOT r.categories ? t.category`,
        values: [JSON.stringify(categorised.map(({ productId, categories }) => ({ productId, categories })))],
      });
    }
    statements.push({
      name: `${table}-put`,
      // What a product's SKUs cost: as is said, or as its rows of the whole catalogue have it. That, in each of its
      // categories: those that are said, or those that it has rows of.
      text: `
INSERT INTO ${table} AS t (product_id, category, sku, amount, currency, below, orderable)
SELECT r."productId", category, sku, amount, currency, below, price.orderable
FROM json_to_recordset($1::json) AS r("productId" text, categories jsonb, orderable boolean, prices jsonb)
CROSS JOIN LATERAL (
  SELECT *, coalesce(lag(amount) OVER (PARTITION BY currency ORDER BY amount, sku COLLATE "C"), -1) AS below FROM (
    SELECT p.*, coalesce(r.orderable, (
      SELECT orderable FROM ${table} o WHERE o.product_id = r."productId" AND o.category = '' AND o.sku = p.sku)) AS orderable
    FROM jsonb_to_recordset(r.prices) AS p(sku text, amount bigint, currency text)
    UNION ALL
    SELECT sku, amount, currency, coalesce(r.orderable, o.orderable) FROM ${table} o
    WHERE o.product_id = r."productId" AND o.category = ''
      AND NOT r.prices @> jsonb_build_array(jsonb_build_object('sku', sku))) prices) price
CROSS JOIN LATERAL (
  SELECT category FROM jsonb_array_elements_text(r.categories || '[""]') AS category
  UNION ALL
  SELECT DISTINCT category FROM ${table} o WHERE o.product_id = r."productId" AND r.categories IS NULL) category
ON CONFLICT (product_id, category, sku) DO UPDATE
SET amount = excluded.amount, currency = excluded.currency, below = excluded.below, orderable = excluded.orderable
WHERE (t.amount, t.currency, t.below, t.orderable)
  IS DISTINCT FROM (excluded.amount, excluded.currency, excluded.below, excluded.orderable)`,
      values: [JSON.stringify(changes.map(({ prices, ...change }) => ({ ...change, prices: [...prices.values()] })))],
    });
    return statements;
  },
};
