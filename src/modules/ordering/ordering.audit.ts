import type { Invariant } from '../../platform/audit/audit.js';

/**
 * Orders whose work is done, as of the audit's snapshot: the view and the saga have come to all their events, and nothing
 * of theirs waits in the inbox. Of the others, stock and money are on their way. NOT IN, to look for those once and not for
 * each order.
 */
const settled = `
settled AS (
  SELECT o.order_id, o.status, o.state FROM ordering_orders o
  WHERE o.status <> 'placed' AND NOT coalesce((o.state->>'isShipping')::boolean, false)
    AND o.order_id NOT IN (
      SELECT c.payload->>'orderId' FROM commands c
      WHERE c.status IN ('accepted', 'scheduled', 'failed') AND c.type LIKE 'ordering.%'
        AND c.payload->>'orderId' IS NOT NULL
      UNION ALL
      SELECT e.data->>'orderId' FROM events e JOIN (
        SELECT partition, min(position) AS position FROM checkpoints
        WHERE consumer IN ('ordering-orders', 'ordering.carry-out-order') GROUP BY partition
      ) c ON c.partition = e.partition AND e.position > c.position
      WHERE e.stream LIKE 'order/%')
)`;

/** Payments that were reversed in the ledger. Theirs is another stream than the payments'. */
const reversals = `
reversals AS (
  SELECT data->>'ledger' AS ledger, data->>'reverses' AS payment, (data->'postings'->0->>'amount')::numeric AS amount
  FROM events WHERE type = 'ledger.transaction-posted.v1' AND data->>'reverses' LIKE 'order:%'
)`;

/**
 * What a confirmed order holds and a fulfilled one has used; one that came to nothing holds nothing. Of the log, not of the
 * views of stock and money, which may be behind. What a client made by the name that an order would give is the client's:
 * only a checkout's command ends in the step's name (taking.ts).
 */
export const orderingInvariants: readonly Invariant[] = [
  {
    name: '5 every order has the stock that its status says',
    countSql: `WITH ${settled} SELECT count(*) || ' settled orders of ' || (SELECT count(*) FROM ordering_orders) AS counted FROM settled`,
    offendersSql: `
WITH ${settled}, lines AS (
  SELECT o.order_id, o.status, l->>'sku' AS sku, (l->>'quantity')::bigint AS quantity
  FROM settled o CROSS JOIN LATERAL json_array_elements(o.state->'lines') l
), reservations AS (
  SELECT DISTINCT ON (stream) stream,
    first_value(metadata->>'commandId') OVER (PARTITION BY stream ORDER BY version) LIKE '%/reserve/%' AS is_orders,
    (SELECT sum((a->>'quantity')::bigint) FROM jsonb_array_elements(data->'allocations') a) AS quantity, CASE type
    WHEN 'inventory.stock-reserved.v1' THEN 'reserved'
    WHEN 'inventory.reservation-committed.v1' THEN 'committed'
    WHEN 'inventory.reservation-expired.v1' THEN 'expired'
    ELSE 'released' END AS status
  FROM events WHERE stream LIKE 'reservation/%/order:%' ORDER BY stream, version DESC
)
SELECT 'order ' || l.order_id || ' (' || l.status || '): ' || l.quantity || ' of ' || l.sku || ', reserved for it '
  || coalesce(r.quantity || ' (' || r.status || ')', 'none') AS offender
FROM lines l LEFT JOIN reservations r ON r.stream = 'reservation/' || l.sku || '/order:' || l.order_id
WHERE CASE
  WHEN l.status IN ('rejected', 'cancelled') THEN r.is_orders AND r.status IN ('reserved', 'committed')
  ELSE r.quantity IS DISTINCT FROM l.quantity
    OR r.status IS DISTINCT FROM CASE l.status WHEN 'confirmed' THEN 'reserved' ELSE 'committed' END
  END
ORDER BY 1`,
  },
  {
    name: '5 every order has the payment that its status says',
    countSql: `WITH ${settled} SELECT count(*) || ' settled orders' AS counted FROM settled`,
    offendersSql: `
WITH ${settled}, ${reversals}, transactions AS (
  SELECT DISTINCT ON (stream) stream,
    first_value(metadata->>'commandId') OVER (PARTITION BY stream ORDER BY version) LIKE '%/authorise' AS is_orders,
    data->'postings'->0->>'amount' AS amount, CASE type
    WHEN 'ledger.transaction-authorised.v1' THEN 'pending'
    WHEN 'ledger.transaction-released.v1' THEN data->>'reason'
    ELSE 'posted' END AS status
  FROM events WHERE stream LIKE 'transaction/%/order:%' ORDER BY stream, version DESC
)
SELECT 'order ' || o.order_id || ' (' || o.status || '): ' || (o.state->>'total') || ' to pay, '
  || coalesce(t.amount || ' (' || t.status || ')', 'none') || ' paid' AS offender
FROM settled o LEFT JOIN transactions t ON t.stream = 'transaction/' || (o.state->'payment'->>'ledger') || '/order:' || o.order_id
WHERE CASE
  WHEN o.status IN ('rejected', 'cancelled') THEN t.is_orders AND (t.status = 'pending' OR t.status = 'posted'
    AND NOT EXISTS (SELECT FROM reversals v WHERE v.ledger = o.state->'payment'->>'ledger' AND v.payment = 'order:' || o.order_id))
  WHEN o.state->>'total' = '0' THEN t.status IS NOT NULL
  ELSE t.amount IS DISTINCT FROM o.state->>'total'
    OR t.status IS DISTINCT FROM CASE o.status WHEN 'confirmed' THEN 'pending' ELSE 'posted' END
  END
ORDER BY 1`,
  },
  {
    name: '5 no order is refunded more than was captured',
    countSql: `SELECT count(*) || ' refunded orders' AS counted FROM ordering_orders WHERE status IN ('partially-refunded', 'refunded')`,
    // What the order says, or what the ledger says if that is more; and a payment that was reversed in the ledger went back whole.
    offendersSql: `
WITH refunds AS (
  SELECT o.order_id, o.state->>'total' AS total, o.state->'payment'->>'ledger' AS ledger,
    sum((r->>'amount')::numeric) AS said, coalesce(sum(t.amount), 0) AS moved
  FROM ordering_orders o CROSS JOIN LATERAL json_array_elements(o.state->'refunds') r
  LEFT JOIN (
    SELECT stream, (data->'postings'->0->>'amount')::numeric AS amount
    FROM events WHERE stream LIKE 'transaction/%/refund:%' AND type = 'ledger.transaction-posted.v1'
  ) t ON t.stream = 'transaction/' || (o.state->'payment'->>'ledger') || '/refund:' || o.order_id || ':' || (r->>'refundId')
  WHERE r->>'status' <> 'refused'
  GROUP BY 1, 2, 3
), ${reversals}
SELECT 'order ' || f.order_id || ': ' || greatest(f.said, f.moved) || ' refunded'
  || coalesce(', and ' || v.amount || ' reversed,', '') || ' of ' || f.total AS offender
FROM refunds f LEFT JOIN reversals v ON v.ledger = f.ledger AND v.payment = 'order:' || f.order_id
WHERE greatest(f.said, f.moved) + coalesce(v.amount, 0) > f.total::numeric ORDER BY 1`,
  },
];
