import { andPartition } from './partition.js';

/**
 * What a writer has to read before it can decide, in one statement and so as of one snapshot: the heads of the
 * partitions, the events it missed in them, and the states it does not hold, each from its snapshot plus the events
 * after it. A stream's events are those it is the primary stream of (events_…_stream_version) and those linked to it.
 *
 * Rows come in the order they are needed: heads (kind 0), missed events (1), snapshots (2), events of missing
 * streams (3), each in the order of positions.
 *
 * OFFSET 0 holds the planner to looking up the event of each link. The statement is planned once, perhaps while the
 * tables are empty, and then it seems as good to read all events of the partition and to look for the link of each:
 * on a new database creating products fell from 1,500 to 100 a second until the first automatic analyze.
 */
export const refreshSql = (only?: number): string => `
WITH heads AS MATERIALIZED (
  SELECT p.partition, p.head, p.revision, p.recorded_at, k.known
  FROM unnest($1::smallint[], $2::bigint[]) AS k(partition, known) JOIN partitions p ON p.partition = k.partition${andPartition('p', only)}
), wanted AS MATERIALIZED (
  SELECT w.partition, w.stream, s.version, s.state
  FROM unnest($3::smallint[], $4::text[], $5::smallint[]) AS w(partition, stream, state_version)
  LEFT JOIN LATERAL (
    SELECT version, state FROM snapshots WHERE partition = w.partition AND stream = w.stream
      AND state_version = w.state_version${andPartition('snapshots', only)} OFFSET 0) s ON true
)
SELECT 0 AS kind, partition, head AS position, NULL AS stream, revision AS version, NULL AS type, NULL AS data,
  NULL AS metadata, recorded_at, clock_timestamp() AS database_time
FROM heads
UNION ALL
SELECT 1, h.partition, e.position, NULL, NULL, e.type, e.data::text, e.metadata::text, e.recorded_at, NULL
FROM heads h CROSS JOIN LATERAL (
  SELECT position, type, data, metadata, recorded_at FROM events
  WHERE partition = h.partition AND position > h.known AND h.known >= 0${andPartition('events', only)} ORDER BY position LIMIT $6) e
UNION ALL
SELECT 2, partition, NULL, stream, version, NULL, state::text, NULL, NULL, NULL FROM wanted WHERE state IS NOT NULL
UNION ALL
SELECT 3, w.partition, e.position, w.stream, e.version, e.type, e.data::text, NULL, e.recorded_at, NULL
FROM wanted w CROSS JOIN LATERAL (
  SELECT position, version, type, data, recorded_at FROM events
  WHERE partition = w.partition AND stream = w.stream AND version > coalesce(w.version, 0)${andPartition('events', only)}
  UNION ALL
  SELECT l.position, l.version, e.type, e.data, e.recorded_at
  FROM stream_links l CROSS JOIN LATERAL (
    SELECT type, data, recorded_at FROM events WHERE partition = w.partition AND position = l.position${andPartition('events', only)} OFFSET 0) e
  WHERE l.partition = w.partition AND l.stream = w.stream AND l.version > coalesce(w.version, 0)${andPartition('l', only)}) e
ORDER BY kind, partition, position`;

export interface RefreshRow {
  kind: 0 | 1 | 2 | 3;
  partition: number;
  position: number;
  stream: string;
  version: number;
  type: string;
  data: string;
  /** Of missed events only. */
  metadata: string;
  recorded_at: Date;
  database_time: Date | null;
}
