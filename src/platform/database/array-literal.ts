/**
 * A Postgres array literal of values that hold no quote and no backslash: ids, amounts, times, numbers. Rows that come
 * as one such array per column are read faster than as JSON objects (PG 18: 6.5 µs for seven columns, two of them
 * jsonb, against 8.4; PG 15: 6.8 against 13.5). Text of clients goes as
 * a JSON array instead (`json_array_elements_text`), which escapes it.
 */
export function arrayLiteral(values: readonly (string | number | null | undefined)[]): string {
  // Joined in one go: a text put together value by value is copied once more when it is sent.
  if (values.length > 0 && !values.some(isAbsent)) return `{"${values.join('","')}"}`;
  return `{${values.map((value) => (isAbsent(value) ? 'NULL' : `"${value}"`)).join()}}`;
}

const isAbsent = (value: unknown): boolean => value === null || value === undefined;
