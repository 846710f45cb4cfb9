import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Statement } from '../../../platform/consumers/consumer.js';
import type { Projection } from '../../../platform/consumers/projection.js';
import { asOf } from '../../../platform/database/as-of.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { InventoryEvent } from '../domain/events.js';
import {
  plain,
  reservationNotFound,
  statusAfter,
  type ReservationAnswer,
  type ReservationStatus,
} from '../domain/reservation.js';
import type { Allocation } from '../domain/stock.js';

// ---- Table: one row per reservation

interface ReservationRow {
  sku: string;
  reservation_id: string;
  quantity: number;
  status: ReservationStatus;
  allocations: Allocation[];
  expires_at: Date | null;
  as_of: number;
  valid_for_ms: number | null;
}

// ---- Fold: new reservations, and what becomes of those of former batches

interface ReservationChange {
  readonly sku: string;
  readonly reservationId: string;
  status: ReservationStatus;
  made?: { readonly quantity: number; readonly allocations: readonly Allocation[]; readonly expiresAt?: string };
}

function changesOf(events: readonly RecordedEvent<InventoryEvent>[]): ReservationChange[] {
  const changes = new Map<string, ReservationChange>();
  for (const { type, data } of events) {
    if (!(type in statusAfter) || !('reservationId' in data)) continue;
    const { sku, reservationId, allocations, expiresAt } = data;
    const status = statusAfter[type as keyof typeof statusAfter];
    const key = `${sku}/${reservationId}`;
    const change = changes.get(key) ?? { sku, reservationId, status };
    changes.set(key, Object.assign(change, { status }));
    // One that was released before it was made begins with that.
    if ('quantity' in data || allocations.length === 0) {
      const quantity = 'quantity' in data ? data.quantity : 0;
      change.made = { quantity, allocations: allocations.map(plain), expiresAt };
    }
  }
  return [...changes.values()];
}

const resourceKey = (sku: string, reservationId: string) => `${sku}/${reservationId}`;

export const inventoryReservations: Projection = {
  name: 'inventory-reservations',
  table: 'inventory_reservations',
  key: ['sku', 'reservation_id'],

  changedKeys({ type, data }) {
    if (!(type in statusAfter)) return [];
    const { sku, reservationId } = data as { sku: string; reservationId: string };
    return [resourceKey(sku, reservationId)];
  },

  project(events, table) {
    const changes = changesOf(events as readonly RecordedEvent<InventoryEvent>[]);
    const made = changes.filter((change) => change.made);
    const settled = changes.filter((change) => !change.made);
    const statements: Statement[] = [];
    if (made.length > 0) {
      statements.push({
        name: `${table}-add`,
        text: `
INSERT INTO ${table} (sku, reservation_id, status, quantity, expires_at, allocations)
SELECT * FROM ROWS FROM (unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[]),
  json_array_elements($6::json))`,
        values: [
          arrayLiteral(made.map((change) => change.sku)),
          arrayLiteral(made.map((change) => change.reservationId)),
          arrayLiteral(made.map((change) => change.status)),
          arrayLiteral(made.map((change) => change.made!.quantity)),
          arrayLiteral(made.map((change) => change.made!.expiresAt)),
          JSON.stringify(made.map((change) => change.made!.allocations)),
        ],
      });
    }
    if (settled.length > 0) {
      statements.push({
        name: `${table}-settle`,
        text: `
UPDATE ${table} t SET status = r.status
FROM unnest($1::text[], $2::text[], $3::text[]) AS r(sku, reservation_id, status)
WHERE t.sku = r.sku AND t.reservation_id = r.reservation_id`,
        values: [
          arrayLiteral(settled.map((change) => change.sku)),
          arrayLiteral(settled.map((change) => change.reservationId)),
          arrayLiteral(settled.map((change) => change.status)),
        ],
      });
    }
    return statements;
  },
};

// ---- Query

export class GetReservation extends Query<Resource<ReservationAnswer>> {
  constructor(
    readonly sku: string,
    readonly reservationId: string,
  ) {
    super();
  }
}

/** One that has expired is said to have, also before that is on record. */
@QueryHandler(GetReservation)
export class GetReservationHandler implements IQueryHandler<GetReservation> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ sku, reservationId }: GetReservation): Promise<Resource<ReservationAnswer>> {
    const partition = this.pool.partitionOf(sku);
    const [row] = await this.pool.rows<ReservationRow>(
      'inventory-reservation-get',
      `SELECT sku, reservation_id, quantity::float8, allocations, expires_at,
         CASE WHEN status = 'reserved' AND expires_at <= statement_timestamp() THEN 'expired' ELSE status END AS status,
         CASE WHEN status = 'reserved' AND expires_at > statement_timestamp()
           THEN (extract(epoch FROM expires_at - statement_timestamp()) * 1000)::float8 END AS valid_for_ms,
         ${asOf(inventoryReservations.name, '$3')} AS as_of
       FROM inventory_reservations WHERE sku = $1 AND reservation_id = $2`,
      [sku, reservationId, partition],
    );
    if (!row) throw reservationNotFound(sku, reservationId);
    const source = { view: inventoryReservations.name, partition, key: resourceKey(sku, reservationId), asOf: row.as_of };
    return { body: answerOf(row), sources: [source], validForMs: row.valid_for_ms ?? undefined };
  }
}

function answerOf(row: ReservationRow): ReservationAnswer {
  return {
    reservationId: row.reservation_id,
    sku: row.sku,
    quantity: row.quantity,
    status: row.status,
    allocations: row.allocations,
    ...(row.expires_at && { expiresAt: row.expires_at.toISOString() }),
  };
}
