import type pg from 'pg';
import { UnavailableError } from '../errors.js';
import type { Announcer, Move } from './consumer.js';

/** A place in the log: everything of `partition` up to and with `position`. */
export interface LogPosition {
  readonly partition: number;
  readonly position: number;
}

interface Waiter {
  readonly consumers: readonly string[];
  readonly positions: readonly LogPosition[];
  resolve(): void;
}

const pollMs = 20;

/**
 * How far the views are, as far as this process knows, and who waits for them to get further. The projector of this
 * process says so the moment it commits; what other processes project is found by one query for all waiters,
 * repeated while there are any.
 */
export class Visibility implements Announcer {
  private readonly known = new Map<string, Map<number, number>>();
  private readonly waiters = new Set<Waiter>();
  private poll: NodeJS.Timeout | undefined;

  constructor(
    private readonly pool: pg.Pool,
    private readonly onPollError: (error: unknown) => void,
  ) {}

  committed(moves: readonly Move[]): void {
    for (const { consumer, partition, to } of moves) this.advance(consumer, partition, to);
  }

  advance(consumer: string, partition: number, position: number): void {
    const positions = this.known.get(consumer) ?? new Map<number, number>();
    this.known.set(consumer, positions);
    if ((positions.get(partition) ?? 0) >= position) return;
    positions.set(partition, position);
    for (const waiter of this.waiters) if (this.isVisible(waiter)) waiter.resolve();
  }

  /** Resolves when the consumers have passed the positions; rejects with 503 `projection-behind` after `waitMs`. */
  async waitFor(consumers: readonly string[], positions: readonly LogPosition[], waitMs: number): Promise<void> {
    if (this.isVisible({ consumers, positions })) return;
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        consumers,
        positions,
        resolve: () => {
          clearTimeout(timeout);
          this.waiters.delete(waiter);
          resolve();
        },
      };
      const timeout = setTimeout(() => {
        this.waiters.delete(waiter);
        reject(new UnavailableError('projection-behind', `the view did not get there in ${waitMs} ms; come again`));
      }, waitMs);
      this.waiters.add(waiter);
      this.poll ??= setTimeout(() => void this.look(), pollMs);
    });
  }

  private isVisible({ consumers, positions }: Pick<Waiter, 'consumers' | 'positions'>): boolean {
    return consumers.every((consumer) => {
      const known = this.known.get(consumer);
      return positions.every(({ partition, position }) => (known?.get(partition) ?? 0) >= position);
    });
  }

  private async look(): Promise<void> {
    this.poll = undefined;
    if (this.waiters.size === 0) return;
    try {
      const consumers = [...new Set([...this.waiters].flatMap((waiter) => waiter.consumers))];
      const { rows } = await this.pool.query<{ consumer: string; partition: number; position: number }>({
        name: 'look-at-checkpoints',
        text: 'SELECT consumer, partition, position FROM checkpoints WHERE consumer = ANY ($1::text[])',
        values: [consumers],
      });
      for (const { consumer, partition, position } of rows) this.advance(consumer, partition, position);
    } catch (error) {
      // The waiters have their own deadline; the next look may work.
      this.onPollError(error);
    }
    if (this.waiters.size > 0) this.poll ??= setTimeout(() => void this.look(), pollMs);
  }
}
