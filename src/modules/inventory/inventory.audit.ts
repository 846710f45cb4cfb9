import type { Invariant } from '../../platform/audit/audit.js';
import { currentStock } from './views/stock.js';

/** The inventory's events that the read table has taken in: the log and the table are compared as of the same moment. */
const taken = `
SELECT e.type, e.data FROM checkpoints c JOIN events e ON e.partition = c.partition AND e.position <= c.position
WHERE c.consumer = 'inventory-stock' AND e.type LIKE 'inventory.%'`;

const countTaken = `SELECT count(*) || ' events of ' || count(DISTINCT data->>'sku') || ' SKUs' AS counted FROM (${taken}) e`;

/** Nothing is sold twice, and nothing comes from nowhere. Told by the log itself, not by what the decisions believed. */
export const inventoryInvariants: readonly Invariant[] = [
  {
    name: '4 on hand, reserved and available are never below 0',
    countSql: `
SELECT count(*) || ' locations of ' || count(DISTINCT sku) || ' SKUs' AS counted FROM inventory_stock
WHERE until = 'infinity'`,
    offendersSql: `
SELECT 'stock ' || sku || ' at ' || location || ': on hand ' || on_hand || ', reserved ' || reserved AS offender
FROM (${currentStock('true')}) s WHERE on_hand < 0 OR reserved < 0 OR on_hand < reserved ORDER BY 1`,
  },
  {
    name: '4 on hand is what was received and adjusted, less what was shipped',
    countSql: countTaken,
    offendersSql: `
SELECT 'stock ' || sku || ' at ' || location || ': on hand ' || coalesce(s.on_hand::text, 'nothing')
  || ', by its events ' || coalesce(m.on_hand::text, 'nothing') AS offender
FROM (SELECT sku, location, on_hand FROM inventory_stock WHERE until = 'infinity') s FULL JOIN (
  SELECT e.data->>'sku' AS sku, line.location, sum(line.quantity) AS on_hand
  FROM (${taken}) e CROSS JOIN LATERAL (
    SELECT e.data->>'location', coalesce(e.data->>'quantity', e.data->>'delta')::bigint
    WHERE e.type IN ('inventory.stock-received.v1', 'inventory.stock-adjusted.v1')
    UNION ALL
    SELECT line->>'location', -(line->>'quantity')::bigint FROM jsonb_array_elements(e.data->'allocations') line
    WHERE e.type = 'inventory.reservation-committed.v1') AS line(location, quantity)
  GROUP BY 1, 2) m USING (sku, location)
WHERE s.on_hand IS DISTINCT FROM m.on_hand ORDER BY 1`,
  },
  {
    name: '4 reserved is what open reservations hold',
    countSql: countTaken,
    offendersSql: `
WITH taken AS MATERIALIZED (${taken}), held AS (
  SELECT r.data->>'sku' AS sku, line->>'location' AS location, sum((line->>'quantity')::bigint) AS reserved
  FROM taken r CROSS JOIN LATERAL jsonb_array_elements(r.data->'allocations') line
  WHERE r.type = 'inventory.stock-reserved.v1'
    AND coalesce((r.data->>'expiresAt')::timestamptz > statement_timestamp(), true)
    AND NOT EXISTS (
      SELECT FROM taken t WHERE t.type LIKE 'inventory.reservation-%'
        AND t.data->>'sku' = r.data->>'sku' AND t.data->>'reservationId' = r.data->>'reservationId')
  GROUP BY 1, 2
)
SELECT 'stock ' || sku || ' at ' || location || ': reserved ' || coalesce(s.reserved, 0)
  || ', by its open reservations ' || coalesce(h.reserved, 0) AS offender
FROM (${currentStock('true')}) s FULL JOIN held h USING (sku, location)
WHERE coalesce(s.reserved, 0) <> coalesce(h.reserved, 0) ORDER BY 1`,
  },
];
