import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { Projection } from '../../../platform/consumers/projection.js';
import { asOf } from '../../../platform/database/as-of.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import { Cursor, type Page } from '../../../platform/http/paging.js';
import { timeSchema } from '../../../platform/http/schemas.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import {
  answerOf,
  evolveOrder,
  initialOrder,
  orderNotFound,
  type OrderAnswer,
  type OrderEvent,
  type OrderState,
  type OrderStatus,
} from '../domain/order.js';

// ---- Table: one row per order, with its state as the domain folds it

interface OrderRow {
  readonly order_id: string;
  readonly version: number;
  readonly state: OrderState;
}

// ---- Fold: the same as the domain's, over what is there of the orders that go on

function ownOf(events: readonly RecordedEvent[]): RecordedEvent<OrderEvent>[] {
  return events.filter(({ type }) => type.startsWith('ordering.')) as RecordedEvent<OrderEvent>[];
}

/** Ids of the orders that were placed before these events. */
function goingOn(events: readonly RecordedEvent<OrderEvent>[]): string[] {
  const placedHere = new Set(events.filter(({ type }) => type === 'ordering.order-placed.v1').map(({ data }) => data.orderId));
  return [...new Set(events.map(({ data }) => data.orderId))].filter((orderId) => !placedHere.has(orderId));
}

function fold(events: readonly RecordedEvent<OrderEvent>[], before: readonly OrderRow[]): OrderRow[] {
  const orders = new Map(before.map((row) => [row.order_id, row]));
  for (const event of events) {
    const { orderId } = event.data;
    const { version, state } = orders.get(orderId) ?? { version: 0, state: initialOrder(orderId) };
    const next = evolveOrder(state, event as OrderEvent, event.recordedAt);
    orders.set(orderId, { order_id: orderId, version: version + 1, state: next });
  }
  return [...orders.values()];
}

export const orderingOrders: Projection = {
  name: 'ordering-orders',
  table: 'ordering_orders',
  key: ['order_id'],

  changedKeys: ({ type, data }) => (type.startsWith('ordering.') ? [(data as OrderEvent['data']).orderId] : []),

  lookUp(events, table) {
    const orderIds = goingOn(ownOf(events));
    if (orderIds.length === 0) return;
    return {
      name: `${table}-read`,
      text: `SELECT order_id, version, state FROM ${table} WHERE order_id = ANY ($1::text[])`,
      values: [arrayLiteral(orderIds)],
    };
  },

  project(events, table, found) {
    const orders = fold(ownOf(events), found as readonly OrderRow[]);
    if (orders.length === 0) return [];
    return [
      {
        name: `${table}-put`,
        text: `
INSERT INTO ${table} AS o (order_id, customer_id, status, placed_at, version, state)
SELECT r.order_id, r.customer_id, r.status, r.placed_at, r.version, r.state
FROM ROWS FROM (
  unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::integer[]), json_array_elements($6::json)
) AS r(order_id, customer_id, status, placed_at, version, state)
ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, version = excluded.version, state = excluded.state`,
        values: [
          arrayLiteral(orders.map((order) => order.order_id)),
          arrayLiteral(orders.map(({ state }) => state.customerId)),
          arrayLiteral(orders.map(({ state }) => state.status)),
          arrayLiteral(orders.map(({ state }) => state.history[0]!.at)),
          arrayLiteral(orders.map((order) => order.version)),
          JSON.stringify(orders.map(({ state }) => state)),
        ],
      },
    ];
  },
};

// ---- Queries

export class GetOrder extends Query<Resource<OrderAnswer>> {
  constructor(readonly orderId: string) {
    super();
  }
}

@QueryHandler(GetOrder)
export class GetOrderHandler implements IQueryHandler<GetOrder> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ orderId }: GetOrder): Promise<Resource<OrderAnswer>> {
    const partition = this.pool.partitionOf(orderId);
    const [row] = await this.pool.rows<OrderRow & { as_of: number }>(
      'ordering-orders-get',
      `SELECT order_id, version, state, ${asOf(orderingOrders.name, '$2')} AS as_of
       FROM ordering_orders WHERE order_id = $1`,
      [orderId, partition],
    );
    if (!row) throw orderNotFound(orderId);
    const source = { view: orderingOrders.name, partition, key: orderId, asOf: row.as_of };
    return { version: row.version, body: answerOf(row.state), sources: [source] };
  }
}

export interface ListOrdersOptions {
  readonly limit: number;
  readonly cursor?: string;
  readonly customerId?: string;
  readonly status?: OrderStatus;
  readonly placedFrom?: string;
  readonly placedTo?: string;
}

export class ListOrders extends Query<Page<OrderAnswer>> {
  constructor(readonly options: ListOrdersOptions) {
    super();
  }
}

const ordersCursor = new Cursor('ordering-orders', z.tuple([timeSchema, z.string()]));

/** Newest first. */
@QueryHandler(ListOrders)
export class ListOrdersHandler implements IQueryHandler<ListOrders> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ options }: ListOrders): Promise<Page<OrderAnswer>> {
    const { limit, cursor, customerId, status, placedFrom = '0001-01-01T00:00:00.000Z', placedTo } = options;
    const filter = `${customerId ?? ''} ${status ?? ''} ${placedFrom} ${placedTo ?? ''}`;
    const [placedAt, orderId] = ordersCursor.decode(cursor, filter) ?? [placedTo ?? '9999-12-31T23:59:59.999Z', '~'];
    const conditions = [customerId && 'customer_id = $5', status && `status = $${customerId ? 6 : 5}`].filter(Boolean);
    const rows = await this.pool.rows<OrderRow>(
      `ordering-orders-list${customerId ? '-customer' : ''}${status ? '-status' : ''}`,
      // placed_at alone leads the index scan; the row comparison only takes off the order the page before ended with.
      `SELECT order_id, version, state FROM ordering_orders
       WHERE placed_at >= $1 AND placed_at <= $2 AND (placed_at, order_id) < ($2, $3)
       ${conditions.map((condition) => `AND ${condition}`).join(' ')}
       ORDER BY placed_at DESC, order_id DESC LIMIT $4`,
      [placedFrom, placedAt, orderId, limit + 1, ...(customerId ? [customerId] : []), ...(status ? [status] : [])],
    );
    return ordersCursor.page(rows, limit, filter, ({ state }) => [state.history[0]!.at, state.orderId], ({ state }) => answerOf(state));
  }
}
