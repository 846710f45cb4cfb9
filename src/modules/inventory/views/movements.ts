import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { Projection } from '../../../platform/consumers/projection.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import { Cursor, type Page } from '../../../platform/http/paging.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { InventoryEvent } from '../domain/events.js';
import { statusAfter, type ReservationStatus } from '../domain/reservation.js';
import { stockNotFound, type Level } from '../domain/stock.js';

// ---- Table: one row per event and location that it changed. A SKU's events are in one partition, so their positions
// ---- are their order.

export type MovementType = 'received' | 'adjusted' | ReservationStatus;

interface MovementRow {
  position: number;
  line: number;
  recorded_at: Date;
  type: MovementType;
  location: string;
  quantity: number;
  on_hand_after: number;
  reserved_after: number;
  reservation_id: string | null;
  reference: string | null;
  reason: string | null;
}

// ---- Fold

interface Movement extends Level {
  readonly type: MovementType;
  readonly quantity: number;
  readonly reservationId?: string;
  readonly reference?: string;
  readonly reason?: string;
}

function movementsOf(event: RecordedEvent<InventoryEvent>): Movement[] {
  switch (event.type) {
    case 'inventory.stock-received.v1':
      return [{ type: 'received', ...event.data }];
    case 'inventory.stock-adjusted.v1':
      return [{ type: 'adjusted', ...event.data, quantity: event.data.delta }];
    case 'inventory.stock-reserved.v1':
    case 'inventory.reservation-committed.v1':
    case 'inventory.reservation-released.v1':
    case 'inventory.reservation-expired.v1': {
      const { reservationId, allocations } = event.data;
      return allocations.map((line) => ({ ...line, type: statusAfter[event.type], reservationId }));
    }
    default:
      return [];
  }
}

export const inventoryMovements: Projection = {
  name: 'inventory-movements',
  table: 'inventory_movements',
  key: ['sku', 'position', 'line'],

  project(events, table) {
    const rows = (events as readonly RecordedEvent<InventoryEvent>[]).flatMap((event) =>
      movementsOf(event).map((movement, line) => ({ event, line, movement })),
    );
    if (rows.length === 0) return [];
    return [
      {
        name: `${table}-add`,
        text: `
INSERT INTO ${table} (sku, position, line, recorded_at, type, location, quantity, on_hand_after, reserved_after,
  reservation_id, reference, reason)
SELECT * FROM ROWS FROM (unnest($1::text[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::text[], $6::text[],
  $7::bigint[], $8::bigint[], $9::bigint[], $10::text[]),
  json_array_elements_text($11::json), json_array_elements_text($12::json))`,
        values: [
          arrayLiteral(rows.map(({ event }) => event.data.sku)),
          arrayLiteral(rows.map(({ event }) => event.position)),
          arrayLiteral(rows.map(({ line }) => line)),
          arrayLiteral(rows.map(({ event }) => event.recordedAt)),
          arrayLiteral(rows.map(({ movement }) => movement.type)),
          arrayLiteral(rows.map(({ movement }) => movement.location)),
          arrayLiteral(rows.map(({ movement }) => movement.quantity)),
          arrayLiteral(rows.map(({ movement }) => movement.onHand)),
          arrayLiteral(rows.map(({ movement }) => movement.reserved)),
          arrayLiteral(rows.map(({ movement }) => movement.reservationId)),
          JSON.stringify(rows.map(({ movement }) => movement.reference ?? null)),
          JSON.stringify(rows.map(({ movement }) => movement.reason ?? null)),
        ],
      },
    ];
  },
};

// ---- Query

export interface MovementAnswer {
  readonly type: MovementType;
  readonly location: string;
  /** Negative only for an adjustment that took something away. */
  readonly quantity: number;
  readonly onHandAfter: number;
  readonly reservedAfter: number;
  readonly reservationId: string | null;
  readonly reference: string | null;
  readonly reason: string | null;
  readonly recordedAt: string;
}

export class ListMovements extends Query<Page<MovementAnswer>> {
  constructor(
    readonly sku: string,
    readonly options: { limit: number; cursor?: string },
  ) {
    super();
  }
}

const movementsCursor = new Cursor('inventory-movements', z.tuple([z.int(), z.int().min(0).max(32_767)]));

/** Newest first. */
@QueryHandler(ListMovements)
export class ListMovementsHandler implements IQueryHandler<ListMovements> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ sku, options }: ListMovements): Promise<Page<MovementAnswer>> {
    const { limit } = options;
    const [position, line] = movementsCursor.decode(options.cursor, sku) ?? [Number.MAX_SAFE_INTEGER, 0];
    const rows = await this.pool.rows<MovementRow>(
      'inventory-movements-list',
      `SELECT position::float8, line, recorded_at, type, location, quantity::float8, on_hand_after::float8,
         reserved_after::float8, reservation_id, reference, reason
       FROM inventory_movements WHERE sku = $1 AND (position, line) < ($2::bigint, $3::smallint)
       ORDER BY inventory_movements.position DESC, line DESC LIMIT $4`,
      [sku, position, line, limit + 1],
    );
    // All stock begins with a receipt, which is a movement.
    if (rows.length === 0 && options.cursor === undefined) throw stockNotFound(sku);
    return movementsCursor.page(rows, limit, sku, (row) => [row.position, row.line], answerOf);
  }
}

function answerOf(row: MovementRow): MovementAnswer {
  return {
    type: row.type,
    location: row.location,
    quantity: row.quantity,
    onHandAfter: row.on_hand_after,
    reservedAfter: row.reserved_after,
    reservationId: row.reservation_id,
    reference: row.reference,
    reason: row.reason,
    recordedAt: row.recorded_at.toISOString(),
  };
}
