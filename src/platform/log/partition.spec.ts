import { partitionOf } from './partition.js';

describe('the partition of a key', () => {
  // Pinned: in every database these keys live where this says. If it changes, nothing is found again.
  it.each([
    ['', 16, 0],
    ['123456789', 256, 244],
    ['main', 16, 8],
    ['demo', 16, 2],
    ['a', 16, 7],
    ['Zürich', 16, 11],
    ['東京', 16, 6],
    ['0192f3a0-7c1e-7000-8000-000000000000', 16, 1],
    ['main', 1, 0],
    ['main', 7, 5],
    ['main', 256, 40],
  ])('%j of %i partitions is %i', (key, partitions, partition) => {
    expect(partitionOf(key, partitions)).toBe(partition);
  });

  it('spreads names evenly enough', () => {
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) counts[partitionOf(`ledger-${i}`, 16)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(900);
    expect(Math.max(...counts)).toBeLessThan(1_100);
  });
});
