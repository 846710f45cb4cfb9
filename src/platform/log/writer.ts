import type pg from 'pg';
import { OverloadedError, UnavailableError } from '../errors.js';
import { faultPoint } from '../fault-points.js';
import type { WriterMetrics } from '../observability/metrics.js';
import { AppendStatements, type AppendResultRow, type AppendRows, type KnownCommand } from './append.js';
import type { EventCatalogue } from './catalogue.js';
import type { DatabaseClock } from './database-clock.js';
import { noParts, Rejection } from './decision.js';
import type { Decide, DecideParts, Decision, DecisionContext, Part, PartsDecided, ScheduledCommand } from './decision.js';
import { classify, type FailureKind } from './failures.js';
import type { WhoIsThereRow } from './fence.js';
import { homeOf, partitionOf } from './partition.js';
import type { EventMetadata, RecordedEvent } from './recorded-event.js';
import type { RefreshRow } from './refresh.js';
import { evolved, LayeredStates, MissingStateError, newState, StateCache, stateFromJson, stateToJson } from './states.js';
import type { VersionedState } from './states.js';
import { LogStatements } from './statements.js';
import type { Stream } from './stream.js';
import type { NewEvents } from './new-events.js';

/** A command for the log: what it decides on, and the decision. */
export interface Write<Answer = unknown> extends Part {
  /** The command's stored name, e.g. `ledger.post-transaction`. */
  readonly commandType: string;
  readonly metadata: Omit<EventMetadata, 'commandId'>;
  /**
   * Present when the outcome is to be kept: a client's key or the inbox will ask for it again. The fingerprint
   * tells the same request from another one with the same key; null where there is only one (the inbox).
   */
  readonly record?: { readonly fingerprint: string | null };
  /** About how many events it appends; bounds a batch. */
  readonly weight?: number;
  /** It continues a command that was let in before: a full queue does not turn it away half-way. */
  readonly admitted?: boolean;
  /**
   * What its decision may take along: these, or others of the same partitions and streams, which depend on what it finds.
   * They keep no record of their own, and must find what they have done when they are repeated.
   */
  readonly parts?: readonly Part[];
  readonly decide: Decide<Answer>;
}

/** What became of a command. `answer` and `rejection` are as first recorded, however often it is retried. */
export type Outcome = {
  readonly partition: number;
  /** The position the answer is based on: of its last event, or of the head it was decided against. */
  readonly position: number;
  /** Of a command that has just taken others along: how far the other partitions are that these wrote to. */
  readonly also?: readonly { readonly partition: number; readonly position: number }[];
  readonly replayed: boolean;
} & (
  | { readonly status: 'executed'; readonly created: boolean; /** JSON. */ readonly answer: string }
  | { readonly status: 'refused'; readonly rejection: { readonly code: string; readonly detail: string } }
);

/** A command or a part of one, in its partition. */
interface Step {
  readonly write: Part;
  readonly partition: number;
  /** What streams() asked for when it was last asked. */
  streams: readonly Stream[];
  /** Streams that a decision turned out to need beyond those it had named. */
  readonly extraStreams: Stream[];
}

interface Pending extends Step {
  readonly write: Write;
  /** Where its record is (homeOf). */
  readonly home: number;
  readonly parts: readonly Step[];
  readonly promise: Promise<Outcome>;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
  rounds: number;
  /** Ids it takes for new may not be: they are looked up like any other. */
  doubtsNew: boolean;
}

/** What the writer knows of a partition. `head` and `revision` are as of the states in the cache. */
interface PartitionView {
  head: number;
  revision: number;
  recordedAtMs: number;
}

/** What was decided for a command or a part of one, and the states it makes of it. */
interface Taken {
  readonly step: Step;
  readonly decision: Decision;
  readonly touched: VersionedState[][];
}

interface Decided {
  readonly pending: Pending;
  readonly outcome: Outcome;
  /** It and its parts; nothing when it is refused. */
  readonly taken: readonly Taken[];
}

interface Round {
  readonly rows: AppendStatements;
  /** Per partition, the streams of which a snapshot is due. */
  readonly snapshotsDue: Map<number, Set<string>>;
  readonly decided: Map<number, Decided[]>;
  readonly layers: Map<number, LayeredStates>;
  readonly events: Map<number, RecordedEvent[]>;
  readonly expected: Map<number, PartitionView & { readonly recordedAt: string }>;
  /** Partitions that take part together or not at all, as disjoint sets: from each to another of its group. Alone: absent. */
  readonly groups: Map<number, number>;
  readonly postponed: Pending[];
}

export interface WriterOptions {
  readonly partitions: number;
  readonly queueLimit: number;
  readonly stateCacheBytes: number;
  /** Whether its statements are about one partition each (statements.ts). Default: no. */
  readonly areApart?: boolean;
  /** Called after a commit that appended events. */
  onCommitted(partitions: readonly number[]): void;
}

const maxBatchCommands = 500;
const maxBatchWeight = 2_000;
const maxMissedEvents = 2_000;
/** So few that a stream not held costs little to load, at 1 µs of PostgreSQL per transfer for writing them. */
const snapshotEveryVersions = 20;
/** How many batches take their locks first after another writer was met in a partition. */
const contendedBatches = 16;
const maxRounds = 50;

/**
 * The loop that every write of this process goes through (docs/ARCHITECTURE.md, ADR 0001).
 *
 * It takes everything that is waiting, for whichever partitions, and runs *rounds* on it until nothing is left:
 *
 *   refresh  read heads, missed events and missing states, all of them in one statement; skipped when the cache
 *            has everything, which is the normal case;
 *   decide   run the decisions one after the other, each on the states the ones before it left behind;
 *   append   write it all in one statement, which takes effect only for partitions nobody else has written to;
 *   settle   keep the states of those and answer their callers; the commands of the others go into the next round.
 *
 * While one batch is being committed the next one gathers: the batch size follows the load, and no timer is needed.
 * After a lost race the next rounds lock first, so a slow process is not overtaken for ever.
 *
 * A process may have several of them, each for its partitions (lanes.ts). Where they have to speak of each partition in a
 * statement of its own, a batch of several partitions is a transaction: it locks first, always, for it takes several round
 * trips; what it decided then holds until the end, and only a command that was done before can make a statement lose.
 */
export class LogWriter {
  private readonly statements: LogStatements;
  private readonly cache: StateCache;
  private readonly views = new Map<number, PartitionView>();
  private readonly contention = new Map<number, number>();
  /**
   * By command id. Not a Map: of the tables that a Map has outgrown V8 lets each refer to the next, so that from the first
   * that is old enough for a full collection only, all later ones live until then, with the commands that were in them:
   * 3 kB of each order (ADR 0022).
   */
  private readonly inFlight = Object.create(null) as Record<string, Pending | undefined>;
  private waiting: Pending[] = [];
  private loop: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly pool: pg.Pool,
    private readonly catalogue: EventCatalogue,
    private readonly newEvents: NewEvents,
    private readonly clock: DatabaseClock,
    private readonly metrics: WriterMetrics,
    private readonly options: WriterOptions,
  ) {
    this.statements = new LogStatements(options.areApart ?? false);
    this.cache = new StateCache(options.stateCacheBytes);
    metrics.watch(
      () => this.waiting.length,
      () => this.cache.bytes,
    );
  }

  get partitions(): number {
    return this.options.partitions;
  }

  partitionOf(partitionKey: string): number {
    return partitionOf(partitionKey, this.options.partitions);
  }

  /**
   * Runs a command. Resolves with its outcome once that is durable; a domain's refusal is an outcome too. Rejects
   * with OverloadedError when the queue is full, with UnavailableError when the database can not be reached (the
   * command may or may not have happened; a retry with the same key tells), and with whatever a faulty decision threw.
   */
  execute(write: Write): Promise<Outcome> {
    if (this.closed) return Promise.reject(new UnavailableError('shutting-down', 'this node is shutting down'));
    const twin = this.inFlight[write.commandId];
    if (twin) return join(twin, write);
    if (this.waiting.length >= this.options.queueLimit && !write.admitted) {
      this.metrics.overloaded.inc();
      return Promise.reject(new OverloadedError());
    }
    const pending = this.newPending(write);
    this.inFlight[write.commandId] = pending;
    this.waiting.push(pending);
    // Started by setImmediate, not at once: the other requests that this turn of the event loop reads join the batch.
    this.loop ??= new Promise<void>((done) => setImmediate(() => void this.run().finally(done)));
    return pending.promise;
  }

  /**
   * The state of a stream as this process knows it: committed, as of a position of its partition, and perhaps not the
   * latest when other processes write there too. Undefined when it is not in memory.
   */
  held<State>(
    partitionKey: string,
    { name }: Stream<State>,
  ): { readonly partition: number; readonly position: number; readonly state: State } | undefined {
    const partition = this.partitionOf(partitionKey);
    const entry = this.cache.get(name);
    return entry && { partition, position: this.views.get(partition)!.head, state: entry.state as State };
  }

  /** Takes no new commands and waits for those it has. */
  async close(): Promise<void> {
    this.closed = true;
    await this.loop;
  }

  private newPending(write: Write): Pending {
    let settle!: Pick<Pending, 'resolve' | 'reject'>;
    const promise = new Promise<Outcome>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const forget = () => delete this.inFlight[write.commandId];
    const partition = this.partitionOf(write.partitionKey);
    return {
      write,
      partition,
      home: homeOf(write, partition, this.options.partitions),
      streams: [],
      extraStreams: [],
      parts: write.parts?.map((part) => this.step(part)) ?? noSteps,
      promise,
      resolve: (outcome) => (forget(), this.answerSoon(() => settle.resolve(outcome))),
      // Through the same queue: whichever came first is what the caller hears.
      reject: (error) => (forget(), this.answerSoon(() => settle.reject(error))),
      rounds: 0,
      doubtsNew: false,
    };
  }

  private step(write: Part): Step {
    return { write, partition: this.partitionOf(write.partitionKey), streams: [], extraStreams: [] };
  }

  private readonly answers: (() => void)[] = [];

  /**
   * Callers get their outcomes once the next batch is on its way: Postgres commits it while this thread writes the
   * answers of the last one and reads the requests that follow them. Answered at once, the two waited for each other.
   */
  private answerSoon(answer: () => void): void {
    if (this.answers.push(answer) > 1) return;
    setImmediate(() => {
      for (const each of this.answers.splice(0)) each();
    });
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.takeBatch();
      this.metrics.batchCommands.observe(batch.length);
      try {
        await this.commit(batch);
      } catch (error) {
        for (const pending of batch) pending.reject(error);
      }
    }
    this.loop = undefined;
  }

  private takeBatch(): Pending[] {
    let count = 0;
    let weight = 0;
    while (count < this.waiting.length && count < maxBatchCommands && (count === 0 || weight < maxBatchWeight)) {
      const { write, parts } = this.waiting[count]!;
      weight += (write.weight ?? 1) + parts.length;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  /** Rounds until every command of the batch is settled. */
  private async commit(batch: Pending[]): Promise<void> {
    let todo = batch;
    // Since the last success, each kind by itself: a batch that lost its connection twice may still meet a taken id.
    let failures: Partial<Record<FailureKind, number>> = {};
    while (todo.length > 0) {
      const round: { current?: Round } = {};
      try {
        todo = await this.round(todo, round);
        failures = {};
      } catch (error) {
        const kind = classify(error);
        this.metrics.failures.inc({ kind });
        const times = (failures[kind] = (failures[kind] ?? 0) + 1);
        todo = await this.afterFailure(todo, round.current, error, kind, times);
      }
    }
    // Not emptied when it is empty: that, too, leaves a table behind.
    if (this.loaded.size > 0) this.loaded.clear();
  }

  private async round(todo: Pending[], round: { current?: Round }): Promise<Pending[]> {
    for (const pending of todo) {
      if (++pending.rounds > maxRounds) {
        throw new Error(`${pending.write.commandType} was not decided in ${maxRounds} rounds`);
      }
    }
    const partitions = partitionsOf(todo);
    const { areApart } = this.statements;
    const lockFirst = (areApart && partitions.length > 1) || partitions.some((partition) => (this.contention.get(partition) ?? 0) > 0);
    const started = performance.now();
    const client = await this.pool.connect();
    let failed: Error | undefined;
    try {
      if (lockFirst) {
        await client.query('BEGIN');
        await this.statements.lock(client, partitions);
        for (const partition of partitions) this.markStale(partition);
      }
      await this.refresh(client, partitions, todo);
      round.current = this.decide(todo);
      faultPoint('writer: before append');
      let result = await this.append(client, round.current);
      // Each by itself, they know nothing of groups: all of them take effect, or none.
      const hasLost = areApart && result.some(({ won }) => !won);
      if (hasLost) result = result.map((row) => ({ ...row, won: false }));
      if (lockFirst) await client.query(hasLost ? 'ROLLBACK' : 'COMMIT');
      faultPoint('writer: after append');
      this.metrics.commitSeconds.observe((performance.now() - started) / 1_000);
      return this.settle(round.current, result);
    } catch (error) {
      failed = error as Error;
      throw error;
    } finally {
      // A client that failed may be in a transaction, or have an answer under way: it is not given to anyone else.
      client.release(failed);
    }
  }

  // ---- refresh

  private readonly stale = new Set<number>();

  private markStale(partition: number): void {
    this.stale.add(partition);
  }

  private async refresh(client: pg.PoolClient, partitions: number[], todo: Pending[]): Promise<void> {
    // Streams that depend on states (a reversal's accounts, on its transaction) show up only once those are loaded.
    for (let depth = 0; depth < 8; depth++) {
      const missing = this.missingStreams(todo);
      const outdated = partitions.filter((partition) => this.stale.has(partition) || !this.views.has(partition));
      if (missing.size === 0 && outdated.length === 0) return;
      const involved = new Set([...outdated, ...[...missing.values()].map((entry) => entry.partition)]);
      await this.read(client, [...involved], [...missing.values()]);
    }
    throw new Error('a command asks for ever more streams');
  }

  private missingStreams(todo: Pending[]): Map<string, { partition: number; stream: Stream }> {
    const missing = new Map<string, { partition: number; stream: Stream }>();
    const statesOf = new Map<number, LayeredStates>();
    const look = (step: Step, doubtsNew: boolean) => {
      const { partition, write, extraStreams } = step;
      const states = statesOf.get(partition) ?? this.cachedStates(partition);
      statesOf.set(partition, states);
      const streams = write.streams(states);
      step.streams = extraStreams.length > 0 ? [...streams, ...extraStreams] : streams;
      if (doubtsNew) step.streams = step.streams.map((stream) => ({ ...stream, isNew: false }));
      for (const stream of step.streams) {
        // Noted as used here, once a command; the decision's own looks are free of that.
        if (!stream.isNew && !this.cache.get(stream.name) && !states.find(stream)) missing.set(`${partition}/${stream.name}`, { partition, stream });
      }
    };
    for (const pending of todo) {
      look(pending, pending.doubtsNew);
      for (const part of pending.parts) look(part, pending.doubtsNew);
    }
    return missing;
  }

  private readonly loaded = new Map<number, Map<string, VersionedState>>();

  /** The cache, and over it what this batch loaded: the cache may be smaller than the batch. */
  private cachedStates(partition: number): LayeredStates {
    const loaded = this.loaded.get(partition);
    const lookUp = (name: string) => this.cache.peek(name) ?? loaded?.get(name);
    return new LayeredStates({ lookUp }, this.catalogue, '');
  }

  private async read(
    client: pg.PoolClient,
    partitions: number[],
    missing: { partition: number; stream: Stream }[],
  ): Promise<void> {
    const known = new Map(partitions.map((partition) => [partition, this.views.get(partition)?.head ?? -1]));
    const wanted = missing.map(({ partition, stream: { name, type } }) => ({ partition, name, stateVersion: type.stateVersion }));
    const rows = await this.statements.refresh(client, known, wanted, maxMissedEvents + 1);
    const states = new Map<string, VersionedState>();
    for (const { partition, stream } of missing) states.set(`${partition}/${stream.name}`, newState(stream));
    const missed = new Map<number, RecordedEvent[]>();
    const heads = new Map<number, PartitionView>();
    for (const row of rows) {
      if (row.kind === 0) {
        this.clock.saw(row.database_time!);
        heads.set(row.partition, { head: row.position, revision: row.version, recordedAtMs: row.recorded_at.getTime() });
      } else if (row.kind === 1) {
        const events = missed.get(row.partition) ?? [];
        missed.set(row.partition, events);
        events.push(this.recordedEvent(row));
      } else {
        const key = `${row.partition}/${row.stream}`;
        const entry = states.get(key)!;
        if (row.kind === 2) {
          const { version } = row;
          states.set(key, { ...entry, state: stateFromJson(row.data), version, snapshotVersion: version });
        } else {
          const event = this.catalogue.read(row.type, JSON.parse(row.data) as object);
          states.set(key, evolved(entry, event, row.recorded_at.toISOString()));
        }
      }
    }
    for (const [partition, view] of heads) this.catchUp(partition, view, missed.get(partition) ?? []);
    for (const { partition, stream } of missing) {
      const entry = states.get(`${partition}/${stream.name}`)!;
      const loaded = this.loaded.get(partition) ?? new Map<string, VersionedState>();
      this.loaded.set(partition, loaded);
      loaded.set(stream.name, entry);
      this.cache.putLoaded(partition, entry);
    }
  }

  private recordedEvent(row: RefreshRow): RecordedEvent {
    const { type, data } = this.catalogue.read(row.type, JSON.parse(row.data) as object);
    const { partition, position } = row;
    const metadata = JSON.parse(row.metadata) as EventMetadata;
    return { partition, position, type, data, metadata, recordedAt: row.recorded_at.toISOString() };
  }

  /** Folds what other writers appended into the states held; when that was too much, lets go of them instead. */
  private catchUp(partition: number, view: PartitionView, missed: RecordedEvent[]): void {
    const known = this.views.get(partition);
    const loaded = this.loaded.get(partition);
    if (known && known.head + missed.length !== view.head) {
      this.cache.forget(partition);
      loaded?.clear();
    } else {
      for (const event of missed) {
        for (const stream of this.catalogue.streamsOf(event)) {
          const held = this.cache.get(stream.name) ?? loaded?.get(stream.name);
          if (!held) continue;
          const entry = evolved(held, event, event.recordedAt);
          this.cache.put(partition, entry);
          loaded?.set(stream.name, entry);
        }
      }
      this.newEvents.tell(missed);
    }
    this.views.set(partition, view);
    this.stale.delete(partition);
  }

  // ---- decide

  private decide(todo: Pending[]): Round {
    const round: Round = {
      rows: new AppendStatements(this.statements.areApart),
      snapshotsDue: new Map(),
      decided: new Map(),
      layers: new Map(),
      events: new Map(),
      expected: new Map(),
      groups: new Map(),
      postponed: [],
    };
    const writes = new Set<number>();
    for (const pending of todo) this.decideOne(pending, round, writes);
    for (const [partition, names] of round.snapshotsDue) {
      const layer = round.layers.get(partition)!;
      for (const name of names) round.rows.of(partition).snapshots.push(snapshotJson(partition, layer.noteSnapshot(name)));
    }
    for (const [partition, view] of round.expected) {
      const { heads } = round.rows.of(partition);
      heads.partition.push(partition);
      heads.revision.push(view.revision);
      heads.head.push(view.head + round.events.get(partition)!.length);
      heads.recordedAt.push(view.recordedAt);
      heads.writes.push(writes.has(partition));
      heads.group.push(groupOf(partition, round.groups));
    }
    return round;
  }

  /** The states of a partition as the round has changed them so far. */
  private layerOf(partition: number, round: Round): LayeredStates {
    const begun = round.layers.get(partition);
    if (begun) return begun;
    const known = this.views.get(partition)!;
    const recordedAtMs = Math.max(known.recordedAtMs, this.clock.nowMs());
    const recordedAt = new Date(recordedAtMs).toISOString();
    round.expected.set(partition, { head: known.head, revision: known.revision, recordedAtMs, recordedAt });
    const layer = new LayeredStates(this.cachedStates(partition), this.catalogue, recordedAt);
    round.layers.set(partition, layer);
    round.decided.set(partition, []);
    round.events.set(partition, []);
    round.snapshotsDue.set(partition, new Set());
    return layer;
  }

  /** Notes in `writes` to which partitions there is something to write for the command. */
  private decideOne(pending: Pending, round: Round, writes: Set<number>): void {
    const { write, partition, home } = pending;
    const layer = this.layerOf(partition, round);
    const joint = pending.parts.length > 0 ? new JointDecision((of) => this.layerOf(of, round)) : undefined;
    const states = joint?.statesOf(partition) ?? layer;
    begin(states, pending.streams);
    let rejection: Rejection | undefined;
    const taken: Taken[] = [];
    try {
      const decideParts: DecideParts = joint ? (parts) => joint.decide(parts.map((part) => this.step(part)), round) : noParts;
      const decision = write.decide(states, contextOf(pending, round), decideParts);
      // Folded before anything else happens: a fold that throws fails its command alone.
      taken.push({ step: pending, decision, touched: states.applyAll(decision.events, decision.applied) });
    } catch (error) {
      const deciding = joint?.deciding;
      const named = deciding ? pending.parts.find((part) => part.partition === deciding.partition) : pending;
      if (error instanceof MissingStateError && named && pending.rounds < maxRounds) {
        named.extraStreams.push(error.stream);
        round.postponed.push(pending);
        return;
      }
      if (!(error instanceof Rejection)) {
        this.metrics.failures.inc({ kind: 'decision' });
        pending.reject(error);
        return;
      }
      rejection = error;
    }
    for (const asked of joint?.asked ?? []) link(partition, asked, round.groups);
    if (joint && !rejection) taken.unshift(...joint.take());

    for (const one of taken) if (this.enter(one, round, pending)) writes.add(one.step.partition);
    const position = round.expected.get(partition)!.head + round.events.get(partition)!.length;
    const decision = taken.at(-1)?.decision;
    const outcome: Outcome = decision
      ? {
          partition,
          position,
          also: joint && this.reachedElsewhere(partition, taken, round),
          replayed: false,
          status: 'executed',
          created: decision.created ?? false,
          answer: JSON.stringify(decision.answer),
        }
      : { partition, position, replayed: false, status: 'refused', rejection: { code: rejection!.code, detail: rejection!.detail } };
    if (write.record) {
      const first = decision && decision.events.length > 0 ? position - decision.events.length + 1 : null;
      if (home !== partition) {
        this.layerOf(home, round);
        link(partition, home, round.groups);
      }
      round.rows.of(home).commands.push(recordJson(write, home, outcome, first));
      writes.add(home);
    }
    round.decided.get(partition)!.push({ pending, outcome, taken });
  }

  private reachedElsewhere(own: number, taken: readonly Taken[], { expected, events }: Round): Outcome['also'] {
    const wrote = new Set(taken.filter(({ decision }) => decision.events.length > 0).map(({ step }) => step.partition));
    wrote.delete(own);
    return [...wrote].map((partition) => ({ partition, position: expected.get(partition)!.head + events.get(partition)!.length }));
  }

  /** Adds what was decided for a step to the round. Returns whether there is anything to write of it. */
  private enter({ step, decision, touched }: Taken, round: Round, { write: { commandId, metadata: cause } }: Pending): boolean {
    const { write, partition } = step;
    const { head, recordedAt } = round.expected.get(partition)!;
    const events = round.events.get(partition)!;
    const rows = round.rows.of(partition);
    const metadata: EventMetadata = { commandId: write.commandId, ...write.metadata };
    const due = round.snapshotsDue.get(partition)!;
    decision.events.forEach((event, index) => {
      const entries = touched[index]!;
      const position = head + events.length + 1;
      events.push({ partition, position, type: event.type, data: event.data, metadata, recordedAt });
      addEvent(rows, partition, position, event, entries, metadata);
      for (const entry of entries) {
        if (entry.version - entry.snapshotVersion >= snapshotEveryVersions) due.add(entry.stream.name);
      }
    });
    for (const command of decision.schedule ?? []) {
      rows.scheduled.push(scheduledJson(partition, command, cause.correlationId ?? commandId, write.commandId));
    }
    for (const key of decision.unschedule ?? []) {
      // A deadline that has come completes its own row.
      if (`${partition}.${key}` === commandId) continue;
      rows.unscheduled.partition.push(partition);
      rows.unscheduled.commandId.push(`${partition}.${key}`);
    }
    return touched.length > 0 || Boolean(decision.schedule?.length || decision.unschedule?.length);
  }

  // ---- append and settle

  private async append(client: pg.PoolClient, round: Round): Promise<AppendResultRow[]> {
    return round.expected.size === 0 ? [] : this.statements.append(client, round.rows.inOrder());
  }

  /** Answers the callers whose partition took part; returns the commands of the next round. */
  private settle(round: Round, result: AppendResultRow[]): Pending[] {
    const again = round.postponed;
    const written: number[] = [];
    // From all rows: a command's record may be in another partition than its events.
    const done = new Map(result.flatMap(({ known }) => known ?? []).map((command) => [command.command_id, command]));
    for (const { partition, won, is_current, known, database_time } of result) {
      this.clock.saw(database_time);
      const decided = round.decided.get(partition)!;
      if (won) {
        this.keep(partition, round);
        const appended = round.events.get(partition)!.length;
        if (appended > 0) written.push(partition);
        this.metrics.appendedEvents.inc(appended);
        for (const { pending, outcome } of decided) pending.resolve(outcome);
        continue;
      }
      if (!is_current) {
        this.metrics.conflicts.inc();
        this.contention.set(partition, contendedBatches);
      }
      // As we know it, it may be current: what lost was a partition that it was to take part together with.
      if (!is_current || known) this.markStale(partition);
      for (const { pending } of decided) {
        const command = done.get(pending.write.commandId);
        if (command) replay(pending, command);
        else again.push(pending);
      }
    }
    if (written.length > 0) this.options.onCommitted(written);
    return again;
  }

  private keep(partition: number, round: Round): void {
    const { head, revision, recordedAtMs } = round.expected.get(partition)!;
    const events = round.events.get(partition)!;
    const { heads } = round.rows.of(partition);
    const wrote = heads.writes[heads.partition.indexOf(partition)]!;
    this.views.set(partition, {
      head: head + events.length,
      revision: wrote ? revision + 1 : revision,
      recordedAtMs: wrote ? recordedAtMs : this.views.get(partition)!.recordedAtMs,
    });
    for (const entry of round.layers.get(partition)!.changes()) {
      this.cache.put(partition, entry);
      this.loaded.get(partition)?.set(entry.stream.name, entry);
    }
    this.newEvents.tell(events);
    const contention = this.contention.get(partition) ?? 0;
    if (contention > 0) this.contention.set(partition, contention - 1);
  }

  // ---- failures

  private async afterFailure(
    todo: Pending[],
    round: Round | undefined,
    error: unknown,
    kind: FailureKind,
    failures: number,
  ): Promise<Pending[]> {
    const open = todo.filter((pending) => this.inFlight[pending.write.commandId] === pending);
    for (const partition of partitionsOf(open)) this.markStale(partition);
    if (kind === 'unreachable') return this.afterLostAnswer(open, round, error);
    if (kind === 'transient') {
      await pause(failures);
      if (failures <= 10) return open;
      const reason = new UnavailableError('database-unavailable', 'the database does not take it now', error);
      for (const pending of open) pending.reject(reason);
      return [];
    }
    if (kind === 'duplicate' && failures <= 2) {
      // An id that was taken for new is not, or a state was not what the log says: read everything anew, locked.
      for (const pending of open) pending.doubtsNew = true;
      for (const partition of partitionsOf(open)) {
        this.cache.forget(partition);
        this.loaded.delete(partition);
        this.contention.set(partition, contendedBatches);
      }
      return open;
    }
    if (open.length > 1) {
      // Something in here the database will not take. Each on its own, so that it fails alone.
      for (const pending of open) await this.commit([pending]);
      return [];
    }
    for (const pending of open) pending.reject(error);
    return [];
  }

  /**
   * The connection broke while a batch was under way. If an append may have been sent, find out whether it happened
   * before anything is decided again. The database gets a few seconds to come back; then the callers are told that
   * the outcome is unknown.
   */
  private async afterLostAnswer(open: Pending[], round: Round | undefined, error: unknown): Promise<Pending[]> {
    const deadline = performance.now() + 5_000;
    for (let failures = 1; performance.now() < deadline; failures++) {
      await pause(failures);
      try {
        return round ? await this.resolveLost(open, round) : await this.probe(open);
      } catch (again) {
        // Also "too many connections": the server that is just back has others to see to.
        if (!['unreachable', 'transient'].includes(classify(again))) throw again;
      }
    }
    const reason = new UnavailableError('database-unavailable', 'the database can not be reached', error);
    for (const pending of open) pending.reject(reason);
    return [];
  }

  private async probe(open: Pending[]): Promise<Pending[]> {
    await this.pool.query('SELECT 1');
    return open;
  }

  /**
   * A command without a record happened if an event of its own is where this batch would have put it: nobody else has its
   * id. One with a record is decided again, and finds the record if there is one: another process may have been told the
   * same, or something else with the same id, and have put that in the very place.
   */
  private async resolveLost(open: Pending[], round: Round): Promise<Pending[]> {
    const events = new Map<string, RecordedEvent>();
    for (const own of round.events.values()) for (const event of own) events.set(event.metadata.commandId, event);
    const unsure: { readonly pending: Pending; readonly outcome: Outcome; readonly event: RecordedEvent }[] = [];
    for (const { pending, outcome, taken } of [...round.decided.values()].flat()) {
      const event = taken.map(({ step }) => events.get(step.write.commandId)).find((one) => one !== undefined);
      if (event && !pending.write.record) unsure.push({ pending, outcome, event });
    }
    const partitions = [...round.expected.keys()].sort((a, b) => a - b);
    const client = await this.pool.connect();
    let there: WhoIsThereRow[];
    try {
      await client.query('BEGIN');
      await this.statements.fence(client, partitions);
      there = await this.statements.whoIsThere(client, unsure.map(({ event }) => event));
      await client.query('COMMIT');
      client.release();
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
    const found = new Set(there.map(({ partition, position, command_id }) => `${partition}@${position} ${command_id}`));
    const happened = new Set<Pending>();
    for (const { pending, outcome, event } of unsure) {
      if (!found.has(`${event.partition}@${event.position} ${event.metadata.commandId}`)) continue;
      happened.add(pending);
      pending.resolve(outcome);
    }
    // Perhaps in vain: of commands that keep a record it is not known yet.
    this.options.onCommitted(partitions);
    this.metrics.resolvedLost.inc({ outcome: 'committed' }, happened.size);
    this.metrics.resolvedLost.inc({ outcome: 'not-committed' }, unsure.length - happened.size);
    return open.filter((pending) => !happened.has(pending));
  }
}

const noSteps: readonly Step[] = [];
/** In the order of their numbers, which is the order of locks. */
function partitionsOf(todo: readonly Pending[]): number[] {
  const partitions = new Set<number>();
  for (const { partition, home, parts } of todo) {
    partitions.add(partition);
    partitions.add(home);
    for (const part of parts) partitions.add(part.partition);
  }
  return [...partitions].sort((a, b) => a - b);
}

/** Streams whose id was made just now start here, without a look at the log. */
function begin(states: LayeredStates, streams: readonly Stream[]): void {
  for (const stream of streams) if (stream.isNew) states.begin(stream);
}

function contextOf({ write, partition }: Step, { expected }: Round): DecisionContext {
  return { now: expected.get(partition)!.recordedAt, commandId: write.commandId };
}

/**
 * A command that takes others along: all of it is decided on forks of the round's states, which are merged into them when
 * it is to take effect.
 */
class JointDecision {
  /** The partitions that it depends on, whatever came of the parts there. */
  readonly asked = new Set<number>();
  private readonly forks = new Map<number, LayeredStates>();
  private readonly taken: Taken[] = [];
  /** The part that is being decided. */
  deciding: Step | undefined;

  constructor(private readonly layerOf: (partition: number) => LayeredStates) {}

  statesOf(partition: number): LayeredStates {
    let fork = this.forks.get(partition);
    if (!fork) this.forks.set(partition, (fork = this.layerOf(partition).fork()));
    return fork;
  }

  decide(parts: readonly Step[], round: Round): PartsDecided {
    const tried = new Map<number, LayeredStates>();
    const taken: Taken[] = [];
    for (const part of parts) {
      const { write, partition } = part;
      this.deciding = part;
      this.asked.add(partition);
      const states = tried.get(partition) ?? this.statesOf(partition).fork();
      tried.set(partition, states);
      begin(states, write.streams(states));
      try {
        const decision = write.decide(states, contextOf(part, round), noParts);
        taken.push({ step: part, decision, touched: states.applyAll(decision.events, decision.applied) });
      } catch (error) {
        if (!(error instanceof Rejection)) throw error;
        this.deciding = undefined;
        return { refusal: error };
      }
    }
    this.deciding = undefined;
    for (const [partition, states] of tried) this.statesOf(partition).merge(states);
    this.taken.push(...taken);
    return { answers: taken.map(({ decision }) => decision.answer) };
  }

  /** What the parts come to, merged into the round. */
  take(): readonly Taken[] {
    for (const [partition, fork] of this.forks) this.layerOf(partition).merge(fork);
    return this.taken;
  }
}

/** Disjoint sets: the partition that stands for the group. */
function groupOf(partition: number, groups: ReadonlyMap<number, number>): number {
  let one = partition;
  for (let next = groups.get(one); next !== undefined && next !== one; next = groups.get(one)) one = next;
  return one;
}

function link(a: number, b: number, groups: Map<number, number>): void {
  groups.set(groupOf(a, groups), groupOf(b, groups));
}

/** A second caller with the same key while the first is under way gets the first one's answer. */
async function join(twin: Pending, write: Write): Promise<Outcome> {
  if (twin.write.record?.fingerprint !== write.record?.fingerprint) throw keyReused();
  return { ...(await twin.promise), replayed: true };
}

export function keyReused(): Rejection {
  return new Rejection('idempotency-key-reused', 'this Idempotency-Key was used for a different request');
}

function replay(pending: Pending, command: KnownCommand): void {
  const expected = pending.write.record?.fingerprint ?? null;
  if (command.fingerprint !== expected && expected !== null) return pending.reject(keyReused());
  const common = { partition: pending.partition, position: command.last_position ?? 0, replayed: true };
  pending.resolve(
    command.status === 'refused'
      ? { ...common, status: 'refused', rejection: command.result as { code: string; detail: string } }
      : { ...common, status: 'executed', created: command.created ?? false, answer: JSON.stringify(command.result) },
  );
}

function addEvent(
  rows: AppendRows,
  partition: number,
  position: number,
  event: { type: string; data: object },
  [primary, ...linked]: VersionedState[],
  metadata: EventMetadata,
): void {
  rows.events.partition.push(partition);
  rows.events.position.push(position);
  rows.events.version.push(primary!.version);
  rows.events.stream.push(primary!.stream.name);
  rows.events.type.push(event.type);
  rows.events.data.push(event.data);
  rows.events.metadata.push(metadata);
  for (const entry of linked) {
    rows.links.partition.push(partition);
    rows.links.position.push(position);
    rows.links.version.push(entry.version);
    rows.links.stream.push(entry.stream.name);
  }
}

function recordJson(write: Write, partition: number, outcome: Outcome, firstPosition: number | null): string {
  const row = JSON.stringify({
    partition,
    command_id: write.commandId,
    type: write.commandType,
    fingerprint: write.record!.fingerprint,
    status: outcome.status,
    created: outcome.status === 'executed' && outcome.created,
    first_position: firstPosition,
    last_position: outcome.position,
  });
  const result = outcome.status === 'executed' ? outcome.answer : JSON.stringify(outcome.rejection);
  return `${row.slice(0, -1)},"result":${result}}`;
}

function scheduledJson(partition: number, command: ScheduledCommand, correlationId: string, causationId: string): string {
  return JSON.stringify({
    partition,
    command_id: `${partition}.${command.key}`,
    type: command.type,
    payload: command.payload,
    metadata: { correlationId, causationId },
    due_at: command.dueAt,
  });
}

function snapshotJson(partition: number, entry: VersionedState): string {
  const { stream, version } = entry;
  const row = JSON.stringify({ partition, stream: stream.name, version, state_version: stream.type.stateVersion });
  return `${row.slice(0, -1)},"state":${stateToJson(entry.state)}}`;
}

/** Exponential back-off with jitter: 5 ms, 10 ms, … at most half a second. */
function pause(failures: number): Promise<void> {
  const ms = Math.min(500, 2.5 * 2 ** failures) * (0.5 + Math.random());
  return new Promise((resume) => setTimeout(resume, ms));
}
