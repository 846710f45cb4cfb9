import type { RecordedEvent } from './recorded-event.js';

/**
 * The last events of each partition that this process wrote or read, without a gap, so that consumers near the head
 * need not read back from Postgres what the process has just sent there. Bounded by a number of events; a consumer
 * further behind reads the log.
 */
export class TailBuffer {
  private readonly tails = new Map<number, RecordedEvent[]>();
  private readonly listeners: ((events: readonly RecordedEvent[]) => void)[] = [];
  private size = 0;

  constructor(private readonly maxEvents: number) {}

  /** Events of one partition in the order of their positions, following those pushed before. */
  push(partition: number, events: readonly RecordedEvent[]): void {
    if (events.length === 0) return;
    const last = this.tails.get(partition)?.at(-1);
    if (last && last.position + 1 !== events[0]!.position) this.reset(partition);
    const tail = this.tails.get(partition) ?? [];
    for (const event of events) tail.push(event);
    this.tails.set(partition, tail);
    this.size += events.length;
    if (this.size > this.maxEvents) this.shrink();
    for (const listener of this.listeners) listener(events);
  }

  /** Tells of events as this process comes to know them: of its own at once, of others' perhaps never. For hints. */
  onPush(listener: (events: readonly RecordedEvent[]) => void): void {
    this.listeners.push(listener);
  }

  reset(partition: number): void {
    this.size -= this.tails.get(partition)?.length ?? 0;
    this.tails.delete(partition);
  }

  /** Up to `limit` events after a position, or undefined when they are not (all) held here. */
  after(partition: number, position: number, limit: number): RecordedEvent[] | undefined {
    const tail = this.tails.get(partition);
    const first = tail?.[0]?.position;
    if (tail === undefined || first === undefined || position + 1 < first) return undefined;
    const from = position + 1 - first;
    return tail.slice(from, from + limit);
  }

  /** Drops the older half of the longest tails at once: trimming event by event would copy them all each time. */
  private shrink(): void {
    while (this.size > this.maxEvents / 2) {
      const [partition, longest] = [...this.tails].reduce((a, b) => (b[1].length > a[1].length ? b : a));
      const drop = Math.ceil(longest.length / 2);
      this.tails.set(partition, longest.slice(drop));
      this.size -= drop;
    }
  }
}
