/**
 * Amounts of money: integers in the currency's minor unit, signed 64 bit, exact. A `bigint` in memory, a decimal
 * string in JSON (JSON has no 64-bit integers), a `bigint` column in Postgres. Never a float.
 */
export const maxAmount = 2n ** 63n - 1n;
export const minAmount = -(2n ** 63n);

export function isInRange(amount: bigint): boolean {
  return amount >= minAmount && amount <= maxAmount;
}
