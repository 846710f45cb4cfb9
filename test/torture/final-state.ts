import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { atOneMoment, ledgerTables, logContents, type LogContents, type ReadTables, type Rows } from '../chaos/log-contents.js';

/** All that the database holds when a run is over, as of one moment. */
export interface FinalState {
  readonly log: LogContents;
  readonly ledger: ReadTables;
  readonly stock: readonly StockRow[];
  readonly reservations: readonly ReservationRow[];
  readonly orders: readonly OrderRow[];
  readonly work: OpenWork;
}

/** Of the row that holds what there is; `reserved` as of the last event there. */
export interface StockRow {
  readonly sku: string;
  readonly location: string;
  readonly onHand: number;
  readonly reserved: number;
  readonly versions: number;
}

export interface ReservationRow {
  readonly sku: string;
  readonly reservationId: string;
  readonly quantity: number;
  readonly status: string;
}

export interface OrderRow {
  readonly orderId: string;
  readonly customerId: string;
  readonly status: string;
  readonly version: number;
  readonly total: string;
}

/** What is still to be done. */
export interface OpenWork {
  /** Of all consumers and partitions: events not yet read. */
  readonly lagEvents: number;
  /** Consumers that can not get past an event, as `<consumer> at <partition>@<position>`. */
  readonly stuck: readonly string[];
  /** Commands that are accepted, due or failed, as `<type> <id> (<status>)`. */
  readonly commands: readonly string[];
}

export function readFinalState(pool: pg.Pool): Promise<FinalState> {
  return atOneMoment(pool, async (rows) => ({
    log: await logContents(rows),
    ledger: await ledgerTables(rows),
    stock: await rows(`
      SELECT sku, location, on_hand::float8 AS "onHand", reserved::float8 AS reserved, versions
      FROM inventory_stock WHERE until = 'infinity'`),
    reservations: await rows(`
      SELECT sku, reservation_id AS "reservationId", quantity::float8 AS quantity, status FROM inventory_reservations`),
    orders: await rows(`
      SELECT order_id AS "orderId", customer_id AS "customerId", status, version, state->>'total' AS total FROM ordering_orders`),
    work: await openWork(rows),
  }));
}

/** Scheduled commands that are due have some seconds: they are looked for now and then. */
export async function openWork(rows: Rows): Promise<OpenWork> {
  const [found] = await rows<{ lag: number; stuck: string[]; commands: string[] }>(`
    SELECT (SELECT coalesce(sum(p.head - c.position), 0)::float8 FROM checkpoints c JOIN partitions p USING (partition)) AS lag,
      ARRAY(SELECT consumer || ' at ' || partition || '@' || failed_position FROM checkpoints
        WHERE failed_position IS NOT NULL ORDER BY 1) AS stuck,
      ARRAY(SELECT type || ' ' || command_id || ' (' || status || ')' FROM commands
        WHERE status IN ('accepted', 'failed') OR status = 'scheduled' AND due_at < clock_timestamp() - interval '2 seconds'
        ORDER BY 1) AS commands`);
  const { lag, stuck, commands } = found!;
  return { lagEvents: lag, stuck, commands };
}

/** Resolves with how long it took until nothing was left to do, or with nothing when it took longer than may be. */
export async function allIsDone(pool: pg.Pool, withinMs: number): Promise<number | undefined> {
  const beganAtMs = performance.now();
  while (performance.now() - beganAtMs < withinMs) {
    const work = await atOneMoment(pool, openWork).catch(() => undefined);
    if (work && work.lagEvents === 0 && work.stuck.length === 0 && work.commands.length === 0) return performance.now() - beganAtMs;
    await sleep(50);
  }
  return undefined;
}
