/**
 * An SQL expression: how far a view is in a partition, in the very snapshot that the statement reads the view's table
 * in. So a row is known to be as of this position, neither earlier nor later, from the primary as from a replica.
 */
export function asOf(view: string, partition: string): string {
  return `(SELECT c.position::float8 FROM checkpoints c WHERE c.consumer = '${view}' AND c.partition = ${partition})`;
}
