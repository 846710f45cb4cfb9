import pg from 'pg';
import { faultPoint } from '../fault-points.js';
import type { EventCatalogue } from '../log/catalogue.js';
import { classify } from '../log/failures.js';
import type { EventMetadata, RecordedEvent } from '../log/recorded-event.js';
import type { NewEvents } from '../log/new-events.js';
import type { ConsumerMetrics } from '../observability/metrics.js';
import { lateMs, type Found } from '../queue/wake-ups.js';
import { withoutNul } from '../sanitise.js';
import { createCheckpointsSql, moveCheckpointsSql, recordFailureSql, type ClaimedCheckpoint, type StoredEventRow } from './checkpoints.js';
import type { Announcer, Consumer, Move, Statement, Work } from './consumer.js';
import { together, type Following, type Unread } from './following.js';
import { keyHash } from './key-hash.js';
import { LeftCheckpoints } from './left-checkpoints.js';
import { TailBuffer, type Stretch } from './tail-buffer.js';

const maxEventsPerRun = 5_000;
/** Some 30 MB: what a process may have in front of consumers that are behind. */
const maxHeldEvents = 20_000;

/** What follows checkpoints, by partition, and the partitions in which there may be more. */
interface Tail {
  readonly stretches: Map<number, Stretch>;
  readonly unfinished: Set<number>;
}

/** What a consumer takes in one run. */
interface Batch {
  readonly consumer: Consumer;
  readonly events: readonly RecordedEvent[];
}

/** Where a consumer can not get on: the event, and why. */
class PoisonEventError extends Error {
  constructor(
    readonly position: number,
    readonly eventType: string,
    override readonly cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause));
  }
}

/**
 * Feeds a group of consumers (the projections or the sagas of a process) from the log, exactly once: what a batch
 * makes them write commits with their checkpoints.
 *
 * One run takes every (consumer, partition) that has news and that no other process holds, reads the events once for
 * all of them (from memory, where this process has just written them), and commits once: sixteen partitions and four
 * views are one transaction, not sixty-four. Where nobody else seems to be about, it goes on from where it left them
 * with the news that it has in memory, without asking for others (left-checkpoints.ts).
 *
 * When a run fails, each (consumer, partition) goes on alone, with half as many events each time it fails again, until
 * one event is left that it can not get past. That is recorded with the checkpoint, shows in health and metrics, and is
 * tried again with back-off; it is never skipped, and holds up nobody else.
 */
export class ConsumerRunner {
  private readonly consumers = new Map<string, Consumer>();
  /** What its consumers take between them; undefined: all. */
  private eventTypes: ReadonlySet<string> | undefined;
  private readonly tail = new TailBuffer(maxHeldEvents, (event) => this.isNews(event));
  private readonly left = new LeftCheckpoints();
  private wake: () => void = () => undefined;

  constructor(
    private readonly pool: pg.Pool,
    private readonly catalogue: EventCatalogue,
    private readonly newEvents: NewEvents,
    private readonly announcer: Announcer,
    private readonly metrics: ConsumerMetrics,
    private readonly listConsumers: () => readonly Consumer[],
    private readonly onPoison: (where: { consumer: string; partition: number; position: number }, error: Error) => void = () => undefined,
    private readonly following: Following = together,
  ) {}

  /**
   * Is told when this process has heard of events that give its consumers something to do. To run the sagas after every
   * commit, mostly for nothing, took a twelfth of PostgreSQL's and Node's time under a load of transfers.
   */
  onNews(wake: () => void): void {
    this.wake = wake;
  }

  /** What it feeds, once it is prepared. */
  get names(): string[] {
    return [...this.consumers.keys()];
  }

  /** Before the first run, and once all modules have named their consumers. */
  async prepare(): Promise<void> {
    const consumers = this.listConsumers();
    for (const consumer of consumers) this.consumers.set(consumer.name, consumer);
    if (consumers.every(({ eventTypes }) => eventTypes)) {
      this.eventTypes = new Set(consumers.flatMap(({ eventTypes }) => [...eventTypes!]));
    }
    // Where each statement is sent when the one before is answered, one that can not be sent is found out behind COMMIT.
    if (!this.pool.options.pipeline) throw new Error('consumers need a pool whose connections pipeline');
    await this.pool.query(createCheckpointsSql, [this.names]);
    // Last: whoever tries again, after a database that was away, listens once.
    this.newEvents.onEvents((events) => {
      if (this.tail.push(events)) this.wake();
    });
  }

  /** One run. When no news are expected it first asks whether there are any: one statement, and no transaction. */
  async run(isExpected = true): Promise<Found> {
    try {
      return (isExpected && (await this.goOn())) || (await this.runClaimed(isExpected));
    } catch (error) {
      this.left.forget();
      throw error;
    }
  }

  /** A run over what this process remembers, in one round trip; undefined when something has to be asked first. */
  private async goOn(): Promise<Found | undefined> {
    const behind = this.left.behind(this.tail.ends(), this.consumers.keys());
    if (behind.length === 0) return undefined;
    try {
      const { unfinished } = await this.transaction((client) => this.advance(client, behind, maxEventsPerRun));
      return unfinished.size > 0 ? 'more' : 'some';
    } catch (error) {
      if (isOfTheMoment(error)) throw error;
      // Somebody else was there, or something is poison: a claim will tell.
      this.left.forget();
      return undefined;
    }
  }

  private async runClaimed(isExpected: boolean): Promise<Found> {
    const now = isExpected ? undefined : await this.timeOfNews();
    if (!isExpected && !now) return 'nothing';
    let claimed: ClaimedCheckpoint[] = [];
    try {
      const { stretches, unfinished } = await this.transaction(async (client) => {
        claimed = await this.following.claim(client, this.names);
        if (claimed.some((checkpoint) => checkpoint.failed)) throw new Error('a consumer is degraded');
        this.left.claimed(claimed);
        return this.advance(client, claimed, maxEventsPerRun);
      });
      if (now && this.isAnyLate(stretches, now)) return 'late';
      return unfinished.size > 0 ? 'more' : claimed.length > 0 ? 'some' : 'nothing';
    } catch (error) {
      if (isOfTheMoment(error) || claimed.length === 0) throw error;
      // Something in the batch is poison, and nobody knows yet whose.
      let more = false;
      for (const checkpoint of claimed) more = (await this.runAlone(checkpoint)) || more;
      // Who is parked there is left to claims, which know when its next try is due.
      this.left.forget();
      return more ? 'more' : 'some';
    }
  }

  /** The database's time, when there are events for these consumers. */
  private async timeOfNews(): Promise<Date | undefined> {
    const { now, is_news } = await this.following.lookForNews(this.pool, this.names);
    return is_news ? now : undefined;
  }

  /** Whether somebody should have been woken for one of these events, and was not. */
  private isAnyLate(stretches: Map<number, Stretch>, now: Date): boolean {
    return [...stretches.values()].some(({ events }) =>
      events.some((event) => now.getTime() - Date.parse(event.recordedAt) > lateMs && this.isNews(event)),
    );
  }

  /** Whether it gives one of its consumers something to do. To ask a saga costs a microsecond or two, so its types are looked at first. */
  private isNews(event: RecordedEvent): boolean {
    for (const consumer of this.consumers.values()) {
      if (takes(consumer, event) && (consumer.concerns?.(event) ?? true)) return true;
    }
    return false;
  }

  /** Halves the batch until it goes through, or until a single event is left that does not. */
  private async runAlone({ consumer, partition }: ClaimedCheckpoint): Promise<boolean> {
    for (let limit = maxEventsPerRun; ; limit = Math.ceil(limit / 2)) {
      try {
        return await this.transaction(async (client) => {
          const claimed = await this.following.claim(client, [consumer]);
          const own = claimed.filter((checkpoint) => checkpoint.partition === partition);
          const { unfinished } = await this.advance(client, own, limit);
          return unfinished.size > 0;
        });
      } catch (error) {
        if (isOfTheMoment(error)) throw error;
        if (limit > 1 && !(error instanceof PoisonEventError)) continue;
        await this.recordFailure(consumer, partition, error);
        return false;
      }
    }
  }

  private async recordFailure(consumer: string, partition: number, error: unknown): Promise<void> {
    const poison = error instanceof PoisonEventError ? error : undefined;
    if (!poison) throw error;
    this.metrics.poison.inc({ consumer });
    this.onPoison({ consumer, partition, position: poison.position }, poison);
    const values = [consumer, partition, poison.position, poison.eventType, withoutNul(poison.message)];
    await this.pool.query(recordFailureSql, values);
  }

  /** Applies what follows the checkpoints, claimed or where they were left, moves them, and commits. */
  private async advance(client: pg.PoolClient, claimed: ClaimedCheckpoint[], limit: number): Promise<Tail> {
    if (claimed.length === 0) {
      await client.query('COMMIT');
      return { stretches: new Map(), unfinished: new Set() };
    }
    const started = performance.now();
    const tail = await this.read(client, claimed, limit);
    const { batches, moves } = this.batchesOf(claimed, tail);
    const announcement = this.announcer.statement?.(moves);
    const sent: Promise<unknown>[] = [];
    const send = (statement: Statement, events?: readonly RecordedEvent[]): void => {
      const answer = client.query(statement).catch((error: unknown) => {
        throw events ? blamed(error, events) : error;
      });
      answer.catch(() => undefined); // Whoever waits for all of them hears of it.
      sent.push(answer);
    };
    let work: Work[];
    try {
      // First: it locks the rows, and fails where somebody else holds or has moved them.
      send(moving(moves));
      work = await Promise.all(batches.map((batch) => workFor(client, batch)));
      for (const [index, { statements }] of work.entries()) for (const statement of statements) send(statement, batches[index]!.events);
      if (announcement) send(announcement);
      // A statement that pg can not send (a name that has another text, a value without a text) fails in this turn of the
      // event loop, and COMMIT must not follow a gap. One that fails at the server makes a ROLLBACK of the COMMIT behind it.
      await Promise.race([Promise.all(sent), new Promise<void>((resume) => setImmediate(resume))]);
      faultPoint('consumers: before commit');
      await Promise.all([...sent, client.query('COMMIT')]);
    } catch (error) {
      // The first that was sent and failed is why those behind it did.
      const failed = (await Promise.allSettled(sent)).find((answer) => answer.status === 'rejected');
      throw failed ? failed.reason : error;
    }
    faultPoint('consumers: after commit');
    this.metrics.runEvents.observe(Math.max(0, ...batches.map(({ events }) => events.length)));
    this.metrics.runSeconds.observe((performance.now() - started) / 1_000);
    this.left.moved(moves);
    this.announcer.committed(moves);
    for (const { partition, to } of moves) this.tail.forget(partition, to);
    for (const { afterCommit } of work) afterCommit?.();
    return tail;
  }

  /** What each consumer takes of what follows its checkpoints, and where these move. */
  private batchesOf(claimed: readonly ClaimedCheckpoint[], { stretches }: Tail): { batches: Batch[]; moves: Move[] } {
    const batches: Batch[] = [];
    const moves: Move[] = [];
    for (const [name, checkpoints] of groupBy(claimed, (checkpoint) => checkpoint.consumer)) {
      const consumer = this.consumers.get(name)!;
      const batch: RecordedEvent[] = [];
      for (const { partition, position } of checkpoints) {
        const { events, upTo } = stretches.get(partition)!;
        if (upTo <= position) continue;
        const own = events.filter((event) => event.position > position && takes(consumer, event));
        for (const event of own) batch.push(event);
        moves.push({ consumer: name, partition, from: position, to: upTo, changed: changesOf(consumer, own) });
      }
      if (batch.length > 0) batches.push({ consumer, events: batch });
    }
    return { batches, moves };
  }

  /** What follows each partition's rearmost checkpoint: from memory where it is there, else in one query. */
  private async read(
    client: pg.PoolClient,
    claimed: ClaimedCheckpoint[],
    limit: number,
  ): Promise<Tail> {
    const stretches = new Map<number, Stretch>();
    const unfinished = new Set<number>();
    const unread: Unread[] = [];
    for (const [partition, checkpoints] of groupBy(claimed, (checkpoint) => checkpoint.partition)) {
      const position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position));
      const held = this.tail.after(partition, position, limit);
      if (held) {
        stretches.set(partition, held);
        if (held.events.length >= limit) unfinished.add(partition);
      } else {
        unread.push({ partition, position, head: checkpoints[0]!.head });
      }
    }
    if (unread.length === 0) return { stretches, unfinished };
    const perPartition = Math.max(1, Math.floor(limit / unread.length));
    const passedOver = this.eventTypes ? this.catalogue.typesBesides(this.eventTypes) : [];
    const rows = await this.following.read(client, unread, perPartition, passedOver);
    const byPartition = groupBy(rows, (row) => row.partition);
    for (const { partition, head } of unread) {
      const events = (byPartition.get(partition) ?? []).map((row) => this.upcast(row, limit));
      const isCut = events.length >= perPartition;
      if (isCut) unfinished.add(partition);
      stretches.set(partition, { events, upTo: isCut ? events.at(-1)!.position : head });
    }
    return { stretches, unfinished };
  }

  private upcast(row: StoredEventRow, limit: number): RecordedEvent {
    return readStored(this.catalogue, row, (error) =>
      limit > 1 ? error : new PoisonEventError(row.position, row.type, error),
    );
  }

  /** `work` ends with COMMIT; anything it throws rolls back. */
  private async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let failure: Error | undefined;
    try {
      const [begun, worked] = await Promise.allSettled([client.query('BEGIN'), work(client)]);
      if (begun.status === 'rejected') throw begun.reason;
      if (worked.status === 'rejected') throw worked.reason;
      return worked.value;
    } catch (error) {
      failure = await client.query('ROLLBACK').then(
        // What pg could not send it takes for prepared all the same, in this connection.
        () => (isFromServer(error) ? undefined : (error as Error)),
        (broken: Error) => broken,
      );
      throw error;
    } finally {
      client.release(failure);
    }
  }
}

async function workFor(client: pg.ClientBase, { consumer, events }: Batch): Promise<Work> {
  try {
    const lookUp = consumer.lookUp?.(events);
    const found = lookUp ? (await client.query<object>(lookUp)).rows : [];
    return consumer.consume(events, found);
  } catch (error) {
    throw blamed(error, events);
  }
}

/** The database was away, or had no room, or somebody was in the way: nothing that an event has done. */
function isOfTheMoment(error: unknown): boolean {
  const kind = classify(error);
  return kind === 'unreachable' || kind === 'transient';
}

function isFromServer(error: unknown): boolean {
  return error instanceof pg.DatabaseError || (error instanceof PoisonEventError && isFromServer(error.cause));
}

/** What fails with a single event is that event's fault, unless the database was away. */
function blamed(error: unknown, events: readonly RecordedEvent[]): unknown {
  if (isOfTheMoment(error) || events.length > 1) return error;
  return new PoisonEventError(events[0]!.position, events[0]!.type, error);
}

function moving(moves: readonly Move[]): Statement {
  const values = [
    moves.map((move) => move.consumer),
    moves.map((move) => move.partition),
    moves.map((move) => move.from),
    moves.map((move) => move.to),
  ];
  return { name: 'move-checkpoints', text: moveCheckpointsSql, values };
}

/** A stored row as an event of the current version. */
export function readStored(
  catalogue: EventCatalogue,
  row: StoredEventRow,
  onError: (error: unknown) => unknown = (error) => error,
): RecordedEvent {
  try {
    const { type, data } = catalogue.read(row.type, JSON.parse(row.data) as object);
    const { partition, position } = row;
    const metadata = JSON.parse(row.metadata) as EventMetadata;
    return { partition, position, type, data, metadata, recordedAt: row.recorded_at.toISOString() };
  } catch (error) {
    throw onError(error);
  }
}

function takes({ eventTypes }: Consumer, { type }: RecordedEvent): boolean {
  return eventTypes?.has(type) ?? true;
}

function changesOf(consumer: Consumer, events: readonly RecordedEvent[]): number[] {
  const changed = new Set<number>();
  if (consumer.changedKeys) {
    for (const event of events) for (const key of consumer.changedKeys(event)) changed.add(keyHash(key));
  }
  return [...changed];
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
