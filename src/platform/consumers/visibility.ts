import type pg from 'pg';
import { UnavailableError } from '../errors.js';
import type { Announcer, Move } from './consumer.js';

/** A place in the log: everything of `partition` up to and with `position`. */
export interface LogPosition {
  readonly partition: number;
  readonly position: number;
}

/** By consumer, how far it is in each partition. */
type Positions = Map<string, Map<number, number>>;

interface Waiter {
  readonly consumers: readonly string[];
  isVisible(): boolean;
  resolve(): void;
}

const pollMs = 20;

/**
 * How far the views are in the database that they are read from, as far as this process knows, and who waits for them
 * to get further. That database is the primary, or one replica (see database/read-replicas.ts).
 *
 * Of the primary, the projector of this process says so the moment it commits. What other processes project, and what
 * a replica has replayed, is found by one query for all waiters, repeated while there are any.
 *
 * What holds always: a query that starts after this has called a position visible finds it. Whoever changes what the
 * queries read must see to that, with `turnTo` and `turnBack`.
 */
export class Visibility implements Announcer {
  private known: Positions = new Map();
  private readonly waiters = new Set<Waiter>();
  private hasten: () => void = () => undefined;
  private poll: NodeJS.Timeout | undefined;
  /** Whose checkpoints count. A new object at every turn, so that an answer from before a turn is known as such. */
  private source: { readonly pool: pg.Pool; readonly isPrimary: boolean };

  constructor(
    private readonly primary: pg.Pool,
    private readonly onPollError: (error: unknown) => void,
  ) {
    this.source = { pool: primary, isPrimary: true };
  }

  committed(moves: readonly Move[]): void {
    for (const { consumer, partition, to } of moves) this.advance(consumer, partition, to);
  }

  get isWaitedFor(): boolean {
    return this.waiters.size > 0;
  }

  /** Is told when somebody begins to wait. */
  onWait(hasten: () => void): void {
    this.hasten = hasten;
  }

  /** The primary has this. Says nothing of a replica. */
  advance(consumer: string, partition: number, position: number): void {
    if (this.source.isPrimary) this.learn(consumer, partition, position);
  }

  /** How far a consumer is, by partition, in whatever the next query reads: that finds this much, if not more. */
  positionsOf(consumer: string): ReadonlyMap<number, number> {
    return this.known.get(consumer) ?? new Map<number, number>();
  }

  /** Resolves when the consumers have passed the positions; rejects with 503 `projection-behind` after `waitMs`. */
  async waitFor(consumers: readonly string[], positions: readonly LogPosition[], waitMs: number): Promise<void> {
    const isVisible = () => consumers.every((consumer) => this.has(consumer, positions));
    await this.until({ consumers, isVisible }, waitMs);
  }

  /**
   * From now on nothing is visible but what this replica has. Resolves when it has everything that was visible
   * before: then, and not earlier, may queries read it. Until then they read the primary, which has both. When the
   * replica does not get there in `waitMs`, it rejects, and the primary counts again.
   */
  async turnTo(replica: pg.Pool, waitMs: number): Promise<void> {
    const before = this.known;
    this.known = new Map();
    this.source = { pool: replica, isPrimary: false };
    const isVisible = () => [...before].every(([consumer, positions]) => this.has(consumer, positionsIn(positions)));
    try {
      await this.until({ consumers: [...before.keys()], isVisible }, waitMs);
    } catch (error) {
      this.turnBack();
      for (const [consumer, positions] of before) {
        for (const [partition, position] of positions) this.learn(consumer, partition, position);
      }
      throw error;
    }
  }

  /** From now on the primary counts. It has whatever a replica had: a replica is what the primary was. */
  turnBack(): void {
    this.source = { pool: this.primary, isPrimary: true };
    // The look under way may be at a replica that will not answer any more.
    if (this.isWaitedFor) this.poll ??= setTimeout(() => void this.pollOnce(), 0);
  }

  /** Looks how far these are, whether or not anybody waits for them. */
  async look(consumers: readonly string[]): Promise<void> {
    const { source } = this;
    const { rows } = await source.pool.query<{ consumer: string; partition: number; position: number }>({
      name: 'look-at-checkpoints',
      text: 'SELECT consumer, partition, position FROM checkpoints WHERE consumer = ANY ($1::text[])',
      values: [consumers],
    });
    if (this.source !== source) return;
    for (const { consumer, partition, position } of rows) this.learn(consumer, partition, position);
  }

  private has(consumer: string, positions: readonly LogPosition[]): boolean {
    const known = this.known.get(consumer);
    return positions.every(({ partition, position }) => (known?.get(partition) ?? 0) >= position);
  }

  private learn(consumer: string, partition: number, position: number): void {
    const positions = this.known.get(consumer) ?? new Map<number, number>();
    this.known.set(consumer, positions);
    if ((positions.get(partition) ?? 0) >= position) return;
    positions.set(partition, position);
    for (const waiter of this.waiters) if (waiter.isVisible()) waiter.resolve();
  }

  private async until(awaited: Pick<Waiter, 'consumers' | 'isVisible'>, waitMs: number): Promise<void> {
    if (awaited.isVisible()) return;
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        ...awaited,
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
      this.hasten();
      this.poll ??= setTimeout(() => void this.pollOnce(), pollMs);
    });
  }

  private async pollOnce(): Promise<void> {
    this.poll = undefined;
    if (this.waiters.size === 0) return;
    try {
      await this.look([...new Set([...this.waiters].flatMap((waiter) => waiter.consumers))]);
    } catch (error) {
      // The waiters have their own deadline; the next look may work.
      this.onPollError(error);
    }
    if (this.waiters.size > 0) this.poll ??= setTimeout(() => void this.pollOnce(), pollMs);
  }
}

function positionsIn(positions: ReadonlyMap<number, number>): LogPosition[] {
  return [...positions].map(([partition, position]) => ({ partition, position }));
}
