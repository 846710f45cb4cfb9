import type { RecordedEvent } from '../log/recorded-event.js';

/** `name` identifies the statement for the server's plan cache; texts that differ by table need different names. */
export interface Statement {
  name: string;
  text: string;
  values: unknown[];
}

/** How a consumer writes: inside the transaction that also moves its checkpoint. */
export interface ConsumerSql {
  query(statement: Statement): Promise<unknown>;
}

/** Whoever follows the log: a projection or a saga. Its name has one checkpoint per partition. */
export interface Consumer {
  readonly name: string;
  /** The types of event that it takes. Absent: all. */
  readonly eventTypes?: ReadonlySet<string>;
  /** Whether an event that it takes gives it something to do, where that is not so of each. Nobody is woken for others. */
  concerns?(event: RecordedEvent): boolean;
  /**
   * Takes events, of any partitions, each partition's in the order of positions. What it writes counts exactly once
   * for each event. Resolves with what there is to do once that is committed, if there is anything.
   */
  consume(events: readonly RecordedEvent[], sql: ConsumerSql): Promise<(() => void) | void>;
  /** Names of the resources whose answers an event changes. */
  changedKeys?(event: RecordedEvent): readonly string[];
}

/** A consumer's step in a partition: everything after `from`, up to and with `to`, in one transaction. */
export interface Move {
  readonly consumer: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  /** Hashes of the keys that it changed. */
  readonly changed: readonly number[];
}

/** Whoever is told how far consumers have come. */
export interface Announcer {
  /** Part of the transaction that makes the moves: what it tells others they hear if and when that commits. */
  statement?(moves: readonly Move[]): Statement | undefined;
  committed(moves: readonly Move[]): void;
}
