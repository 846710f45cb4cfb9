import type { ClaimedCheckpoint } from './checkpoints.js';
import type { Move } from './consumer.js';

/** So many claims in a row must find all checkpoints where they were left: where several processes share the work, hardly any two do. */
const trustAfterClaims = 8;
/** Then comes a claim again: what others have appended is not in this process's memory. */
const unclaimedInARow = 4;

/**
 * Where this process has left the checkpoints. As long as nobody else seems to move them it need not claim them before it
 * goes on from there: the statement that moves them says whether they still are where they were left.
 */
export class LeftCheckpoints {
  private readonly positions = new Map<string, Map<number, number>>();
  private undisturbedClaims = 0;
  private unclaimed = 0;

  constructor(private readonly trustAfter = trustAfterClaims) {}

  claimed(checkpoints: readonly ClaimedCheckpoint[]): void {
    this.unclaimed = 0;
    if (checkpoints.length === 0) return;
    const isAsLeft = checkpoints.every(({ consumer, partition, position }) => this.of(consumer).get(partition) === position);
    this.undisturbedClaims = isAsLeft ? this.undisturbedClaims + 1 : 0;
  }

  moved(moves: readonly Move[]): void {
    for (const { consumer, partition, to } of moves) this.of(consumer).set(partition, to);
  }

  /** Something went otherwise than expected. */
  forget(): void {
    this.positions.clear();
    this.undisturbedClaims = 0;
  }

  /** The checkpoints that are behind these ends of partitions, to go on from without a claim; none when there has to be one. */
  behind(ends: Iterable<readonly [partition: number, upTo: number]>, consumers: Iterable<string>): ClaimedCheckpoint[] {
    if (this.undisturbedClaims < this.trustAfter || this.unclaimed >= unclaimedInARow) return [];
    const behind: ClaimedCheckpoint[] = [];
    const known = [...ends];
    for (const consumer of consumers) {
      const positions = this.of(consumer);
      for (const [partition, head] of known) {
        const position = positions.get(partition);
        if (position === undefined) return [];
        if (position < head) behind.push({ consumer, partition, position, head, failed: false });
      }
    }
    if (behind.length > 0) this.unclaimed++;
    return behind;
  }

  private of(consumer: string): Map<number, number> {
    let positions = this.positions.get(consumer);
    if (!positions) this.positions.set(consumer, (positions = new Map()));
    return positions;
  }
}
