/**
 * What a domain file says about its streams and events. Pure types and constructors: `domain/` may import this
 * file and decision.ts, and nothing else of the platform.
 */

/** A fact, as the domain writes it. `type` is the stored name and version, e.g. `ledger.account-opened.v1`. */
export interface Event<Type extends string = string, Data extends object = object> {
  readonly type: Type;
  /** Plain JSON. Amounts are decimal strings. */
  readonly data: Data;
}

/** How the state of one kind of stream follows from its events. */
export interface StreamType<State = unknown, E extends Event = Event> {
  /** First part of the stream's name: `account` in `account/main/alice`. */
  readonly name: string;
  /** Raise it when State changes shape: snapshots of another version are ignored and written anew. */
  readonly stateVersion: number;
  /** About how much memory a state takes, for the bound of the state cache. */
  stateBytes(state: State): number;
  initial(id: string): State;
  evolve(state: State, event: E, recordedAt: string): State;
  /** Whether the state is likely to be asked for again soon. Default: yes. */
  isWorthKeeping?(state: State): boolean;
}

/** One stream: a type and an id. `isNew`: taken for new, and loaded only when an append meets its place. */
export interface Stream<State = unknown> {
  // The events a stream folds are its own affair; whoever holds a Stream only sees the State.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly type: StreamType<State, any>;
  readonly name: string;
  readonly isNew: boolean;
}

export function stream<State, E extends Event>(
  type: StreamType<State, E>,
  id: string,
  isNew = false,
): Stream<State> {
  return { type, name: `${type.name}/${id}`, isNew };
}

/** For the branch of a fold that no event comes to: the compiler says so when one is forgotten. */
export function unknownEvent(event: never): never {
  throw new Error(`an event that is not folded: ${(event as Event).type}`);
}

/** What the log must know of an event: the streams it belongs to, its own (primary) one first. */
export interface EventType<E extends Event = Event> {
  readonly type: E['type'];
  streams(data: E['data']): readonly Stream[];
}

/** Reads a stored event of a former version as one of the current version. */
export type Upcast = (data: never) => Event;

/** A module's events: the current ones, and how former ones are read. */
export interface EventModule {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly events: readonly EventType<any>[];
  readonly upcasts?: Readonly<Record<string, Upcast>>;
}
