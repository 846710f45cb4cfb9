import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { LogPosition } from '../../platform/consumers/visibility.js';
import { arrayLiteral } from '../../platform/database/array-literal.js';
import { QueriesPool } from '../../platform/database/pools.js';
import { NewEvents } from '../../platform/log/new-events.js';
import type { RecordedEvent } from '../../platform/log/recorded-event.js';
import type { OrderEvent } from './domain/order.js';

const pollMs = 50;

/** What ends a wait: the verdict on a checkout, or the end of what was asked for later. */
const newsworthy = new Set<string>([
  'ordering.order-confirmed.v1',
  'ordering.order-rejected.v1',
  'ordering.order-cancelled.v1',
  'ordering.order-fulfilled.v1',
  'ordering.fulfilment-refused.v1',
  'ordering.refund-paid.v1',
  'ordering.refund-refused.v1',
] satisfies OrderEvent['type'][]);

/**
 * Tells waiting requests that something has become of their orders. What this process commits it hears at once; what
 * others do is found by one query for all that wait, repeated while there are any. A hint: whoever is told looks.
 */
@Injectable()
export class OrderNews implements OnModuleDestroy {
  private readonly waiting = new Map<string, Set<() => void>>();
  private readonly logger = new Logger(OrderNews.name);
  private poll: NodeJS.Timeout | undefined;
  private hasEnded = false;

  constructor(
    newEvents: NewEvents,
    /** The primary's: a verdict is not told later because a replica is behind. */
    private readonly pool: QueriesPool,
  ) {
    newEvents.onEvents((events) => {
      if (this.waiting.size > 0) this.hear(events);
    });
  }

  /**
   * The process stops: its sagas already do nothing more, and a request that waits for them would keep HTTP from
   * closing for as long as its client had cared to wait.
   */
  onModuleDestroy(): void {
    this.hasEnded = true;
    for (const orderId of this.waiting.keys()) this.tell(orderId);
  }

  /**
   * Watches an order from now on. `next` resolves when there may be news since it was last asked, and at the latest
   * at the deadline, or when there will be none any more; then it is `false`. `stop` must be called in the end.
   */
  watch(orderId: string): { next(deadlineMs: number): Promise<boolean>; stop(): void } {
    let hasNews = false;
    let wake: (() => void) | undefined;
    const tell = () => {
      hasNews = true;
      wake?.();
    };
    const watchers = this.waiting.get(orderId) ?? new Set();
    this.waiting.set(orderId, watchers.add(tell));
    this.poll ??= setTimeout(() => void this.look(), pollMs);
    return {
      next: async (deadlineMs) => {
        if (!hasNews && !this.hasEnded) {
          await new Promise<void>((resolve) => {
            const timeout = setTimeout(resolve, Math.max(0, deadlineMs - performance.now()));
            wake = () => (clearTimeout(timeout), resolve());
          });
        }
        hasNews = false;
        wake = undefined;
        return !this.hasEnded && performance.now() < deadlineMs;
      },
      stop: () => {
        watchers.delete(tell);
        if (watchers.size === 0 && this.waiting.get(orderId) === watchers) this.waiting.delete(orderId);
      },
    };
  }

  /** The last position of each of these partitions. */
  async reachOf(partitions: readonly number[]): Promise<LogPosition[]> {
    const text = 'SELECT partition, head::float8 AS position FROM partitions WHERE partition = ANY ($1::smallint[])';
    return (await this.pool.query<LogPosition>({ name: 'ordering-reach', text, values: [partitions] })).rows;
  }

  private hear(events: readonly RecordedEvent[]): void {
    for (const { type, data } of events) {
      if (newsworthy.has(type)) this.tell((data as OrderEvent['data']).orderId);
    }
  }

  private tell(orderId: string): void {
    for (const tell of this.waiting.get(orderId) ?? []) tell();
  }

  /** An order whose view has moved on since the last look. */
  private readonly seen = new Map<string, number>();

  private async look(): Promise<void> {
    this.poll = undefined;
    if (this.waiting.size === 0) return this.seen.clear();
    try {
      const { rows } = await this.pool.query<{ order_id: string; version: number }>({
        name: 'ordering-orders-news',
        // One that is placed and no more has no news for anybody.
        text: `SELECT order_id, version FROM ordering_orders WHERE order_id = ANY ($1::text[]) AND status <> 'placed'`,
        values: [arrayLiteral([...this.waiting.keys()])],
      });
      for (const { order_id: orderId, version } of rows) {
        if (this.seen.get(orderId) === version) continue;
        this.seen.set(orderId, version);
        this.tell(orderId);
      }
      for (const orderId of this.seen.keys()) if (!this.waiting.has(orderId)) this.seen.delete(orderId);
    } catch (error) {
      // The waiters have their own deadlines; the next look may work.
      this.logger.warn(`could not look for news of orders: ${(error as Error).message}`);
    }
    this.poll ??= setTimeout(() => void this.look(), pollMs);
  }
}
