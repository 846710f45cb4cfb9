import type { RecordedEvent } from '../log/recorded-event.js';

/** `name` identifies the statement for the server's plan cache; texts that differ by table need different names. */
export interface Statement {
  name: string;
  text: string;
  values: unknown[];
}

/** What events make a consumer write, by statements in this order, and what there is to do once that is committed. */
export interface Work {
  readonly statements: readonly Statement[];
  readonly afterCommit?: () => void;
}

/** Whoever follows the log: a projection or a saga. Its name has one checkpoint per partition. */
export interface Consumer {
  readonly name: string;
  /** The types of event that it takes. Absent: all. */
  readonly eventTypes?: ReadonlySet<string>;
  /** Whether an event that it takes gives it something to do, where that is not so of each. Nobody is woken for others. */
  concerns?(event: RecordedEvent): boolean;
  /** Finds what `consume` has to know of what is there already, if it has to know anything. */
  lookUp?(events: readonly RecordedEvent[]): Statement | undefined;
  /**
   * Takes events, of any partitions, each partition's in the order of positions, with the rows that `lookUp` found. What
   * it says is written by the transaction that moves its checkpoint, so it counts exactly once for each event.
   */
  consume(events: readonly RecordedEvent[], found: readonly unknown[]): Work;
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
