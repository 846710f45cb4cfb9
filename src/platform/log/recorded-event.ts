import type { Event } from './stream.js';

/** Who and what an event came from. Absent fields are not stored. */
export interface EventMetadata {
  readonly commandId: string;
  /** The same for everything that one request or process set off. */
  readonly correlationId?: string;
  /** The command or event that made this command: `<partition>@<position>` or a command id. */
  readonly causationId?: string;
  readonly actor?: string;
  /** W3C Trace Context. */
  readonly traceparent?: string;
}

/** An event as it stands in the log, in its current version. Its `type` tells what `data` is. */
export type RecordedEvent<E extends Event = Event> = E extends Event
  ? {
      readonly partition: number;
      /** 1, 2, 3, … in its partition, without a gap. */
      readonly position: number;
      readonly type: E['type'];
      readonly data: E['data'];
      readonly metadata: EventMetadata;
      /** RFC 3339, UTC, milliseconds; never decreases within a partition. */
      readonly recordedAt: string;
    }
  : never;
