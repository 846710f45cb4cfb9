import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import {
  noParts,
  Rejection,
  type Decide,
  type Decision,
  type ScheduledCommand,
  type States,
} from '../../src/platform/log/decision.js';
import { LayeredStates, newState, type VersionedState } from '../../src/platform/log/states.js';
import { stream, type Event, type EventModule, type Stream, type StreamType } from '../../src/platform/log/stream.js';

/** What a command hands the log writer, as far as the domain has a say in it. */
export interface Decider<Answer> {
  streams(states: States): readonly Stream[];
  readonly decide: Decide<Answer>;
}

export class Refusal {
  constructor(
    readonly code: string,
    readonly detail?: string | RegExp,
  ) {}
}

/** Expected of `then`: the command is refused, with this code (and this detail). */
export const refused = (code: string, detail?: string | RegExp): Refusal => new Refusal(code, detail);

/** Expected of `then`: the command is done, and nothing happens. */
export const nothing: readonly Event[] = [];

type AnyStreamType = Pick<StreamType, 'name' | 'initial'>;

/** A module's streams in memory: folds events and runs decisions as the log writer does, without a log. */
export class StreamsInMemory {
  private readonly catalogue = new EventCatalogue();
  private readonly types: ReadonlyMap<string, StreamType>;
  private readonly states = new Map<string, VersionedState>();

  constructor(module: EventModule, types: readonly AnyStreamType[]) {
    this.catalogue.add(module);
    this.types = new Map((types as StreamType[]).map((type) => [type.name, type]));
  }

  /** Folds a stored event into every stream it belongs to. */
  record({ type, data }: Event, recordedAt: string): void {
    const event = this.catalogue.read(type, data);
    const layer = new LayeredStates({ lookUp: (name) => this.load(name) }, this.catalogue, recordedAt);
    layer.applyOne(event);
    this.keep(layer);
  }

  /**
   * A decision on what has happened so far. It sees no stream but those that the command names, and its events are
   * folded into those. Refusals are thrown.
   */
  run<Answer>({ streams, decide }: Decider<Answer>, now: string): Decision<Answer> {
    const layer = this.layerOf(streams, now);
    const decision = decide(layer.fork(), { now, commandId: '0.test' }, noParts);
    layer.apply(decision.events);
    this.keep(layer);
    return decision;
  }

  /** The state that a stream has now. */
  of<State>(wanted: Stream<State>): State {
    return this.load(wanted.name).state as State;
  }

  versionOf(wanted: Stream): number {
    return this.load(wanted.name).version;
  }

  all(): VersionedState[] {
    return [...this.states.values()];
  }

  /** Streams may follow from states (a capture's accounts, from its transaction), so it is asked until it is content. */
  private layerOf(streams: (states: States) => readonly Stream[], now: string): LayeredStates {
    const loaded = new Map<string, VersionedState>();
    const layer = new LayeredStates({ lookUp: (name) => loaded.get(name) }, this.catalogue, now);
    for (let depth = 0; depth < 8; depth++) {
      const missing = streams(layer).filter((wanted) => !loaded.has(wanted.name));
      if (missing.length === 0) return layer;
      for (const wanted of missing) loaded.set(wanted.name, this.load(wanted.name));
    }
    throw new Error('a command asks for ever more streams');
  }

  private load(name: string): VersionedState {
    const known = this.states.get(name);
    if (known) return known;
    const [typeName, id] = [name.slice(0, name.indexOf('/')), name.slice(name.indexOf('/') + 1)];
    const type = this.types.get(typeName);
    if (!type) throw new Error(`the test knows no streams of type ${typeName}`);
    return newState(stream(type, id));
  }

  private keep(layer: LayeredStates): void {
    for (const entry of layer.changes()) this.states.set(entry.stream.name, entry);
  }
}

/**
 * Domain tests as sentences: given what has happened, when somebody wants something, then this happens or it is
 * refused.
 *
 *   const given = scenariosOf(ledgerEvents, [accountType, transactionType]);
 *   given(opened('alice')).when(closing('alice')).then(closed('alice'));
 */
export function scenariosOf(module: EventModule, types: readonly AnyStreamType[]) {
  return (...events: Event[]): Scenario => new Scenario(module, types, events);
}

class Scenario {
  private time = '2026-01-31T12:00:00.000Z';

  constructor(
    private readonly module: EventModule,
    private readonly types: readonly AnyStreamType[],
    private readonly events: readonly Event[],
  ) {}

  /** The time of what follows. */
  at(time: string): this {
    this.time = time;
    return this;
  }

  when<Answer>(decider: Decider<Answer>): Outcome<Answer> {
    const streams = new StreamsInMemory(this.module, this.types);
    for (const event of this.events) streams.record(event, '2026-01-01T00:00:00.000Z');
    try {
      return new Outcome(streams.run(decider, this.time), undefined);
    } catch (error) {
      if (error instanceof Rejection) return new Outcome<Answer>(undefined, error);
      throw error;
    }
  }
}

class Outcome<Answer> {
  constructor(
    private readonly decision: Decision<Answer> | undefined,
    private readonly rejection: Rejection | undefined,
  ) {}

  then(expected: Event | readonly Event[] | Refusal): this {
    if (expected instanceof Refusal) {
      const { code, detail } = expected;
      const wanted = { code, detail: detail instanceof RegExp ? expect.stringMatching(detail) : detail };
      const got = { code: this.rejection?.code, detail: this.rejection?.detail, events: this.decision?.events };
      expect(got).toMatchObject(detail === undefined ? { code } : wanted);
    } else {
      expect(this.rejection).toBeUndefined();
      // As stored: a field that is undefined is not there.
      expect(JSON.parse(JSON.stringify(this.decision!.events))).toEqual([expected].flat());
    }
    return this;
  }

  answering(expected: object | null): this {
    expect(this.decision?.answer).toEqual(expected);
    return this;
  }

  /** 201 or 200. */
  creating(created: boolean): this {
    expect(this.decision?.created ?? false).toBe(created);
    return this;
  }

  unscheduling(...expected: string[]): this {
    expect(this.decision?.unschedule ?? []).toEqual(expected);
    return this;
  }

  scheduling(...expected: ScheduledCommand[]): this {
    expect(this.decision?.schedule ?? []).toEqual(expected);
    return this;
  }
}
