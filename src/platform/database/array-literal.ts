/**
 * A Postgres array literal of values that hold no quote and no backslash: ids, amounts, times, numbers. Rows that come
 * as one such array per column cost Postgres less than half of what they cost as JSON objects. Text of clients goes as
 * a JSON array instead (`json_array_elements_text`), which escapes it.
 */
export function arrayLiteral(values: readonly (string | number | null | undefined)[]): string {
  let literal = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (i > 0) literal += ',';
    literal += value === null || value === undefined ? 'NULL' : `"${value}"`;
  }
  return `${literal}}`;
}
