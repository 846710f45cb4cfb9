/**
 * A number that stands for a key where there are many of them: in messages, and in tables of what changed when. Two
 * keys may share one; then a change of either counts as a change of both, which costs a hit and nothing else.
 *
 * FNV-1a of 32 bits over UTF-16 code units, http://www.isthe.com/chongo/tech/comp/fnv/. Not the CRC-32 that partitions
 * come from: where both are of the same name, a partition would hold every sixteenth number only.
 */
export function keyHash(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
