import type { Invariant } from '../../platform/audit/audit.js';

/**
 * Orders whose work is done: nothing of theirs waits in the inbox, and their last step is some seconds old. Of the
 * others, stock and money are on their way. NOT IN, to look for those commands once and not for each order.
 */
const settled = `
settled AS (
  SELECT o.order_id, o.status, o.state FROM ordering_orders o
  WHERE o.status <> 'placed' AND NOT coalesce((o.state->>'isShipping')::boolean, false)
    AND (o.state->'history'->-1->>'at')::timestamptz < clock_timestamp() - interval '5 seconds'
    AND o.order_id NOT IN (
      SELECT c.payload->>'orderId' FROM commands c
      WHERE c.status IN ('accepted', 'scheduled', 'failed') AND c.type LIKE 'ordering.%'
        AND c.payload->>'orderId' IS NOT NULL)
)`;

/** What a confirmed order holds and a fulfilled one has used; one that came to nothing holds nothing. */
export const orderingInvariants: readonly Invariant[] = [
  {
    name: '5 every order has the stock that its status says',
    countSql: `WITH ${settled} SELECT count(*) || ' settled orders of ' || (SELECT count(*) FROM ordering_orders) AS counted FROM settled`,
    offendersSql: `
WITH ${settled}, lines AS (
  SELECT o.order_id, o.status, l->>'sku' AS sku, (l->>'quantity')::bigint AS quantity
  FROM settled o CROSS JOIN LATERAL json_array_elements(o.state->'lines') l
)
SELECT 'order ' || l.order_id || ' (' || l.status || '): ' || l.quantity || ' of ' || l.sku || ', reserved for it '
  || coalesce(r.quantity || ' (' || r.status || ')', 'none') AS offender
FROM lines l LEFT JOIN inventory_reservations r ON r.sku = l.sku AND r.reservation_id = 'order:' || l.order_id
WHERE CASE
  WHEN l.status IN ('rejected', 'cancelled') THEN r.status IN ('reserved', 'committed')
  ELSE r.quantity IS DISTINCT FROM l.quantity
    OR r.status IS DISTINCT FROM CASE l.status WHEN 'confirmed' THEN 'reserved' ELSE 'committed' END
  END
ORDER BY 1`,
  },
  {
    name: '5 every order has the payment that its status says',
    countSql: `WITH ${settled} SELECT count(*) || ' settled orders' AS counted FROM settled`,
    offendersSql: `
WITH ${settled}, transactions AS (
  SELECT DISTINCT ON (stream) stream, data->'postings'->0->>'amount' AS amount, CASE type
    WHEN 'ledger.transaction-authorised.v1' THEN 'pending'
    WHEN 'ledger.transaction-released.v1' THEN data->>'reason'
    ELSE 'posted' END AS status
  FROM events WHERE stream LIKE 'transaction/%/order:%' ORDER BY stream, version DESC
)
SELECT 'order ' || o.order_id || ' (' || o.status || '): ' || (o.state->>'total') || ' to pay, '
  || coalesce(t.amount || ' (' || t.status || ')', 'none') || ' paid' AS offender
FROM settled o LEFT JOIN transactions t ON t.stream = 'transaction/' || (o.state->'payment'->>'ledger') || '/order:' || o.order_id
WHERE CASE
  WHEN o.status IN ('rejected', 'cancelled') THEN t.status IN ('pending', 'posted')
  WHEN o.state->>'total' = '0' THEN t.status IS NOT NULL
  ELSE t.amount IS DISTINCT FROM o.state->>'total'
    OR t.status IS DISTINCT FROM CASE o.status WHEN 'confirmed' THEN 'pending' ELSE 'posted' END
  END
ORDER BY 1`,
  },
  {
    name: '5 no order is refunded more than was captured',
    countSql: `SELECT count(*) || ' refunded orders' AS counted FROM ordering_orders WHERE status IN ('partially-refunded', 'refunded')`,
    offendersSql: `
SELECT 'order ' || o.order_id || ': ' || sum((r->>'amount')::numeric) || ' refunded of ' || (o.state->>'total') AS offender
FROM ordering_orders o CROSS JOIN LATERAL json_array_elements(o.state->'refunds') r
WHERE r->>'status' <> 'refused'
GROUP BY o.order_id, o.state->>'total' HAVING sum((r->>'amount')::numeric) > (o.state->>'total')::numeric ORDER BY 1`,
  },
];
