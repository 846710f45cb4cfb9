import type { RecordedEvent } from '../log/recorded-event.js';

/** What is known of a partition without a gap: everything after one position, up to and with another. */
interface Tail {
  after: number;
  upTo: number;
  /** Those of it that concern somebody. */
  events: RecordedEvent[];
}

/** A stretch of a partition: its events that concern somebody, and the position at which it ends. */
export interface Stretch {
  readonly events: RecordedEvent[];
  readonly upTo: number;
}

/**
 * The events of each partition that this process has written or heard of and that its consumers still have before
 * them, so that they need not read back from Postgres what the process has just sent there.
 *
 * Events are let go of as soon as they are consumed, and those that concern nobody are never held, only known to have
 * been. Whatever lives for longer than a few milliseconds the garbage collector copies, and then copies into the old
 * generation: with the last 20,000 events held, pauses of 10 to 20 ms came four times a second under a load of
 * transfers. Bounded by a number of events; whoever is further behind reads the log.
 */
export class TailBuffer {
  private readonly tails = new Map<number, Tail>();
  private size = 0;

  constructor(
    private readonly maxEvents: number,
    private readonly concerns: (event: RecordedEvent) => boolean = () => true,
  ) {}

  /**
   * Events of one partition in the order of their positions. When they do not follow what is known, that is dropped.
   * Returns whether any of them concerns somebody.
   */
  push(events: readonly RecordedEvent[]): boolean {
    const { partition, position } = events[0]!;
    let tail = this.tails.get(partition);
    if (tail?.upTo !== position - 1) {
      this.size -= tail?.events.length ?? 0;
      tail = { after: position - 1, upTo: position - 1, events: [] };
      this.tails.set(partition, tail);
    }
    const before = tail.events.length;
    for (const event of events) if (this.concerns(event)) tail.events.push(event);
    tail.upTo = events.at(-1)!.position;
    const added = tail.events.length - before;
    this.size += added;
    if (this.size > this.maxEvents) this.shrink();
    return added > 0;
  }

  /** What follows a position, at most `limit` events of it; undefined when that is not known here. */
  after(partition: number, position: number, limit: number): Stretch | undefined {
    const tail = this.tails.get(partition);
    if (!tail || position < tail.after || position >= tail.upTo) return undefined;
    const { events } = tail;
    const from = firstAfter(events, position);
    const isAll = events.length - from <= limit;
    const stretch = events.slice(from, from + limit);
    return { events: stretch, upTo: isAll ? tail.upTo : stretch.at(-1)!.position };
  }

  /** Of each partition that is not consumed as far as it is known: how far that is. */
  *ends(): Iterable<readonly [partition: number, upTo: number]> {
    for (const [partition, { after, upTo }] of this.tails) if (after < upTo) yield [partition, upTo];
  }

  /** Lets go of what is up to a position. */
  forget(partition: number, position: number): void {
    const tail = this.tails.get(partition);
    if (!tail || position <= tail.after) return;
    const consumed = firstAfter(tail.events, position);
    this.size -= consumed;
    tail.events = tail.events.slice(consumed);
    tail.after = position;
    tail.upTo = Math.max(tail.upTo, position);
  }

  /** Drops the older half of the longest tails at once: trimming event by event would copy them all each time. */
  private shrink(): void {
    while (this.size > this.maxEvents / 2) {
      const [partition, { events }] = [...this.tails].reduce((a, b) => (b[1].events.length > a[1].events.length ? b : a));
      this.forget(partition, events[Math.ceil(events.length / 2) - 1]!.position);
    }
  }
}

/** The index of the first event after a position. */
function firstAfter(events: readonly RecordedEvent[], position: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle]!.position <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}
