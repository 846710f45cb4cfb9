/** Locks partitions before anything is read of them, in the order of their numbers. */
export const lockSql = 'SELECT partition FROM partitions WHERE partition = ANY ($1::smallint[]) ORDER BY partition FOR UPDATE';
export const lockOneSql = 'SELECT partition FROM partitions WHERE partition = $1 FOR UPDATE';

/**
 * After a commit whose answer was lost, nobody knows whether it happened, nor whether it is still to happen: the
 * server may not yet have read, or not yet finished, the statement. Two statements in one transaction settle it.
 *
 * First the partitions' rows are locked, which waits for a statement that is under way, and their revision is moved
 * on, so that one still to come finds nothing to do. (Locked in the order of numbers, like an append.) Only then
 * the log is asked, with a snapshot that sees whatever came of it.
 */
export const fenceSql = `
WITH locked AS MATERIALIZED (
  SELECT partition FROM partitions WHERE partition = ANY ($1::smallint[]) ORDER BY partition FOR UPDATE
)
UPDATE partitions p SET revision = revision + 1 FROM locked l WHERE p.partition = l.partition`;
export const fenceOneSql = 'UPDATE partitions SET revision = revision + 1 WHERE partition = $1';

/** Of the places where the lost batch would have put events: who is there. */
export const whoIsThereSql = `
SELECT e.partition, e.position, e.metadata->>'commandId' AS command_id
FROM unnest($1::smallint[], $2::bigint[]) AS w(partition, position)
JOIN events e ON e.partition = w.partition AND e.position = w.position`;
export const whoIsThereOneSql = `
SELECT partition, position, metadata->>'commandId' AS command_id FROM events
WHERE partition = $1 AND position = ANY ($2::bigint[])`;

export interface WhoIsThereRow {
  partition: number;
  position: number;
  command_id: string;
}
