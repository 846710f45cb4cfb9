import type { Event, Stream } from './stream.js';

/** The states a decision looks at. Asking for a stream that the command did not name is a bug and throws. */
export interface States {
  of<State>(stream: Stream<State>): State;
  /** Whether a stream is loaded: for naming the streams that follow from it. */
  has(stream: Stream): boolean;
  /** A copy to decide several steps on, one after the other, without any of them being final. */
  fork(): ForkedStates;
}

export interface ForkedStates extends States {
  apply(events: readonly Event[]): void;
}

export interface DecisionContext {
  /** The time at which what is decided now will be recorded: RFC 3339, UTC, milliseconds. */
  readonly now: string;
  readonly commandId: string;
}

/** A command to run at a later time, stored in the same commit as the events. */
export interface ScheduledCommand {
  /** Unique in the partition; derived from what it is about, so that it is scheduled once. */
  readonly key: string;
  readonly type: string;
  readonly payload: object;
  /** RFC 3339. */
  readonly dueAt: string;
}

export interface Decision<Answer = unknown> {
  readonly events: readonly Event[];
  readonly answer: Answer;
  /** Whether the command made a new resource (201) or changed or found one (200). */
  readonly created?: boolean;
  readonly schedule?: readonly ScheduledCommand[];
  /** Keys of scheduled commands of this partition that have become pointless. They are taken back, not just ignored: a deadline for every order would double the commands. */
  readonly unschedule?: readonly string[];
  /** The fork that all the events were applied to, in their order, if there is one: they are not folded again. */
  readonly applied?: ForkedStates;
}

/** A command that another one takes along: its decision takes effect with the other's, or not at all (ADR 0019). */
export interface Part {
  readonly partitionKey: string;
  readonly commandId: string;
  readonly metadata: object;
  /** The streams it decides on. Called again with what is loaded until it asks for nothing new. */
  streams(states: States): readonly Stream[];
  // What parts answer is their own affair; whoever asks for them knows.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly decide: Decide<any>;
}

/**
 * Decides commands of any partitions within a command's own decision, one after the other, each on what the ones before
 * it left: their answers, or the refusal of the first that can not be, and then none of them has any effect. The command
 * must have named their like (see Write.parts).
 */
export type DecideParts = (parts: readonly Part[]) => PartsDecided;
export type PartsDecided = { readonly answers: readonly unknown[]; readonly refusal?: undefined } | { readonly refusal: Rejection };

export const noParts: DecideParts = (parts) => {
  if (parts.length > 0) throw new Error('the command has named no parts');
  return { answers: [] };
};

export type Decide<Answer> = (states: States, context: DecisionContext, decideParts: DecideParts) => Decision<Answer>;

/**
 * The domain's "no". `code` is stable and listed in docs/errors.md; the HTTP status follows from it. Thrown by
 * decisions; anything else that a decision throws is a bug.
 */
export class Rejection extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
  ) {
    super(`${code}: ${detail}`);
  }
}
