import type pg from 'pg';
import { OverloadedError, UnavailableError } from '../errors.js';
import type { WriterMetrics } from '../observability/metrics.js';
import { AppendRows, appendSql, checkSql, type AppendResultRow, type KnownCommand } from './append.js';
import type { EventCatalogue } from './catalogue.js';
import type { DatabaseClock } from './database-clock.js';
import { Rejection, type Decision, type Decide, type ScheduledCommand, type States } from './decision.js';
import { fenceSql, whoIsThereSql } from './fence.js';
import { classify, type FailureKind } from './failures.js';
import { partitionOf } from './partition.js';
import type { EventMetadata, RecordedEvent } from './recorded-event.js';
import { refreshSql, type RefreshRow } from './refresh.js';
import { evolved, LayeredStates, MissingStateError, newState, StateCache, stateFromJson, stateToJson } from './states.js';
import type { VersionedState } from './states.js';
import type { Stream } from './stream.js';
import type { TailBuffer } from './tail-buffer.js';

/** A command for the log: what it decides on, and the decision. */
export interface Write<Answer = unknown> {
  readonly partitionKey: string;
  readonly commandId: string;
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
  /** The streams it decides on. Called again with what is loaded until it asks for nothing new. */
  streams(states: States): readonly Stream[];
  readonly decide: Decide<Answer>;
}

/** What became of a command. `answer` and `rejection` are as first recorded, however often it is retried. */
export type Outcome = {
  readonly partition: number;
  /** The position the answer is based on: of its last event, or of the head it was decided against. */
  readonly position: number;
  readonly replayed: boolean;
} & (
  | { readonly status: 'executed'; readonly created: boolean; /** JSON. */ readonly answer: string }
  | { readonly status: 'refused'; readonly rejection: { readonly code: string; readonly detail: string } }
);

interface Pending {
  readonly write: Write;
  readonly partition: number;
  readonly promise: Promise<Outcome>;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
  /** What streams() asked for when it was last asked. */
  streams: readonly Stream[];
  /** Streams that a decision turned out to need beyond those it had named. */
  readonly extraStreams: Stream[];
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

interface Decided {
  readonly pending: Pending;
  readonly outcome: Outcome;
  readonly firstPosition: number | null;
}

interface Round {
  readonly rows: AppendRows;
  /** Per partition, the streams of which a snapshot is due. */
  readonly snapshotsDue: Map<number, Set<string>>;
  readonly decided: Map<number, Decided[]>;
  readonly layers: Map<number, LayeredStates>;
  readonly events: Map<number, RecordedEvent[]>;
  readonly expected: Map<number, PartitionView & { readonly recordedAt: string }>;
  readonly postponed: Pending[];
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
 */
export class LogWriter {
  private readonly cache: StateCache;
  private readonly views = new Map<number, PartitionView>();
  private readonly contention = new Map<number, number>();
  private readonly inFlight = new Map<string, Pending>();
  private waiting: Pending[] = [];
  private loop: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly pool: pg.Pool,
    private readonly catalogue: EventCatalogue,
    private readonly tail: TailBuffer,
    private readonly clock: DatabaseClock,
    private readonly metrics: WriterMetrics,
    private readonly options: {
      readonly partitions: number;
      readonly queueLimit: number;
      readonly stateCacheBytes: number;
      /** Called after a commit that appended events. */
      onCommitted(partitions: readonly number[]): void;
    },
  ) {
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
    const twin = this.inFlight.get(write.commandId);
    if (twin) return join(twin, write);
    if (this.waiting.length >= this.options.queueLimit && !write.admitted) {
      this.metrics.overloaded.inc();
      return Promise.reject(new OverloadedError());
    }
    const pending = this.newPending(write);
    this.inFlight.set(write.commandId, pending);
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
    const forget = () => this.inFlight.delete(write.commandId);
    return {
      write,
      partition: this.partitionOf(write.partitionKey),
      promise,
      resolve: (outcome) => (forget(), this.answerSoon(() => settle.resolve(outcome))),
      // Through the same queue: whichever came first is what the caller hears.
      reject: (error) => (forget(), this.answerSoon(() => settle.reject(error))),
      streams: [],
      extraStreams: [],
      rounds: 0,
      doubtsNew: false,
    };
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
      weight += this.waiting[count]!.write.weight ?? 1;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  /** Rounds until every command of the batch is settled. */
  private async commit(batch: Pending[]): Promise<void> {
    let todo = batch;
    for (let failures = 0; todo.length > 0; ) {
      const round: { current?: Round } = {};
      try {
        todo = await this.round(todo, round);
        failures = 0;
      } catch (error) {
        const kind = classify(error);
        this.metrics.failures.inc({ kind });
        failures++;
        todo = await this.afterFailure(todo, round.current, error, kind, failures);
      }
    }
    this.loaded.clear();
  }

  private async round(todo: Pending[], round: { current?: Round }): Promise<Pending[]> {
    for (const pending of todo) {
      if (++pending.rounds > maxRounds) {
        throw new Error(`${pending.write.commandType} was not decided in ${maxRounds} rounds`);
      }
    }
    const partitions = [...new Set(todo.map((pending) => pending.partition))].sort((a, b) => a - b);
    const lockFirst = partitions.some((partition) => (this.contention.get(partition) ?? 0) > 0);
    const started = performance.now();
    const client = await this.pool.connect();
    let failed: Error | undefined;
    try {
      if (lockFirst) {
        await client.query('BEGIN');
        await client.query({ name: 'lock', text: lockSql, values: [partitions] });
        for (const partition of partitions) this.markStale(partition);
      }
      await this.refresh(client, partitions, todo);
      round.current = this.decide(todo);
      const result = await this.append(client, round.current);
      if (lockFirst) await client.query('COMMIT');
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
    for (const pending of todo) {
      const { partition, write, extraStreams } = pending;
      const states = statesOf.get(partition) ?? this.cachedStates(partition);
      statesOf.set(partition, states);
      const streams = write.streams(states);
      pending.streams = extraStreams.length > 0 ? [...streams, ...extraStreams] : streams;
      if (pending.doubtsNew) pending.streams = pending.streams.map((stream) => ({ ...stream, isNew: false }));
      for (const stream of pending.streams) {
        // Noted as used here, once a command; the decision's own looks are free of that.
        if (!stream.isNew && !this.cache.get(stream.name) && !states.find(stream)) missing.set(`${partition}/${stream.name}`, { partition, stream });
      }
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
    const { rows } = await client.query<RefreshRow>({
      ...statement('refresh', refreshSql, partitions),
      values: [
        partitions,
        partitions.map((partition) => this.views.get(partition)?.head ?? -1),
        missing.map((entry) => entry.partition),
        missing.map((entry) => entry.stream.name),
        missing.map((entry) => entry.stream.type.stateVersion),
        maxMissedEvents + 1,
      ],
    });
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
      this.cache.put(partition, entry);
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
      this.tail.reset(partition);
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
      this.tail.push(partition, missed);
    }
    this.views.set(partition, view);
    this.stale.delete(partition);
  }

  // ---- decide

  private decide(todo: Pending[]): Round {
    const round: Round = {
      rows: new AppendRows(),
      snapshotsDue: new Map(),
      decided: new Map(),
      layers: new Map(),
      events: new Map(),
      expected: new Map(),
      postponed: [],
    };
    const writes = new Set<number>();
    for (const pending of todo) {
      const { partition } = pending;
      let layer = round.layers.get(partition);
      if (!layer) {
        const known = this.views.get(partition)!;
        const recordedAtMs = Math.max(known.recordedAtMs, this.clock.nowMs());
        const recordedAt = new Date(recordedAtMs).toISOString();
        round.expected.set(partition, { ...known, recordedAtMs, recordedAt });
        layer = new LayeredStates(this.cachedStates(partition), this.catalogue, recordedAt);
        round.layers.set(partition, layer);
        round.decided.set(partition, []);
        round.events.set(partition, []);
        round.snapshotsDue.set(partition, new Set());
      }
      if (this.decideOne(pending, round, layer)) writes.add(partition);
    }
    for (const [partition, names] of round.snapshotsDue) {
      const layer = round.layers.get(partition)!;
      for (const name of names) round.rows.snapshots.push(snapshotJson(partition, layer.noteSnapshot(name)));
    }
    const { heads } = round.rows;
    for (const [partition, view] of round.expected) {
      heads.partition.push(partition);
      heads.revision.push(view.revision);
      heads.head.push(view.head + round.events.get(partition)!.length);
      heads.recordedAt.push(view.recordedAt);
      heads.writes.push(writes.has(partition));
    }
    return round;
  }

  /** Returns whether there is anything to write for the command. */
  private decideOne(pending: Pending, round: Round, layer: LayeredStates): boolean {
    const { write, partition } = pending;
    const { recordedAt, head } = round.expected.get(partition)!;
    for (const stream of pending.streams) if (stream.isNew) layer.begin(stream);
    let decision: Decision;
    let rejection: Rejection | undefined;
    let touched: VersionedState[][] = [];
    try {
      decision = write.decide(layer, { now: recordedAt, commandId: write.commandId });
      // Folded before anything else happens: a fold that throws fails its command alone.
      touched = layer.applyAll(decision.events, decision.applied);
    } catch (error) {
      if (error instanceof MissingStateError && pending.rounds < maxRounds) {
        pending.extraStreams.push(error.stream);
        round.postponed.push(pending);
        return false;
      }
      if (!(error instanceof Rejection)) {
        this.metrics.failures.inc({ kind: 'decision' });
        pending.reject(error);
        return false;
      }
      rejection = error;
      decision = { events: [], answer: null };
    }

    const events = round.events.get(partition)!;
    const metadata = { commandId: write.commandId, ...write.metadata };
    const firstPosition = touched.length > 0 ? head + events.length + 1 : null;
    const due = round.snapshotsDue.get(partition)!;
    decision.events.forEach((event, index) => {
      const entries = touched[index]!;
      const position = head + events.length + 1;
      events.push({ partition, position, type: event.type, data: event.data, metadata, recordedAt });
      addEvent(round.rows, partition, position, event, entries, metadata);
      for (const entry of entries) {
        if (entry.version - entry.snapshotVersion >= snapshotEveryVersions) due.add(entry.stream.name);
      }
    });
    for (const command of decision.schedule ?? []) {
      round.rows.scheduled.push(scheduledJson(partition, command, write));
    }
    for (const key of decision.unschedule ?? []) {
      // A deadline that has come completes its own row.
      if (`${partition}.${key}` === write.commandId) continue;
      round.rows.unscheduled.partition.push(partition);
      round.rows.unscheduled.commandId.push(`${partition}.${key}`);
    }

    const common = { partition, position: head + events.length, replayed: false };
    const outcome: Outcome = rejection
      ? { ...common, status: 'refused', rejection: { code: rejection.code, detail: rejection.detail } }
      : { ...common, status: 'executed', created: decision.created ?? false, answer: JSON.stringify(decision.answer) };
    if (write.record) round.rows.commands.push(recordJson(write, outcome, firstPosition));
    round.decided.get(partition)!.push({ pending, outcome, firstPosition });
    return touched.length > 0 || write.record !== undefined || Boolean(decision.schedule?.length || decision.unschedule?.length);
  }

  // ---- append and settle

  private async append(client: pg.PoolClient, round: Round): Promise<AppendResultRow[]> {
    if (round.expected.size === 0) return [];
    const { rows } = round;
    const { heads } = rows;
    return (
      await client.query<AppendResultRow>(
        rows.isEmpty
          ? { name: 'check', text: checkSql, values: [heads.partition, heads.revision] }
          : { ...statement('append', appendSql, heads.partition), values: rows.parameters() },
      )
    ).rows;
  }

  /** Answers the callers whose partition took part; returns the commands of the next round. */
  private settle(round: Round, result: AppendResultRow[]): Pending[] {
    const again = round.postponed;
    const written: number[] = [];
    for (const { partition, won, known, database_time } of result) {
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
      const done = new Map((known ?? []).map((command) => [command.command_id, command]));
      if (done.size === 0) {
        this.metrics.conflicts.inc();
        this.contention.set(partition, contendedBatches);
      }
      this.markStale(partition);
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
    const index = round.rows.heads.partition.indexOf(partition);
    const wrote = round.rows.heads.writes[index]!;
    this.views.set(partition, {
      head: head + events.length,
      revision: wrote ? revision + 1 : revision,
      recordedAtMs: wrote ? recordedAtMs : this.views.get(partition)!.recordedAtMs,
    });
    for (const entry of round.layers.get(partition)!.changes()) {
      this.cache.put(partition, entry);
      this.loaded.get(partition)?.set(entry.stream.name, entry);
    }
    this.tail.push(partition, events);
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
    const open = todo.filter((pending) => this.inFlight.get(pending.write.commandId) === pending);
    for (const pending of open) this.markStale(pending.partition);
    if (kind === 'unreachable') return this.afterLostAnswer(open, round, error);
    if (kind === 'transient' && failures <= 10) {
      await pause(failures);
      return open;
    }
    if (kind === 'duplicate' && failures <= 2) {
      // An id that was taken for new is not, or a state was not what the log says: read everything anew, locked.
      for (const pending of open) {
        pending.doubtsNew = true;
        this.cache.forget(pending.partition);
        this.loaded.delete(pending.partition);
        this.contention.set(pending.partition, contendedBatches);
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

  private async resolveLost(open: Pending[], round: Round): Promise<Pending[]> {
    const partitions = [...round.expected.keys()].sort((a, b) => a - b);
    const first = partitions.map((partition) => round.decided.get(partition)!.find((one) => one.firstPosition !== null));
    const client = await this.pool.connect();
    let there: { partition: number; command_id: string }[];
    try {
      await client.query('BEGIN');
      await client.query(fenceSql, [partitions]);
      const positions = first.map((decided) => decided?.firstPosition ?? 0);
      there = (await client.query<(typeof there)[number]>(whoIsThereSql, [partitions, positions])).rows;
      await client.query('COMMIT');
      client.release();
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
    const happened = new Set<number>();
    partitions.forEach((partition, index) => {
      const row = there.find((one) => one.partition === partition);
      if (row && row.command_id === first[index]?.pending.write.commandId) happened.add(partition);
    });
    for (const partition of happened) {
      for (const { pending, outcome } of round.decided.get(partition)!) pending.resolve(outcome);
    }
    if (happened.size > 0) this.options.onCommitted([...happened]);
    this.metrics.resolvedLost.inc({ outcome: 'committed' }, happened.size);
    this.metrics.resolvedLost.inc({ outcome: 'not-committed' }, partitions.length - happened.size);
    return open.filter((pending) => !happened.has(pending.partition) || round.postponed.includes(pending));
  }
}

const lockSql = 'SELECT partition FROM partitions WHERE partition = ANY ($1::smallint[]) ORDER BY partition FOR UPDATE';

const texts = new Map<string, string>();

/** A statement for any partitions, or for the one that it is about. */
function statement(name: string, sql: (only?: number) => string, partitions: readonly number[]): { name: string; text: string } {
  const [only, ...others] = partitions;
  const key = others.length > 0 ? name : `${name}-${only}`;
  let text = texts.get(key);
  if (!text) texts.set(key, (text = sql(others.length > 0 ? undefined : only)));
  return { name: key, text };
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

function recordJson(write: Write, outcome: Outcome, firstPosition: number | null): string {
  const row = JSON.stringify({
    partition: outcome.partition,
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

function scheduledJson(partition: number, command: ScheduledCommand, write: Write): string {
  return JSON.stringify({
    partition,
    command_id: `${partition}.${command.key}`,
    type: command.type,
    payload: command.payload,
    metadata: { correlationId: write.metadata.correlationId ?? write.commandId, causationId: write.commandId },
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
