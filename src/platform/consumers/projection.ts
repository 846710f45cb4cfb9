import type { RecordedEvent } from '../log/recorded-event.js';
import type { Statement } from './consumer.js';

/**
 * A read model that follows the log: which table, and what a batch of events does to it. It is also the name of a
 * consumer, with one checkpoint per partition.
 */
export interface Projection {
  /** e.g. `ledger-accounts`. */
  readonly name: string;
  /** The table it fills, which a rebuild fills anew beside it: so statements are written for a given table. */
  readonly table: string;
  /** Columns that identify a row, for the parity report of a rebuild. */
  readonly key: readonly string[];
  /** Finds the rows that `project` has to know, if it has to know any. A round trip more, so mostly it should not. */
  lookUp?(events: readonly RecordedEvent[], table: string): Statement | undefined;
  /**
   * What events, of any partitions, each partition's in the order of positions, do to the table: one statement per batch
   * (two where it must be), never one per event. A pure function; what it says is done exactly once for each event.
   */
  project(events: readonly RecordedEvent[], table: string, found: readonly unknown[]): Statement[];
  /**
   * Names of the resources whose answers an event changes, as the view's queries name them in their `sources`. Every
   * node drops what it has cached of them. Absent: nothing that is read from this view is cached.
   */
  changedKeys?(event: RecordedEvent): readonly string[];
}
