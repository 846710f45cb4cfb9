import { crc32 } from 'node:zlib';

/**
 * The partition of a partition key: CRC-32 of its UTF-8 bytes, modulo the number of partitions. Fixed for the life
 * of a database; a test pins examples. CRC-32 spreads names evenly enough and is one native call.
 */
export function partitionOf(partitionKey: string, partitions: number): number {
  return crc32(partitionKey) % partitions;
}
