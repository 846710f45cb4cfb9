import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type DataLoader from 'dataloader';
import type { Projection } from '../../../platform/consumers/projection.js';
import { asOf } from '../../../platform/database/as-of.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { batchLoader } from '../../../platform/database/batch-loader.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import type { Resource, Source } from '../../../platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { InventoryEvent } from '../domain/events.js';
import { stockNotFound, type Level } from '../domain/stock.js';

// ---- Table: per SKU and location one row of what there is as of the last event there (`until` infinity), and one for
// ---- each later moment at which some of what is reserved stops counting: how much. The rows of moments that have
// ---- passed go with the next event, so a read takes off what passed since the last one: a few rows, however many
// ---- reservations are open. Both kinds are in one table, because a read must find both as of the same event.

const always = 'infinity';

/** Rows as of now by the database's clock, of all SKUs or those of a condition: where expired reservations are none. */
export const currentStock = (condition: string): string => `
SELECT s.sku, s.location, s.first_position, s.on_hand, s.versions, s.reserved - coalesce((
  SELECT sum(passed.reserved) FROM inventory_stock passed
  WHERE passed.sku = s.sku AND passed.until <= statement_timestamp() AND passed.location = s.location), 0) AS reserved
FROM inventory_stock s WHERE s.until = 'infinity' AND ${condition}`;

// ---- Fold: what a batch does to each row it touches

interface StockRow {
  readonly sku: string;
  readonly until: string;
  readonly location: string;
  /** Of the event that made it: locations are in the order of their first receipts. */
  readonly firstPosition: number;
  onHand: number;
  /** For ever: what it is after the batch. Until a moment: what the batch adds. */
  reserved: number;
  /** Events are counted once, at the first location they are about. */
  versions: number;
}

/** What is as of a time: later events of the batch are the ones that count. */
type LastTimes = Map<string, { readonly sku: string; readonly location: string; readonly recordedAt: string }>;

function rowsOf(events: readonly RecordedEvent<InventoryEvent>[]): { rows: StockRow[]; lastTimes: LastTimes } {
  const rows = new Map<string, StockRow>();
  const lastTimes: LastTimes = new Map();
  const rowOf = (sku: string, until: string, location: string, firstPosition: number): StockRow => {
    const key = `${sku}/${until}/${location}`;
    let row = rows.get(key);
    if (!row) rows.set(key, (row = { sku, until, location, firstPosition, onHand: 0, reserved: 0, versions: 0 }));
    return row;
  };
  for (const event of events) {
    const levels = levelsOf(event);
    if (levels.length === 0) continue;
    const { sku } = event.data;
    levels.forEach(({ location, onHand, reserved }, index) => {
      const row = rowOf(sku, always, location, event.position);
      Object.assign(row, { onHand, reserved, versions: row.versions + (index === 0 ? 1 : 0) });
      lastTimes.set(`${sku}/${location}`, { sku, location, recordedAt: event.recordedAt });
    });
    if (!('allocations' in event.data) || event.data.expiresAt === undefined) continue;
    const sign = event.type === 'inventory.stock-reserved.v1' ? 1 : -1;
    for (const { location, quantity } of event.data.allocations) {
      rowOf(sku, event.data.expiresAt, location, 0).reserved += sign * quantity;
    }
  }
  // What passed within the batch is in the rows of `always` already.
  const isLeft = ({ sku, until, location }: StockRow) =>
    until === always || until > lastTimes.get(`${sku}/${location}`)!.recordedAt;
  return { rows: [...rows.values()].filter(isLeft), lastTimes };
}

/** The locations that an event is about, each with what it left there. None: the event is not about stock. */
function levelsOf(event: RecordedEvent<InventoryEvent>): readonly Level[] {
  switch (event.type) {
    case 'inventory.stock-received.v1':
    case 'inventory.stock-adjusted.v1':
      return [event.data];
    case 'inventory.stock-reserved.v1':
    case 'inventory.reservation-committed.v1':
    case 'inventory.reservation-released.v1':
    case 'inventory.reservation-expired.v1':
      return event.data.allocations;
    default:
      return [];
  }
}

export const inventoryStock: Projection = {
  name: 'inventory-stock',
  table: 'inventory_stock',
  key: ['sku', 'until', 'location'],

  changedKeys: (event) => (levelsOf(event as RecordedEvent<InventoryEvent>).length > 0 ? [(event.data as { sku: string }).sku] : []),

  project(events, table) {
    const { rows, lastTimes } = rowsOf(events as readonly RecordedEvent<InventoryEvent>[]);
    if (rows.length === 0) return [];
    const last = [...lastTimes.values()];
    return [
      {
        name: `${table}-change`,
        text: `
INSERT INTO ${table} AS t (sku, until, location, first_position, on_hand, reserved, versions)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[])
ON CONFLICT (sku, until, location) DO UPDATE
SET on_hand = excluded.on_hand, versions = t.versions + excluded.versions,
  reserved = CASE t.until WHEN 'infinity' THEN excluded.reserved ELSE t.reserved + excluded.reserved END`,
        values: [
          arrayLiteral(rows.map((row) => row.sku)),
          arrayLiteral(rows.map((row) => row.until)),
          arrayLiteral(rows.map((row) => row.location)),
          arrayLiteral(rows.map((row) => row.firstPosition)),
          arrayLiteral(rows.map((row) => row.onHand)),
          arrayLiteral(rows.map((row) => row.reserved)),
          arrayLiteral(rows.map((row) => row.versions)),
        ],
      },
      {
        name: `${table}-pass`,
        text: `
DELETE FROM ${table} t
USING unnest($1::text[], $2::text[], $3::timestamptz[]) AS r(sku, location, recorded_at)
WHERE t.sku = r.sku AND t.until <= r.recorded_at AND t.location = r.location`,
        values: [
          arrayLiteral(last.map(({ sku }) => sku)),
          arrayLiteral(last.map(({ location }) => location)),
          arrayLiteral(last.map(({ recordedAt }) => recordedAt)),
        ],
      },
    ];
  },
};

// ---- Queries

/** The SKUs asked for, each with what is there now, as of when that is, and when some of it next stops counting. */
const asked = `
FROM unnest($1::text[], $2::smallint[]) AS asked(sku, partition)
LEFT JOIN (${currentStock('true')}) stock ON stock.sku = asked.sku`;
const sourceColumns = `
${asOf('inventory-stock', 'asked.partition')} AS as_of, (
  SELECT (extract(epoch FROM min(next.until) - statement_timestamp()) * 1000)::float8 FROM inventory_stock next
  WHERE next.sku = asked.sku AND next.until > statement_timestamp() AND next.until < 'infinity') AS valid_for_ms`;

interface FoundStock {
  readonly sku: string;
  readonly as_of: number;
  readonly valid_for_ms: number | null;
}

/** The SKUs that are asked for while the event loop turns once share one statement, each of them read once. */
function stockLoader<Found extends FoundStock>(pool: QueryPool, name: string, column: string): DataLoader<string, Found> {
  return batchLoader(async (skus: readonly string[]) => {
    const distinct = [...new Set(skus)];
    const partitions = distinct.map((sku) => pool.partitionOf(sku));
    const rows = await pool.rows<Found>(
      name,
      `SELECT asked.sku, ${column}, ${sourceColumns} ${asked} GROUP BY asked.sku, asked.partition`,
      [arrayLiteral(distinct), partitions],
    );
    const found = new Map(rows.map((row) => [row.sku, row]));
    return skus.map((sku) => found.get(sku)!);
  });
}

function sourceOf(pool: QueryPool, { sku, as_of, valid_for_ms }: FoundStock) {
  const source = { view: inventoryStock.name, partition: pool.partitionOf(sku), key: sku, asOf: as_of };
  return { source, validForMs: valid_for_ms ?? undefined };
}

export class GetStock extends Query<Resource> {
  constructor(readonly sku: string) {
    super();
  }
}

/** No version goes with the answer: it changes with time too, so its ETag is a hash of it. */
@QueryHandler(GetStock)
export class GetStockHandler implements IQueryHandler<GetStock> {
  private readonly loader: DataLoader<string, FoundStock & { readonly json: string | null }>;

  constructor(private readonly pool: QueryPool) {
    this.loader = stockLoader(
      pool,
      'inventory-stock-get',
      `CASE WHEN count(stock.sku) > 0 THEN json_build_object('sku', asked.sku, 'onHand', sum(on_hand),
         'reserved', sum(reserved), 'available', sum(on_hand - reserved),
         'locations', json_agg(json_build_object('location', location, 'onHand', on_hand, 'reserved', reserved,
           'available', on_hand - reserved) ORDER BY first_position),
         'version', sum(versions))::text END AS json`,
    );
  }

  async execute({ sku }: GetStock): Promise<Resource> {
    const found = await this.loader.load(sku);
    if (found.json === null) throw stockNotFound(sku);
    const { source, validForMs } = sourceOf(this.pool, found);
    return { json: found.json, sources: [source], validForMs };
  }
}

/** How much of a SKU is available; 0 too when there never was any. */
export class GetAvailable extends Query<{ readonly available: number; readonly source: Source; readonly validForMs?: number }> {
  constructor(readonly sku: string) {
    super();
  }
}

@QueryHandler(GetAvailable)
export class GetAvailableHandler implements IQueryHandler<GetAvailable> {
  private readonly loader: DataLoader<string, FoundStock & { readonly available: number }>;

  constructor(private readonly pool: QueryPool) {
    this.loader = stockLoader(
      pool,
      'inventory-available-get',
      'coalesce(sum(on_hand - reserved), 0)::float8 AS available',
    );
  }

  async execute({ sku }: GetAvailable) {
    const found = await this.loader.load(sku);
    return { available: found.available, ...sourceOf(this.pool, found) };
  }
}
