import { availableParallelism } from 'node:os';
import { z } from 'zod';

/**
 * The only reader of `process.env`. Parsed once at start and frozen; every name carries its unit.
 * A wrong flag stops the process with one line that says which flag, what it got and what it takes.
 * docs/configuration.md and .env.example list the same variables; a test holds them equal.
 */
const flag = oneOf('true', 'false').transform((text) => text === 'true');
function oneOf<const Words extends readonly [string, string, ...string[]]>(...words: Words) {
  return z.enum(words, { error: `${words.slice(0, -1).join(', ')} or ${words.at(-1)}` });
}
const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `a whole number from ${min} to ${max}`);
/** A whole number, or `auto`: what this machine's cores make of it. */
const integerOrAuto = (min: number, max: number) => {
  const takes = `a whole number from ${min} to ${max}, or auto`;
  return z
    .string()
    .regex(/^(auto|\d+)$/, takes)
    .transform((text) => (text === 'auto' ? text : Number(text)))
    .refine((n) => n === 'auto' || (n >= min && n <= max), takes);
};
const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h|d)$/, 'a duration such as 500ms, 30s, 15m, 12h or 7d')
  .transform((text) => {
    const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text)!;
    return Number(amount) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 'ms'];
  });
const size = z
  .string()
  .regex(/^\d+(b|kb|mb)$/i, 'a size such as 512kb or 1mb')
  .transform((text) => {
    const [, amount, unit] = /^(\d+)(b|kb|mb)$/i.exec(text)!;
    return Number(amount) * { b: 1, kb: 1_024, mb: 1_048_576 }[unit!.toLowerCase() as 'b'];
  });
const urls = (scheme: RegExp, takes: string) =>
  z
    .string()
    .transform((text) => text.split(',').map((url) => url.trim()))
    .refine((all) => all.every((url) => URL.canParse(url) && scheme.test(new URL(url).protocol)), takes);

/** Not redis:// beside rediss://, either: how one node of a cluster is spoken to holds for all. */
const areOfOneKind = (all: readonly string[]) => new Set(all.map((url) => url.slice(0, url.indexOf(':')).toLowerCase())).size === 1;
const takesRedis = 'a redis:// or rediss:// URL, or several nodes of one cluster, all by the same, separated by commas';
const takesCache = 'a redis://, rediss:// or memcached:// URL, or several of one kind, separated by commas: nodes of one Redis Cluster, or memcacheds';

export const environment = {
  PORT: integer(0, 65_535).default(3000),
  HOST: z.string().min(1).default('127.0.0.1'),
  ROLE: oneOf('all', 'command', 'query').default('all'),
  SERVE_HTTP: flag.default(true),
  RUN_WORKERS: flag.default(true),
  CLUSTER_WORKERS: integerOrAuto(1, 256).default(1),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'a postgres:// URL' }).optional(),
  READ_DATABASE_URLS: urls(/^postgres(ql)?:$/, 'postgres:// URLs, separated by commas').optional(),
  REPLICA_MAX_LAG_MS: integer(100, 600_000).default(1_000),
  REDIS_URL: urls(/^rediss?:$/, takesRedis).refine(areOfOneKind, takesRedis).optional(),
  CACHE_URL: urls(/^(rediss?|memcached):$/, takesCache).refine(areOfOneKind, takesCache).optional(),
  CACHE_MB: integer(0, 65_536).default(64),
  CACHE_TTL_MS: integer(100, 86_400_000).default(60_000),
  DATABASE_POOL_SIZE: integerOrAuto(2, 200).default('auto'),
  DATA_DIR: z.string().min(1).default('.rialto'),
  PARTITIONS: integer(1, 256).default(16),
  LOG_LEVEL: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent').default('info'),
  BODY_LIMIT: size.default(1_048_576),
  BULK_BODY_LIMIT: size.default(16_777_216),
  CONSISTENCY_WAIT_MS: integer(0, 60_000).default(2_000),
  IDEMPOTENCY_RETENTION: duration.default(7 * 86_400_000),
  WRITER_LANES: integer(1, 256).default(1),
  WRITER_QUEUE_LIMIT: integer(1, 1_000_000).default(10_000),
  STATE_CACHE_MB: integer(1, 65_536).default(64),
  SWEEP_INTERVAL_MS: integer(10, 60_000).default(1_000),
  COMMAND_CLAIM_MS: integer(100, 600_000).default(10_000),
  SHUTDOWN_DRAIN_MS: integer(0, 300_000).default(0),
  SHUTDOWN_TIMEOUT_MS: integer(100, 300_000).default(10_000),
} satisfies Record<string, z.ZodType>;

export interface Config {
  readonly host: string;
  readonly port: number;
  /** What this process loads and answers: both sides, or one. */
  readonly role: 'all' | 'command' | 'query';
  /** False: a pure worker, which answers only health and metrics. */
  readonly serveHttp: boolean;
  /** Whether this process drains the inbox and feeds the projections. */
  readonly runWorkers: boolean;
  /** Processes on this machine that share the port. */
  readonly clusterWorkers: number;
  /** Absent: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl?: string;
  /** Streaming replicas that queries read; empty: the primary. */
  readonly readDatabaseUrls: readonly string[];
  /** A replica that is further behind is not read. */
  readonly replicaMaxLagMs: number;
  /** Absent: queues on PostgreSQL. Several: nodes of one Redis Cluster. */
  readonly redisUrls?: readonly string[];
  /** The shared tier of the cache. Absent: `redisUrls`, or none. */
  readonly cacheUrls?: readonly string[];
  /** Memory for cached answers in this process; 0 turns the cache off. */
  readonly cacheBytes: number;
  /** The longest time that an answer is kept, should nothing end it before. */
  readonly cacheTtlMs: number;
  /** Connections for the reads of one process. */
  readonly databasePoolSize: number;
  readonly dataDir: string;
  /** Only used when the database is created; later it must agree with the database. */
  readonly partitions: number;
  readonly logLevel: string;
  readonly bodyLimitBytes: number;
  readonly bulkBodyLimitBytes: number;
  readonly consistencyWaitMs: number;
  readonly idempotencyRetentionMs: number;
  /** Loops that write, each for a share of the partitions. */
  readonly writerLanes: number;
  /** A lane for each partition: every statement on the write side is about one partition. */
  readonly partitionsAreApart: boolean;
  readonly writerQueueLimit: number;
  readonly stateCacheBytes: number;
  readonly sweepIntervalMs: number;
  /** How long a worker may keep a command of the inbox before others take it for dead. */
  readonly commandClaimMs: number;
  /** How long a stopping process, not ready any more, still answers: until the load balancer has noticed. */
  readonly shutdownDrainMs: number;
  readonly shutdownTimeoutMs: number;
}

export class ConfigError extends Error {}

export function readConfig(env: Record<string, string | undefined>): Config {
  // An empty value means "not set": that is what an untouched line of a copied .env file says.
  const given = Object.fromEntries(Object.entries(env).filter(([name, value]) => name in environment && value !== ''));
  const parsed = z.object(environment).safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const name = String(issue.path[0]);
    throw new ConfigError(`${name}: got ${JSON.stringify(given[name])}; ${issue.message}`);
  }
  const e = parsed.data;
  if (e.WRITER_LANES > e.PARTITIONS) {
    throw new ConfigError(`WRITER_LANES: got "${e.WRITER_LANES}"; at most one for each of the ${e.PARTITIONS} PARTITIONS`);
  }
  const cores = availableParallelism();
  const clusterWorkers = e.CLUSTER_WORKERS === 'auto' ? cores : e.CLUSTER_WORKERS;
  return Object.freeze({
    host: e.HOST,
    port: e.PORT,
    role: e.ROLE,
    serveHttp: e.SERVE_HTTP,
    runWorkers: e.RUN_WORKERS,
    clusterWorkers,
    databaseUrl: e.DATABASE_URL,
    readDatabaseUrls: e.READ_DATABASE_URLS ?? [],
    replicaMaxLagMs: e.REPLICA_MAX_LAG_MS,
    redisUrls: e.REDIS_URL,
    cacheUrls: e.CACHE_URL ?? e.REDIS_URL,
    cacheBytes: e.CACHE_MB * 1_048_576,
    cacheTtlMs: e.CACHE_TTL_MS,
    databasePoolSize: e.DATABASE_POOL_SIZE === 'auto' ? readPoolSize(cores, clusterWorkers) : e.DATABASE_POOL_SIZE,
    dataDir: e.DATA_DIR,
    partitions: e.PARTITIONS,
    logLevel: e.LOG_LEVEL,
    bodyLimitBytes: e.BODY_LIMIT,
    bulkBodyLimitBytes: e.BULK_BODY_LIMIT,
    consistencyWaitMs: e.CONSISTENCY_WAIT_MS,
    idempotencyRetentionMs: e.IDEMPOTENCY_RETENTION,
    writerLanes: e.WRITER_LANES,
    partitionsAreApart: e.WRITER_LANES > 1 && e.WRITER_LANES === e.PARTITIONS,
    writerQueueLimit: e.WRITER_QUEUE_LIMIT,
    stateCacheBytes: e.STATE_CACHE_MB * 1_048_576,
    sweepIntervalMs: e.SWEEP_INTERVAL_MS,
    commandClaimMs: e.COMMAND_CLAIM_MS,
    shutdownDrainMs: e.SHUTDOWN_DRAIN_MS,
    shutdownTimeoutMs: e.SHUTDOWN_TIMEOUT_MS,
  });
}

/**
 * Five connections for each core keep it busy while others wait for PostgreSQL; the processes of a machine share them.
 * One process is one core's worth of JavaScript however many there are: beyond twenty they only queue in PostgreSQL.
 */
function readPoolSize(cores: number, processes: number): number {
  return Math.min(20, Math.max(4, Math.ceil((5 * cores) / processes)));
}
