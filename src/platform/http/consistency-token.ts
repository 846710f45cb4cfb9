import type { LogPosition } from '../consumers/visibility.js';
import { RequestError } from './problem.js';

/** `<partition>@<position>`, several separated by commas. */
export function formatToken(positions: readonly LogPosition[]): string {
  return positions.map(({ partition, position }) => `${partition}@${position}`).join();
}

/** At most one position per partition comes back: the last one. */
export function parseToken(header: string, partitions: number): LogPosition[] {
  const last = new Map<number, number>();
  for (const part of header.split(',')) {
    const match = /^\s*(\d{1,3})@(\d{1,15})\s*$/.exec(part);
    const partition = Number(match?.[1]);
    if (!match || partition >= partitions) {
      throw new RequestError('bad-consistency-token', 'send what a write answered, such as 7@1042 or 3@17,7@1042');
    }
    last.set(partition, Math.max(last.get(partition) ?? 0, Number(match[2])));
  }
  return [...last].map(([partition, position]) => ({ partition, position }));
}
