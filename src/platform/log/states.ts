import { LRUCache } from 'lru-cache';
import type { EventCatalogue } from './catalogue.js';
import type { ForkedStates } from './decision.js';
import type { Event, Stream } from './stream.js';

/** The state of a stream, and of which version it is. */
export interface VersionedState {
  readonly stream: Stream;
  readonly state: unknown;
  readonly version: number;
  /** The version of its last snapshot, 0 when it has none. */
  readonly snapshotVersion: number;
}

/** A decision asked for a stream that is not loaded; the writer loads it and decides again. */
export class MissingStateError extends Error {
  constructor(readonly stream: Stream) {
    super(`the state of ${stream.name} is not loaded: the command must name it in streams()`);
  }
}

/** The share of the memory for what has only just begun. */
const freshShare = 1 / 16;

interface Held {
  readonly partition: number;
  readonly entry: VersionedState;
}

/**
 * The states that a process holds of recently used streams, bounded by memory. There is no invalidation: all of
 * them are exactly as of the partition's head that the writer knows, and whoever moves that head folds what was
 * missed into them first.
 *
 * A stream that has just begun is held apart, in little memory, until it is written to again: most orders, and what is
 * reserved and pending for them, are not for hours, and pushed out what every order needs. (2Q without its list of
 * ghosts: Johnson and Shasha, VLDB 1994.) The less is held, the less the garbage collector has to mark: with orders held
 * like all else it took 170 ms of the other core every four seconds, and one order in twenty waited for it (ADR 0022).
 */
export class StateCache {
  /** By the stream's name: a stream is in one partition, so the name says it all. */
  private readonly used: LRUCache<string, Held>;
  private readonly fresh: LRUCache<string, Held>;

  constructor(maxBytes: number) {
    const sizeCalculation = ({ entry }: Held) => bytesOf(entry);
    const freshBytes = Math.ceil(maxBytes * freshShare);
    this.used = new LRUCache({ maxSize: maxBytes - freshBytes, sizeCalculation });
    this.fresh = new LRUCache({ maxSize: freshBytes, sizeCalculation });
  }

  get(name: string): VersionedState | undefined {
    return (this.used.get(name) ?? this.fresh.peek(name))?.entry;
  }

  /** Without a note that it was used: a decision asks several times for what it has named before. */
  peek(name: string): VersionedState | undefined {
    return (this.used.peek(name) ?? this.fresh.peek(name))?.entry;
  }

  /** What a command has asked for and the log has told. */
  putLoaded(partition: number, entry: VersionedState): void {
    if (isWorthKeeping(entry)) this.used.set(entry.stream.name, { partition, entry });
  }

  /** What a stream has become. */
  put(partition: number, entry: VersionedState): void {
    const { name } = entry.stream;
    const wasFresh = this.fresh.delete(name);
    if (!isWorthKeeping(entry)) this.used.delete(name);
    else if (wasFresh || this.used.has(name)) this.used.set(name, { partition, entry });
    else this.fresh.set(name, { partition, entry });
  }

  forget(partition: number): void {
    for (const cache of [this.used, this.fresh]) {
      for (const [name, held] of [...cache.entries()]) if (held.partition === partition) cache.delete(name);
    }
  }

  get bytes(): number {
    return this.used.calculatedSize + this.fresh.calculatedSize;
  }
}

/**
 * The states as one batch sees them: what its earlier commands changed, over what was there before. Layers stack:
 * cache ← batch ← a decision's own fork. A layer is merged down only when what it stands for has happened: the
 * batch's when its partition committed.
 */
export class LayeredStates implements ForkedStates {
  private readonly changed = new Map<string, VersionedState>();
  /** Of a fork: the streams of each event applied to it, with their new versions. */
  private readonly applied: VersionedState[][] = [];

  constructor(
    private readonly below: { lookUp(name: string): VersionedState | undefined },
    private readonly catalogue: EventCatalogue,
    private readonly recordedAt: string,
  ) {}

  lookUp(name: string): VersionedState | undefined {
    return this.changed.get(name) ?? this.below.lookUp(name);
  }

  find(stream: Stream): VersionedState | undefined {
    const found = this.lookUp(stream.name);
    if (found || !stream.isNew) return found;
    return newState(stream);
  }

  /** A stream whose id was made just now starts here, without a look at the log. */
  begin(stream: Stream): void {
    if (!this.lookUp(stream.name)) this.changed.set(stream.name, newState(stream));
  }

  of<State>(stream: Stream<State>): State {
    const found = this.find(stream);
    if (!found) throw new MissingStateError(stream);
    return found.state as State;
  }

  has(stream: Stream): boolean {
    return this.find(stream) !== undefined;
  }

  fork(): LayeredStates {
    return new LayeredStates(this, this.catalogue, this.recordedAt);
  }

  apply(events: readonly Event[]): void {
    for (const event of events) this.applied.push(this.applyOne(event));
  }

  /** Folds one event and returns the streams it belongs to with their new versions, the primary one first. */
  applyOne(event: Event): VersionedState[] {
    const touched: VersionedState[] = [];
    for (const stream of this.catalogue.streamsOf(event)) {
      const before = this.find(stream);
      if (!before) throw new MissingStateError(stream);
      touched.push(evolved(before, event, this.recordedAt));
    }
    for (const entry of touched) this.changed.set(entry.stream.name, entry);
    return touched;
  }

  /** All of them, or none when one can not be folded; returns the streams each event belongs to, as applyOne does. */
  applyAll(events: readonly Event[], applied?: ForkedStates): VersionedState[][] {
    if (events.length === 0) return [];
    if (events.length === 1) return [this.applyOne(events[0]!)];
    const step = applied instanceof LayeredStates ? applied : this.fork();
    if (step !== applied) step.apply(events);
    if (step.applied.length !== events.length) throw new Error('a decision applied other events than it returned');
    for (const [name, entry] of step.changed) this.changed.set(name, entry);
    return step.applied;
  }

  /** What a fork of these states has come to becomes theirs. */
  merge(fork: LayeredStates): void {
    for (const [name, entry] of fork.changed) this.changed.set(name, entry);
  }

  /** Notes that the state a stream has now is written as its snapshot, and returns it. */
  noteSnapshot(name: string): VersionedState {
    const entry = this.lookUp(name)!;
    const noted = { ...entry, snapshotVersion: entry.version };
    this.changed.set(name, noted);
    return noted;
  }

  changes(): IterableIterator<VersionedState> {
    return this.changed.values();
  }
}

function isWorthKeeping({ stream, state }: VersionedState): boolean {
  return stream.type.isWorthKeeping?.(state) ?? true;
}

/** The state itself, the name twice (key and stream), and what the cache keeps for an entry. */
function bytesOf({ stream, state }: VersionedState): number {
  return stream.type.stateBytes(state) + 2 * stream.name.length + 200;
}

export function newState(stream: Stream): VersionedState {
  const id = stream.name.slice(stream.type.name.length + 1);
  return { stream, state: stream.type.initial(id), version: 0, snapshotVersion: 0 };
}

export function evolved(entry: VersionedState, event: Event, recordedAt: string): VersionedState {
  return {
    stream: entry.stream,
    state: entry.stream.type.evolve(entry.state, event, recordedAt),
    version: entry.version + 1,
    snapshotVersion: entry.snapshotVersion,
  };
}

/**
 * JSON has no 64-bit integers, so in a snapshot a bigint is the text `$n` and its digits. A text that begins with `$`
 * gets another one in front: states carry what clients wrote, and that must not come back as a number.
 */
export function stateToJson(state: unknown): string {
  return JSON.stringify(state, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `$n${value}`;
    return typeof value === 'string' && value.startsWith('$') ? `$${value}` : value;
  });
}

export function stateFromJson(json: string): unknown {
  return JSON.parse(json, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith('$')) return value;
    return value.startsWith('$n') ? BigInt(value.slice(2)) : value.slice(1);
  });
}
