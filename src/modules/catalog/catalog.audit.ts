import type { Invariant } from '../../platform/audit/audit.js';

/** Every claim of a SKU that was ever made, from the log: the read tables could not show a second one. */
const claims = `(
  SELECT data->>'productId' AS product_id, variant->>'sku' AS sku
  FROM events CROSS JOIN LATERAL jsonb_array_elements(data->'variants') AS variant
  WHERE type = 'catalog.product-created.v1'
  UNION ALL
  SELECT data->>'productId', data->>'sku' FROM events WHERE type = 'catalog.variant-added.v1'
) claims`;

export const catalogInvariants: readonly Invariant[] = [
  {
    name: '8 every SKU belongs to one product',
    countSql: `SELECT count(*) || ' claims of ' || count(DISTINCT sku) || ' SKUs' AS counted FROM ${claims}`,
    offendersSql: `
SELECT 'SKU ' || sku || ': ' || string_agg(product_id, ', ' ORDER BY product_id) AS offender
FROM ${claims} GROUP BY sku HAVING count(*) > 1 ORDER BY 1`,
  },
];
