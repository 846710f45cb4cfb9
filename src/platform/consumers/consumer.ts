import type { RecordedEvent } from '../log/recorded-event.js';

/** How a consumer writes: inside the transaction that also moves its checkpoint. */
export interface ConsumerSql {
  /** `name` identifies the statement for the server's plan cache; texts that differ by table need different names. */
  query(statement: { name: string; text: string; values: unknown[] }): Promise<unknown>;
}

/** Whoever follows the log: a projection or a saga. Its name has one checkpoint per partition. */
export interface Consumer {
  readonly name: string;
  /** Whether an event gives it something to do, where that is not so of every event. Nobody is woken for others. */
  concerns?(event: RecordedEvent): boolean;
  /**
   * Takes events, of any partitions, each partition's in the order of positions. What it writes counts exactly once
   * for each event. Resolves with what there is to do once that is committed, if there is anything.
   */
  consume(events: readonly RecordedEvent[], sql: ConsumerSql): Promise<(() => void) | void>;
}
