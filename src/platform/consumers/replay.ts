import type pg from 'pg';
import type { EventCatalogue } from '../log/catalogue.js';
import { readEventsOfOneSql, type StoredEventRow } from './checkpoints.js';
import type { Projection } from './projection.js';
import { readStored } from './consumer-runner.js';

const eventsAtOnce = 5_000;

/**
 * Applies a partition's events after one position, up to and with another, to a table of the projection's shape:
 * one batch. Returns the position it came to. The caller's transaction decides whether it happened.
 */
export async function replayBatch(
  client: pg.ClientBase,
  catalogue: EventCatalogue,
  projection: Projection,
  table: string,
  range: { partition: number; after: number; upTo: number },
): Promise<number> {
  const { partition, after, upTo } = range;
  const read = { name: 'replay-read', text: readEventsOfOneSql, values: [partition, after, upTo, eventsAtOnce, []] };
  const { rows } = await client.query<StoredEventRow>(read);
  const last = rows.at(-1)?.position;
  if (last === undefined) throw new Error(`partition ${partition} has no event after ${after}, though its head is further`);
  try {
    const events = rows.map((row) => readStored(catalogue, row));
    const lookUp = projection.lookUp?.(events, table);
    const found = lookUp ? (await client.query<object>(lookUp)).rows : [];
    for (const statement of projection.project(events, table, found)) await client.query(statement);
  } catch (error) {
    const message = `${projection.name} can not apply events ${after + 1} to ${last} of partition ${partition}`;
    throw new Error(`${message}: ${(error as Error).message}`, { cause: error });
  }
  return last;
}

/** How two tables of the same shape differ: rows that only one has, and rows that are not the same in both. */
export interface Parity {
  readonly rows: number;
  readonly different: number;
  /** The keys of the first few. */
  readonly examples: readonly object[];
}

export async function compareTables(
  client: pg.ClientBase,
  projection: Projection,
  left: string,
  right: string,
): Promise<Parity> {
  const key = projection.key.join(', ');
  const differing = `
FROM ${left} l FULL JOIN ${right} r USING (${key}) WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(r)`;
  const [{ rows }] = (await client.query<{ rows: number }>(`SELECT count(*)::float8 AS rows FROM ${right}`))
    .rows as [{ rows: number }];
  const [{ different }] = (await client.query<{ different: number }>(`SELECT count(*)::float8 AS different ${differing}`))
    .rows as [{ different: number }];
  const examples = different === 0 ? [] : (await client.query<object>(`SELECT ${key} ${differing} LIMIT 5`)).rows;
  return { rows, different, examples };
}
