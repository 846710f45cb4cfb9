import { setTimeout as sleep } from 'node:timers/promises';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type pg from 'pg';
import type { Visibility } from '../consumers/visibility.js';
import { classify } from '../log/failures.js';
import type { Logger } from '../observability/logger.js';
import type { ReplicaMetrics } from '../observability/metrics.js';
import { isMigrated } from './is-migrated.js';
import { createReplicaLookPool, createReplicaPool, lookTimeoutMs } from './pools.js';

const tickMs = 200;
/** How often a database is asked how far it is while nobody waits for it to get further; at every tick when somebody does. */
const restMs = 1_000;
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;
/** How long what the primary had is remembered at least, to say since when a replica has not got it. */
const rememberedMs = 600_000;

/**
 * How far a database is, as a sum over the views: in the primary it only grows, and a replica is what the primary was,
 * so of two such sums the smaller is the earlier. Checkpoints, and not positions of the write-ahead log, because they
 * stand still when there is nothing to read (no lag on a quiet day), and are there on every engine.
 */
const lookSql = `
SELECT pg_is_in_recovery() AS "isReplica", (SELECT system_identifier::text FROM pg_control_system()) AS cluster,
  (SELECT coalesce(sum(position), 0)::float8 FROM checkpoints WHERE consumer = ANY ($1::text[])) AS position`;

interface Look {
  readonly isReplica: boolean;
  /** Of the primary and all its replicas the same. */
  readonly cluster: string;
  readonly position: number;
}

export interface ReplicaStatus {
  readonly replica: string;
  readonly inUse: boolean;
  /** Why it can not be read; nothing: it can. */
  readonly trouble: string | undefined;
  readonly lagMs: number | undefined;
  readonly lagPositions: number | undefined;
}

interface Replica {
  /** Its address, without credentials. */
  readonly name: string;
  readonly url: string;
  readonly looks: pg.Pool;
  looking: Promise<void> | undefined;
  lookedAtMs: number;
  /** Of the last look; none: it did not answer. */
  position: number | undefined;
  lagMs: number;
  migrated: boolean;
  trouble: string | undefined;
  /** While it is read. */
  reads: { readonly pool: pg.Pool; readonly busy: Set<pg.PoolClient>; readonly sinceMs: number } | undefined;
  /** How often it was left without having served for long, and until when it is not tried again. */
  departures: number;
  pausedUntilMs: number;
}

/**
 * Which database this process reads its views from: one replica for as long as that is well, else the primary.
 *
 * One at a time, because of the consistency tokens: a read must run where the wait for its token looked, and lookups
 * of many requests share a statement. So the process has one place to read, `Visibility` speaks of that place alone,
 * and a change of place is the only thing to get right:
 *
 * - from a replica to the primary: at any moment. The primary has everything that a replica had.
 * - from the primary to a replica: `Visibility` turns to the replica at once, so that nothing is called visible any
 *   more but what the replica has; queries go on reading the primary, which has that too, until the replica has
 *   everything that was called visible before. Then queries read the replica.
 * - from a replica to another: both, one after the other.
 *
 * A replica is left when it breaks, does not answer a look within a second, is no replica any more (promoted), or is
 * further behind than it may be while the primary can be reached; its queries under way are cut off, and repeated
 * on the primary. It is left, too, when a single connection breaks: it may have been restarted, and a replica that was
 * is for a while further back than it was before. It is tried again after a pause, which doubles each time that it
 * does not serve for a minute. Every process has its own order of preference, by lot, and goes back to its first
 * choice when that is well again: so replicas share the processes out among them.
 */
export class ReadReplicas implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly replicas: readonly Replica[];
  private current: Replica | undefined;
  private moving = false;
  private timer: NodeJS.Timeout | undefined;

  /** What the primary had when: one entry for each look that found more than the one before. */
  private heads: { readonly atMs: number; readonly position: number }[] = [];
  private cluster: string | undefined;
  private primaryAnswers = false;
  private primaryLooking: Promise<void> | undefined;
  private primaryLookedAtMs = -Infinity;

  constructor(
    private readonly primary: pg.Pool,
    private readonly visibility: Visibility,
    private readonly metrics: ReplicaMetrics,
    private readonly logger: Logger,
    private readonly options: {
      readonly urls: readonly string[];
      readonly poolSize: number;
      readonly maxLagMs: number;
      /** The views that are read. */
      views(): string[];
    },
  ) {
    this.replicas = shuffled(options.urls.map((url) => this.replicaAt(url)));
    metrics.watch(() => this.status());
  }

  /** Of the replica to read from; nothing: read the primary. */
  get pool(): pg.Pool | undefined {
    return this.current?.reads?.pool;
  }

  /**
   * Whether a read that failed on a replica is to be repeated on the primary. Not when it took too long, or when too
   * many others were before it: then it would only do the same to the primary.
   */
  shouldRepeat(pool: pg.Pool, error: Error): boolean {
    if (this.pool === pool) {
      if (/^(Query read timeout|timeout exceeded when trying to connect)$/.test(error.message)) return false;
      if (classify(error) === 'unreachable') this.leave(this.current!, 'broken', error.message);
    }
    this.metrics.repeated.inc();
    return true;
  }

  status(): ReplicaStatus[] {
    const head = this.heads.at(-1)?.position;
    return this.replicas.map((replica) => {
      const { name, position, trouble } = replica;
      const known = position !== undefined && head !== undefined;
      return {
        replica: name,
        inUse: replica === this.current,
        trouble,
        lagMs: known ? replica.lagMs : undefined,
        lagPositions: known ? Math.max(0, head - position) : undefined,
      };
    });
  }

  onApplicationBootstrap(): void {
    if (this.replicas.length > 0) this.timer = setInterval(() => this.tick(), tickMs);
  }

  /** When no query is under way any more. */
  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    this.timer = undefined;
    const { current } = this;
    this.current = undefined;
    await Promise.all([this.primaryLooking, ...this.replicas.map((replica) => replica.looking)]);
    const pools = [...(current?.reads ? [current.reads.pool] : []), ...this.replicas.map((replica) => replica.looks)];
    const ended = Promise.all(pools.map((pool) => pool.end()));
    // A frozen replica never answers the goodbye.
    await Promise.race([ended, sleep(lookTimeoutMs, undefined, { ref: false })]);
  }

  // ---- Looking. Each database at its own pace: one that does not answer must not hide what has become of another.

  private tick(): void {
    const now = performance.now();
    const isDue = (lookedAtMs: number) => this.visibility.isWaitedFor || now - lookedAtMs >= restMs;
    if (!this.primaryLooking && isDue(this.primaryLookedAtMs)) {
      this.primaryLookedAtMs = now;
      this.primaryLooking = this.lookAtPrimary().finally(() => (this.primaryLooking = undefined));
    }
    for (const replica of this.replicas) {
      if (replica.looking || !isDue(replica.lookedAtMs)) continue;
      replica.lookedAtMs = now;
      replica.looking = this.lookAt(replica).finally(() => (replica.looking = undefined));
    }
    this.choose();
  }

  private async lookAtPrimary(): Promise<void> {
    try {
      const { position, cluster } = await this.look(this.primary);
      const now = performance.now();
      this.cluster = cluster;
      this.primaryAnswers = true;
      const last = this.heads.at(-1)?.position ?? -1;
      if (position < last) this.heads = []; // Restored, or failed over to a replica that had less.
      if (position !== last) this.heads.push({ atMs: now, position });
      const keepMs = Math.max(rememberedMs, 2 * this.options.maxLagMs);
      while (this.heads.length > 1 && this.heads[0]!.atMs < now - keepMs) this.heads.shift();
    } catch (error) {
      // Who needs the primary says so (health, every write); here it only means that nobody is called late.
      this.primaryAnswers = false;
      this.logger.debug({ err: error }, 'could not look how far the primary is');
    }
  }

  private async lookAt(replica: Replica): Promise<void> {
    const askedAtMs = performance.now();
    try {
      const { isReplica, cluster, position } = await this.look(replica.looks);
      replica.migrated ||= await isMigrated(replica.looks);
      if (replica === this.current) await this.visibility.look(this.options.views());
      replica.position = position;
      // The first moment at which the primary was known to have more than the replica had when it was asked.
      const missed = this.heads.find((head) => head.position > position);
      replica.lagMs = missed ? Math.max(0, askedAtMs - missed.atMs) : 0;
      if (!isReplica) this.hasTrouble(replica, 'broken', 'it is no replica (any more)');
      else if (this.cluster === undefined) replica.trouble = 'the primary has not been seen yet';
      else if (cluster !== this.cluster) this.hasTrouble(replica, 'broken', 'it is a replica of another database');
      else if (!replica.migrated) replica.trouble = 'it has not got all migrations yet';
      else if (replica.lagMs > this.options.maxLagMs && this.primaryAnswers) {
        this.hasTrouble(replica, 'lagging', `it is ${Math.round(replica.lagMs)} ms behind`);
      } else replica.trouble = undefined;
    } catch (error) {
      replica.position = undefined;
      replica.migrated = false;
      this.hasTrouble(replica, 'broken', (error as Error).message);
    }
  }

  private async look(pool: pg.Pool): Promise<Look> {
    const statement = { name: 'look-at-database', text: lookSql, values: [this.options.views()] };
    // pg takes the limit for a single statement too; its types do not know that.
    const { rows } = await pool.query<Look>({ ...statement, query_timeout: lookTimeoutMs } as pg.QueryConfig);
    return rows[0]!;
  }

  // ---- Moving.

  private choose(): void {
    if (this.moving) return;
    const now = performance.now();
    const isFit = (replica: Replica) =>
      replica.position !== undefined &&
      replica.trouble === undefined &&
      now >= replica.pausedUntilMs &&
      // Half: what is taken up at the limit is left again at once.
      replica.lagMs <= this.options.maxLagMs / 2;
    const best = this.replicas.find((replica) => replica === this.current || isFit(replica));
    if (!best || best === this.current) return;
    // The way from one replica to a better one leads over the primary.
    if (this.current && !this.primaryAnswers) return;
    void this.moveTo(best);
  }

  private async moveTo(replica: Replica): Promise<void> {
    this.moving = true;
    const from = this.current;
    // From here on the primary is read, and what is under way on the old replica comes to its end there.
    this.current = undefined;
    void from?.reads?.pool.end();
    if (from) from.reads = undefined;
    const { departures } = replica;
    try {
      await this.visibility.turnTo(replica.looks, this.options.maxLagMs);
    } catch (error) {
      this.pause(replica);
      this.logger.warn({ replica: replica.name, reason: (error as Error).message }, 'a replica does not catch up with what was read');
      return;
    } finally {
      this.moving = false;
    }
    if (replica.departures !== departures || this.timer === undefined) return this.visibility.turnBack();
    replica.reads = this.openReads(replica);
    this.current = replica;
    this.logger.info({ replica: replica.name }, 'views are read from a replica');
  }

  private hasTrouble(replica: Replica, cause: 'broken' | 'lagging', why: string): void {
    const isNew = replica.trouble !== why;
    replica.trouble = why;
    if (replica === this.current) this.leave(replica, cause, why);
    else {
      // It may be about to be read.
      if (this.moving && cause === 'broken') this.pause(replica);
      if (isNew && cause === 'broken') this.logger.warn({ replica: replica.name, reason: why }, 'a replica can not be read');
    }
  }

  private leave(replica: Replica, cause: 'broken' | 'lagging', why: string): void {
    const { pool, busy, sinceMs } = replica.reads!;
    this.current = undefined;
    this.visibility.turnBack();
    if (performance.now() - sinceMs > longestPauseMs) replica.departures = 0;
    replica.reads = undefined;
    this.pause(replica);
    this.metrics.departures.inc({ replica: replica.name, cause });
    this.logger.warn({ replica: replica.name, reason: why }, 'a replica was left; views are read from the primary');
    // A new pool when it is back: none of these connections is trusted any more. To end a busy one is to cut it off,
    // so that its reader need not wait for a server that may never answer.
    void pool.end();
    for (const client of busy) void client.end();
  }

  private pause(replica: Replica): void {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** replica.departures);
    replica.departures++;
    replica.pausedUntilMs = performance.now() + pauseMs;
  }

  private openReads(replica: Replica): NonNullable<Replica['reads']> {
    const busy = new Set<pg.PoolClient>();
    const pool = createReplicaPool(replica.url, this.options.poolSize, (error) => {
      if (this.pool === pool) this.hasTrouble(replica, 'broken', error.message);
    });
    pool.on('acquire', (client) => busy.add(client));
    pool.on('release', (_error, client) => busy.delete(client));
    return { pool, busy, sinceMs: performance.now() };
  }

  private replicaAt(url: string): Replica {
    const { host, pathname } = new URL(url);
    const replica: Replica = {
      name: host + pathname,
      url,
      looks: createReplicaLookPool(url, (error) => this.hasTrouble(replica, 'broken', error.message)),
      looking: undefined,
      lookedAtMs: -Infinity,
      position: undefined,
      lagMs: 0,
      migrated: false,
      trouble: undefined,
      reads: undefined,
      departures: 0,
      pausedUntilMs: 0,
    };
    return replica;
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, lot: Math.random() }))
    .sort((one, other) => one.lot - other.lot)
    .map(({ item }) => item);
}
