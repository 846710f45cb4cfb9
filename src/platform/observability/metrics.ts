import type pg from 'pg';
import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AnswerCache } from '../cache/answer-cache.js';
import { lagSql, type LagRow } from '../consumers/checkpoints.js';
import type { ReplicaStatus } from '../database/read-replicas.js';

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const inboxSql = `
SELECT status, count(*)::float8 AS count FROM commands WHERE status IN ('accepted', 'scheduled', 'failed') GROUP BY status`;
const inboxAgeSql = `
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 AS age FROM commands
WHERE status IN ('accepted', 'scheduled') AND due_at <= statement_timestamp()`;

// In a cluster `/metrics` shows the sum of all processes. A gauge that each of them reads from the database is the same
// in all, and says `aggregator: 'max'`.

/**
 * A scrape answers also while the database does not: with what the process itself knows. What it had read before is
 * left out then: autoscalers go by these numbers, and take none for "leave it as it is".
 */
async function rowsOrNone<Row extends pg.QueryResultRow>(pool: pg.Pool, sql: string, values: unknown[] = []): Promise<Row[]> {
  try {
    return (await pool.query<Row>(sql, values)).rows;
  } catch {
    return [];
  }
}

/** The process itself (event loop, memory, CPU) and its connections. */
export function watchPools(registry: Registry, pools: Readonly<Record<string, pg.Pool>>): void {
  // The usual hundred looks a second at the event loop's delay were a third of what an idle process does, and twenty still a
  // fourth: 14 ms of CPU a second with them, 7 with five.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });
  new Gauge({
    name: 'rialto_pool_connections',
    help: 'Database connections by pool and state (busy, idle), and callers waiting for one (waiting).',
    labelNames: ['pool', 'state'],
    registers: [registry],
    collect() {
      for (const [pool, { totalCount, idleCount, waitingCount }] of Object.entries(pools)) {
        this.set({ pool, state: 'busy' }, totalCount - idleCount);
        this.set({ pool, state: 'idle' }, idleCount);
        this.set({ pool, state: 'waiting' }, waitingCount);
      }
    },
  });
}

/** What the log writer tells of itself. */
export class WriterMetrics {
  readonly batchCommands: Histogram;
  readonly commitSeconds: Histogram;
  readonly appendedEvents: Counter;
  readonly conflicts: Counter;
  readonly overloaded: Counter;
  readonly failures: Counter<'kind'>;
  readonly resolvedLost: Counter<'outcome'>;

  private readonly loops: { queueLength(): number; stateBytes(): number }[] = [];

  constructor(registry: Registry) {
    const registers = [registry];
    const { loops } = this;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    this.batchCommands = new Histogram({
      name: 'rialto_writer_batch_commands',
      help: 'Commands per batch of the log writer.',
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
      registers,
    });
    this.commitSeconds = new Histogram({
      name: 'rialto_writer_round_seconds',
      help: 'Time of one round of the log writer: refresh, decide, append, commit.',
      buckets: secondsBuckets,
      registers,
    });
    this.appendedEvents = new Counter({
      name: 'rialto_writer_appended_events_total',
      help: 'Events appended to the log.',
      registers,
    });
    this.conflicts = new Counter({
      name: 'rialto_writer_conflicts_total',
      help: 'Partitions that another writer had written to first; their commands were decided again.',
      registers,
    });
    this.overloaded = new Counter({
      name: 'rialto_writer_overloaded_total',
      help: 'Commands turned away because the queue was full.',
      registers,
    });
    this.failures = new Counter({
      name: 'rialto_writer_failures_total',
      help: 'Failed rounds by kind (unreachable, transient, duplicate, rejected) and faulty decisions.',
      labelNames: ['kind'],
      registers,
    });
    this.resolvedLost = new Counter({
      name: 'rialto_writer_lost_answers_total',
      help: 'Commands without a record in commits whose answer was lost, by what was found out.',
      labelNames: ['outcome'],
      registers,
    });
    new Gauge({
      name: 'rialto_writer_queue_commands',
      help: 'Commands waiting for the log writer.',
      registers,
      collect() {
        this.set(sum(loops.map((loop) => loop.queueLength())));
      },
    });
    new Gauge({
      name: 'rialto_state_cache_bytes',
      help: 'Estimated memory of the states held.',
      registers,
      collect() {
        this.set(sum(loops.map((loop) => loop.stateBytes())));
      },
    });
  }

  /** Of each loop that writes. */
  watch(queueLength: () => number, stateBytes: () => number): void {
    this.loops.push({ queueLength, stateBytes });
  }
}

/** Sagas are fed by command workers, views by query workers: each is scaled by its own. */
export type ConsumerKind = 'view' | 'saga';

/** What the consumers tell of themselves. */
export class ConsumerMetrics {
  readonly runEvents: Histogram;
  readonly runSeconds: Histogram;
  readonly poison: Counter<'consumer'>;

  private readonly followers = new Map<ConsumerKind, () => readonly string[]>();

  constructor(registry: Registry, pool: pg.Pool) {
    const registers = [registry];
    const { followers } = this;
    new Gauge({
      name: 'rialto_consumer_lag_events',
      help: 'Events that a consumer of this process\'s role has not yet taken, by kind (view, saga); those of partitions where it can not get past an event have the state stuck.',
      labelNames: ['consumer', 'kind', 'state'],
      aggregator: 'max',
      registers,
      async collect() {
        const kinds = new Map([...followers].flatMap(([kind, names]) => names().map((name) => [name, kind] as const)));
        const rows = await rowsOrNone<LagRow>(pool, lagSql, [[...kinds.keys()]]);
        this.reset();
        for (const { consumer, stuck, lag } of rows) {
          this.set({ consumer, kind: kinds.get(consumer)!, state: stuck ? 'stuck' : 'following' }, lag);
        }
      },
    });
    this.runEvents = new Histogram({
      name: 'rialto_consumer_run_events',
      help: 'Events that one run of projections or sagas took.',
      buckets: [1, 5, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000],
      registers,
    });
    this.runSeconds = new Histogram({
      name: 'rialto_consumer_run_seconds',
      help: 'Time of one run of projections or sagas: read, apply, commit.',
      buckets: secondsBuckets,
      registers,
    });
    this.poison = new Counter({
      name: 'rialto_consumer_poison_total',
      help: 'Times a projection or saga could not get past an event.',
      labelNames: ['consumer'],
      registers,
    });
  }

  /**
   * Tells how far these are behind. Others that have checkpoints are nobody's backlog: a rebuild, also one that was
   * given up, and views that are no more.
   */
  watchLag(kind: ConsumerKind, names: () => readonly string[]): void {
    this.followers.set(kind, names);
  }
}

/** What the inbox tells of itself. */
export class InboxMetrics {
  readonly executed: Counter;
  readonly failed: Counter<'fate'>;

  constructor(registry: Registry, pool: pg.Pool) {
    const registers = [registry];
    new Gauge({
      name: 'rialto_inbox_commands',
      help: 'Commands of the inbox by status: accepted (and waiting), scheduled, failed.',
      labelNames: ['status'],
      aggregator: 'max',
      registers,
      async collect() {
        const rows = await rowsOrNone<{ status: string; count: number }>(pool, inboxSql);
        this.reset();
        for (const { status, count } of rows) this.set({ status }, count);
      },
    });
    new Gauge({
      name: 'rialto_inbox_oldest_due_seconds',
      help: 'For how long the oldest due command has been waiting.',
      aggregator: 'max',
      registers,
      async collect() {
        const [row] = await rowsOrNone<{ age: number }>(pool, inboxAgeSql);
        if (row) this.set(row.age);
        else this.remove();
      },
    });
    this.executed = new Counter({
      name: 'rialto_inbox_executed_total',
      help: 'Accepted and scheduled commands that were run.',
      registers,
    });
    this.failed = new Counter({
      name: 'rialto_inbox_failed_total',
      help: 'Failed attempts, by what became of the command: retried or parked.',
      labelNames: ['fate'],
      registers,
    });
  }
}

/** Duration of direct commands by type and outcome: executed, refused, replayed, failed. */
export class CommandMetrics {
  readonly seconds: Histogram<'type' | 'outcome'>;

  constructor(registry: Registry) {
    this.seconds = new Histogram({
      name: 'rialto_command_seconds',
      help: 'Time from the dispatch of a command to its durable outcome.',
      labelNames: ['type', 'outcome'],
      buckets: secondsBuckets,
      registers: [registry],
    });
  }
}

/** Rate, errors and duration by route. */
export class HttpMetrics {
  private readonly seconds: Histogram<'method' | 'route' | 'status'>;
  private readonly children = new Map<string, { observe(seconds: number): void }>();

  constructor(registry: Registry) {
    this.seconds = new Histogram({
      name: 'rialto_http_request_seconds',
      help: 'Time from the request to the end of the answer.',
      labelNames: ['method', 'route', 'status'],
      buckets: secondsBuckets,
      registers: [registry],
    });
  }

  observe(method: string, route: string, status: number, seconds: number): void {
    const key = `${method} ${status} ${route}`;
    let child = this.children.get(key);
    if (!child) this.children.set(key, (child = this.seconds.labels(method, route, String(status))));
    child.observe(seconds);
  }
}

/** What the cache tells of itself. Read when asked for: counting must not cost the reads that it is about. */
export function watchCache(
  registry: Registry,
  cache: AnswerCache,
  droppedNews: () => number,
): void {
  const registers = [registry];
  const { shared } = cache;
  new Counter({
    name: 'rialto_cache_reads_total',
    help: 'Reads of single resources by view and where the answer came from: memory, the shared tier, a load under way for another read (joined), or the database.',
    labelNames: ['view', 'tier'],
    registers,
    collect() {
      this.reset();
      for (const [view, { memory, shared: sharedHits, joined, database }] of cache.countsByView()) {
        this.inc({ view, tier: 'memory' }, memory);
        this.inc({ view, tier: 'shared' }, sharedHits);
        this.inc({ view, tier: 'joined' }, joined);
        this.inc({ view, tier: 'database' }, database);
      }
    },
  });
  new Counter({
    name: 'rialto_cache_invalidations_total',
    help: 'Answers dropped from memory because what they were read from had changed.',
    labelNames: ['view'],
    registers,
    collect() {
      this.reset();
      for (const [view, { dropped }] of cache.countsByView()) this.inc({ view }, dropped);
    },
  });
  const counter = (name: string, help: string, count: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(count());
      },
    });
  counter('rialto_cache_clears_total', 'Times that memory was cleared because changes may have been missed.', () => cache.clears);
  counter('rialto_cache_news_dropped_total', 'Messages of changes that were not sent because Redis was away or slow.', droppedNews);
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge('rialto_cache_bytes', 'Estimated memory of the answers held.', () => cache.bytes);
  gauge('rialto_cache_entries', 'Answers held in memory.', () => cache.entries);
  if (!shared) return;
  counter('rialto_cache_shared_failures_total', 'Requests to the shared tier that failed or took longer than 50 ms.', () => shared.failures);
  counter('rialto_cache_shared_skipped_total', 'Requests to the shared tier that were not made, because it had failed just before.', () => shared.skipped);
  gauge('rialto_cache_shared_open', '1 while the shared tier is left alone because it had failed.', () => Number(shared.isOpen));
}

/** What is told of the replicas that views are read from. */
export class ReplicaMetrics {
  readonly departures: Counter<'replica' | 'cause'>;
  readonly repeated: Counter;

  constructor(private readonly registry: Registry) {
    const registers = [registry];
    this.departures = new Counter({
      name: 'rialto_replica_departures_total',
      help: 'Times that a replica was left for the primary, by cause: broken, lagging.',
      labelNames: ['replica', 'cause'],
      registers,
    });
    this.repeated = new Counter({
      name: 'rialto_replica_repeated_reads_total',
      help: 'Reads that failed on a replica and were repeated on the primary.',
      registers,
    });
  }

  watch(status: () => readonly ReplicaStatus[]): void {
    const gauge = (name: string, help: string, valueOf: (status: ReplicaStatus) => number | undefined) =>
      new Gauge({
        name,
        help,
        labelNames: ['replica'],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const one of status()) {
            const value = valueOf(one);
            if (value !== undefined) this.set({ replica: one.replica }, value);
          }
        },
      });
    gauge('rialto_replica_in_use', '1 for the replica that this process reads views from.', ({ inUse }) => Number(inUse));
    gauge(
      'rialto_replica_lag_positions',
      'Positions, summed over views and partitions, that the primary has and the replica has not; absent while it does not answer.',
      ({ lagPositions }) => lagPositions,
    );
    gauge(
      'rialto_replica_lag_seconds',
      'For how long the primary has had something of the views that the replica has not; absent while it does not answer.',
      ({ lagMs }) => (lagMs === undefined ? undefined : lagMs / 1_000),
    );
  }
}
