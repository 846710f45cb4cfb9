/** SQL of a time as answers show it: RFC 3339, UTC, milliseconds. */
export function jsonTime(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
