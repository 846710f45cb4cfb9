import { Injectable } from '@nestjs/common';
import { QueryPool } from '../database/query-pool.js';
import { EventCatalogue } from './catalogue.js';
import type { Event, Stream } from './stream.js';

/** An event as one stream has it. Its `type` tells what `data` is. */
export type StreamEvent<E extends Event = Event> = E extends Event
  ? {
      /** 1, 2, 3, … in the stream, without a gap. */
      readonly version: number;
      readonly type: E['type'];
      readonly data: E['data'];
      readonly recordedAt: string;
    }
  : never;

/** Events of a stream, the latest one first, and the position of the log that they are as of. */
export interface StreamPage<E extends Event> {
  readonly events: readonly StreamEvent<E>[];
  readonly asOf: number;
}

export interface StreamRange {
  /** Of versions before this one. */
  readonly before?: number;
  /** And after this one. */
  readonly after?: number;
  /** At most so many. */
  readonly limit: number;
}

const lastVersion = 2_147_483_647;

/**
 * A stream's events for queries, from the log itself: where a read model would repeat them event by event, under the
 * key that the log has them under already (ADR 0018). On a replica like every other read.
 *
 * It sees the log up to the checkpoint of a view, read in the same snapshot, and nothing after it. So what is read from
 * the log and what is read from the view are of one moment: a wait for a consistency token is a wait for that view, and
 * an answer may be cached by the changes that the view announces.
 */
@Injectable()
export class StreamReader {
  constructor(
    private readonly pool: QueryPool,
    private readonly catalogue: EventCatalogue,
  ) {}

  async latest<E extends Event>(
    view: string,
    partitionKey: string,
    { name }: Stream,
    { before = lastVersion, after = 0, limit }: StreamRange,
  ): Promise<StreamPage<E>> {
    const partition = this.pool.partitionOf(partitionKey);
    const values = [name, before, after, limit, view];
    const rows = await this.pool.rows<StreamRow>(`stream-latest-${partition}`, latestSql(partition), values);
    const events = rows.map(({ version, type, data, recorded_at }) => {
      const event = this.catalogue.read(type, JSON.parse(data) as object);
      return { version, ...event, recordedAt: recorded_at.toISOString() } as StreamEvent<E>;
    });
    return { events, asOf: rows[0]?.as_of ?? 0 };
  }

  /** How many of a stream's events were recorded before a time (or until then, including it). */
  async versionsBefore(partitionKey: string, { name }: Stream, time: string, isIncluded = false): Promise<number> {
    const partition = this.pool.partitionOf(partitionKey);
    const values = [name, time, isIncluded];
    const rows = await this.pool.rows<{ version: number }>(`stream-versions-${partition}`, versionsSql(partition), values);
    return rows[0]!.version;
  }
}

interface StreamRow {
  version: number;
  type: string;
  data: string;
  recorded_at: Date;
  as_of: number;
}

/**
 * A stream's events are those it is the primary stream of and those linked to it, both under (partition, stream,
 * version). For one partition, as refresh.ts has it: a plan for any of them opens sixteen.
 */
export const latestSql = (only: number): string => `
SELECT e.version, e.type, e.data::text AS data, e.recorded_at, c.position::float8 AS as_of
FROM (SELECT position FROM checkpoints WHERE consumer = $5 AND partition = ${only}) c CROSS JOIN LATERAL (
  (SELECT version, type, data, recorded_at FROM events
   WHERE partition = ${only} AND stream = $1 AND version < $2 AND version > $3 AND position <= c.position
   ORDER BY version DESC LIMIT $4)
  UNION ALL
  SELECT l.version, e.type, e.data, e.recorded_at
  FROM (
    SELECT version, position FROM stream_links
    WHERE partition = ${only} AND stream = $1 AND version < $2 AND version > $3 AND position <= c.position
    ORDER BY version DESC LIMIT $4) l
  CROSS JOIN LATERAL (
    SELECT type, data, recorded_at FROM events WHERE partition = ${only} AND position = l.position OFFSET 0) e) e
ORDER BY e.version DESC LIMIT $4`;

/**
 * Looks for the version by halving: times never decrease within a partition, so neither do they within a stream. Ten
 * million versions are 24 steps of two lookups, and no index on the time is needed. The events of versions up to `low`
 * are from before, those from `high` on are not.
 */
export const versionsSql = (only: number): string => `
WITH RECURSIVE search(low, high) AS (
  SELECT 0, 1 + greatest(0,
    (SELECT max(version) FROM events WHERE partition = ${only} AND stream = $1),
    (SELECT max(version) FROM stream_links WHERE partition = ${only} AND stream = $1))
  UNION ALL
  SELECT CASE WHEN is_before THEN middle ELSE low END, CASE WHEN is_before THEN high ELSE middle END
  FROM search CROSS JOIN LATERAL (SELECT (low + high) >> 1) AS m(middle) CROSS JOIN LATERAL (
    SELECT recorded_at < $2::timestamptz OR ($3 AND recorded_at = $2::timestamptz) AS is_before FROM (
      SELECT recorded_at FROM events WHERE partition = ${only} AND stream = $1 AND version = middle
      UNION ALL
      SELECT e.recorded_at FROM stream_links l CROSS JOIN LATERAL (
        SELECT recorded_at FROM events WHERE partition = ${only} AND position = l.position OFFSET 0) e
      WHERE l.partition = ${only} AND l.stream = $1 AND l.version = middle) at) of_middle
  WHERE high - low > 1
)
SELECT low AS version FROM search WHERE high - low = 1`;
