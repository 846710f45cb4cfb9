/** Makes the checkpoints of consumers that have none yet: a new consumer starts with the first event. */
export const createCheckpointsSql = `
INSERT INTO checkpoints (consumer, partition)
SELECT consumer, partition FROM unnest($1::text[]) AS consumer CROSS JOIN partitions
ON CONFLICT DO NOTHING`;

/**
 * The checkpoints that have news and that nobody else holds, locked until the end of the transaction. That lock
 * keeps two processes from running the same consumer on the same partition, and the condition of `moveCheckpointsSql`
 * from both having done so. One whose consumer failed is left
 * out until its next try is due.
 */
export const claimCheckpointsSql = `
SELECT c.consumer, c.partition, c.position, p.head, c.failed_position IS NOT NULL AS failed
FROM checkpoints c JOIN partitions p ON p.partition = c.partition
WHERE c.consumer = ANY ($1::text[]) AND c.position < p.head
  AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())
ORDER BY c.consumer, c.partition
FOR UPDATE OF c SKIP LOCKED`;

/** Whether the claim would find something, locked or not, and what the database's clock says. */
export const lookForNewsSql = `
SELECT clock_timestamp() AS now, EXISTS (
  SELECT FROM checkpoints c JOIN partitions p ON p.partition = c.partition
  WHERE c.consumer = ANY ($1::text[]) AND c.position < p.head
    AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())) AS is_news`;

/** The claim and the look of who has read the heads before (following.ts). */
export const headsSql = 'SELECT partition, head FROM partitions';

export const claimCheckpointsUpToSql = `
SELECT c.consumer, c.partition, c.position, h.head, c.failed_position IS NOT NULL AS failed
FROM checkpoints c JOIN unnest($2::smallint[], $3::bigint[]) AS h(partition, head) ON h.partition = c.partition
WHERE c.consumer = ANY ($1::text[]) AND c.position < h.head
  AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())
ORDER BY c.consumer, c.partition
FOR UPDATE OF c SKIP LOCKED`;

export const lookForNewsUpToSql = `
SELECT clock_timestamp() AS now, EXISTS (
  SELECT FROM checkpoints c JOIN unnest($2::smallint[], $3::bigint[]) AS h(partition, head) ON h.partition = c.partition
  WHERE c.consumer = ANY ($1::text[]) AND c.position < h.head
    AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())) AS is_news`;

export interface ClaimedCheckpoint {
  consumer: string;
  partition: number;
  position: number;
  /** Of the partition, at the time of the claim. */
  head: number;
  failed: boolean;
}

/**
 * Moves checkpoints that are where they are said to be and that nobody else holds: all of them, or it fails, and with it
 * whatever the transaction has behind it. The error's text is one that is no boolean.
 */
export const moveCheckpointsSql = `
WITH given AS (
  SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[]) AS g(consumer, partition, "from", "to")
), held AS MATERIALIZED (
  SELECT c.consumer, c.partition, g."to" FROM given g
  JOIN checkpoints c ON c.consumer = g.consumer AND c.partition = g.partition
  WHERE c.position = g."from" ORDER BY c.consumer, c.partition FOR UPDATE OF c SKIP LOCKED
), moved AS (
  UPDATE checkpoints c
  SET position = h."to", failed_position = NULL, failed_type = NULL, error = NULL, attempts = 0, retry_at = NULL
  FROM held h WHERE c.consumer = h.consumer AND c.partition = h.partition RETURNING 1
)
SELECT CASE WHEN count(*) = cardinality($1::text[]) THEN true
  ELSE ('no more than ' || count(*) || ' checkpoints are where they were left')::boolean END AS moved FROM moved`;

/** Notes the event a consumer can not get past. Tried again after 1 s, 2 s, 4 s, … at most 5 minutes. */
export const recordFailureSql = `
UPDATE checkpoints
SET failed_position = $3, failed_type = $4, error = $5, attempts = attempts + 1,
  retry_at = statement_timestamp() + least(300, power(2, least(attempts, 16))) * interval '1 second'
WHERE consumer = $1 AND partition = $2`;

/** Stored events after a position and up to another, at most so many per partition, without those of some types. */
export const readEventsSql = `
SELECT e.partition, e.position, e.type, e.data::text AS data, e.metadata::text AS metadata, e.recorded_at
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS w(partition, position, head) CROSS JOIN LATERAL (
  SELECT partition, position, type, data, metadata, recorded_at FROM events
  WHERE partition = w.partition AND position > w.position AND position <= w.head
    AND type <> ALL ($5::text[])
  ORDER BY position LIMIT $4) e
ORDER BY e.partition, e.position`;

/** The same of one partition. */
export const readEventsOfOneSql = `
SELECT partition, position, type, data::text AS data, metadata::text AS metadata, recorded_at FROM events
WHERE partition = $1 AND position > $2 AND position <= $3 AND type <> ALL ($5::text[])
ORDER BY position LIMIT $4`;

export interface StoredEventRow {
  partition: number;
  position: number;
  type: string;
  data: string;
  metadata: string;
  recorded_at: Date;
}

export const degradedCheckpointsSql = `
SELECT consumer, partition, failed_position AS position, failed_type AS type, error, attempts
FROM checkpoints WHERE failed_position IS NOT NULL AND consumer = ANY ($1::text[]) ORDER BY consumer, partition`;

export interface DegradedCheckpoint {
  consumer: string;
  partition: number;
  position: number;
  type: string | null;
  error: string;
  attempts: number;
}

/** How far some consumers are behind, apart in partitions where they can not get past an event and in all others. */
export const lagSql = `
SELECT c.consumer, c.failed_position IS NOT NULL AS stuck, sum(p.head - c.position)::float8 AS lag
FROM checkpoints c JOIN partitions p USING (partition) WHERE c.consumer = ANY ($1::text[]) GROUP BY 1, 2`;

export interface LagRow {
  consumer: string;
  stuck: boolean;
  lag: number;
}
