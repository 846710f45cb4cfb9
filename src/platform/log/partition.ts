import { crc32 } from 'node:zlib';

/**
 * The partition of a partition key: bits 16 to 30 of the CRC-32 of its UTF-8 bytes, modulo the number of partitions.
 * Fixed for the life of a database; a test pins examples. CRC-32 spreads names evenly enough and is one native call.
 *
 * Those bits, because they are what nginx's `hash` takes (as Cache::Memcached did): an upstream with one line for each
 * partition sends every key to the line of its partition, so all writes of a partition reach one node. Hashed by
 * anything else, each node would write to every partition, and lose races for it (ADR 0002).
 */
export function partitionOf(partitionKey: string, partitions: number): number {
  return ((crc32(partitionKey) >>> 16) & 0x7fff) % partitions;
}

/**
 * For statements that are planned once: narrows a condition on `table` to one partition, where a batch has only one. A
 * plan for any partition opens all sixteen of a table, with their indexes, whenever it runs: refreshing one partition
 * took 0.45 ms of PostgreSQL's time like that and takes 0.14, appending to it 0.28 and 0.18.
 */
export function andPartition(table: string, only: number | undefined): string {
  return only === undefined ? '' : ` AND ${table}.partition = ${only}`;
}

/** The partition of what is inserted: of each row, or the one that the statement is about. */
export function partitionOr(column: string, only: number | undefined): string {
  return only === undefined ? column : String(only);
}

/**
 * What one statement is about: one partition, which it then names as a constant, or any of them (undefined). Both are the
 * same statement; under names of their own, for the server keeps a plan by the name.
 */
export type Scope = number | undefined;

/** The scopes of what is asked of all partitions: one, or each of them. */
export function scopesOf({ partitions, partitionsAreApart }: { partitions: number; partitionsAreApart: boolean }): readonly Scope[] {
  return partitionsAreApart ? Array.from({ length: partitions }, (_, partition) => partition) : [undefined];
}

const texts = new Map<string, string>();

export function scoped(name: string, sql: (only: Scope) => string, only: Scope): { name: string; text: string } {
  const key = only === undefined ? name : `${name}-${only}`;
  let text = texts.get(key);
  if (!text) texts.set(key, (text = sql(only)));
  return { name: key, text };
}

/** The partition that a command id names, `<partition>.<rest>`; undefined when it names none of this database. */
export function partitionOfCommandId(commandId: string, partitions: number): number | undefined {
  const partition = /^(\d{1,3})\./.exec(commandId)?.[1];
  return partition !== undefined && Number(partition) < partitions ? Number(partition) : undefined;
}

/**
 * The partition that a command's record is in: the one that its id names, so that whoever has the id finds it. Mostly its
 * own. A key that a client may send again with something else in it, for another partition, has to be met all the same.
 */
export function homeOf({ commandId, record }: { commandId: string; record?: object }, own: number, partitions: number): number {
  return (record && partitionOfCommandId(commandId, partitions)) ?? own;
}
