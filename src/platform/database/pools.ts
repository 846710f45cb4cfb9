import pg from 'pg';
import { Client } from './client.js';

const int8 = 20;

/** What a database may take to say how far it is. */
export const lookTimeoutMs = 1_000;

/** Positions fit a double for the next 9,000,000,000,000,000 events; amounts do not, so only the log reads them so. */
const logTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * The statements are lookups by key in tables that grow faster than their statistics. A plan made while a table was
 * nearly empty would read all of it for every batch, and be kept: appends took 15 ms instead of 2. So the planner is
 * told to look rows up one by one, whatever it believes of their number, and to plan each named statement once.
 */
const lookUpByKey = [
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'random_page_cost=0.1',
  'seq_page_cost=0.1',
  'jit=off',
  'plan_cache_mode=force_generic_plan',
];

/** No statement and no transaction without a limit: a silent socket would otherwise hold its caller for ever. */
const common = (url: string): pg.PoolConfig => ({
  Client,
  connectionString: url,
  connectionTimeoutMillis: 3_000,
  query_timeout: 30_000,
  keepAlive: true,
  idleTimeoutMillis: 60_000,
  options: ['idle_in_transaction_session_timeout=15000', ...lookUpByKey].map((setting) => `-c ${setting}`).join(' '),
});

/** The pools of a process: each has one job, so none can starve another. As classes, for Nest to inject them. */

/** The log writer's: a connection for each of its loops, which has one batch under way at a time. */
export class WriterPool extends pg.Pool {}
/** The projections': one connection, whose statements follow each other without waiting for answers (exactly once depends on it). */
export class ProjectionsPool extends pg.Pool {}
/** The sagas', of the same kind: a checkout's next step does not wait for views. */
export class SagasPool extends pg.Pool {}
/** Inbox, checkpoints, health. */
export class LogPool extends pg.Pool {}
/** Query handlers', on read tables. Amounts come as strings. */
export class QueriesPool extends pg.Pool {}

/** For command-line tools: statements may take their time, and read whole tables. */
export function createToolPool(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url, types: logTypes, max: 6, application_name: 'rialto tool' });
}

/**
 * For what a server looks at before it begins. A pool, because it names the failures of its connection as those of all pools
 * are named (log/failures.ts).
 */
export function createStartPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 3_000, application_name: 'rialto start' });
  listen(pool, () => undefined);
  return pool;
}

/** `writers` is how many loops write. Of several, one sends the statements of a batch without waiting for answers. */
export function createPools(url: string, queryPoolSize: number, onError: (error: Error) => void, writers = 1) {
  const log = { ...common(url), types: logTypes };
  const pools = {
    writer: new WriterPool({ ...log, max: writers, pipeline: writers > 1, application_name: 'rialto writer' }),
    projections: new ProjectionsPool({ ...log, max: 1, pipeline: true, application_name: 'rialto projections' }),
    sagas: new SagasPool({ ...log, max: 1, pipeline: true, application_name: 'rialto sagas' }),
    log: new LogPool({ ...log, max: 4, application_name: 'rialto log' }),
    queries: new QueriesPool({ ...common(url), max: queryPoolSize, application_name: 'rialto queries' }),
  };
  for (const pool of Object.values(pools)) listen(pool, onError);
  return pools;
}

/** The pools that this process uses. */
export class Pools {
  constructor(
    readonly byJob: Readonly<Record<string, pg.Pool>>,
    /** Connections beside the pools: the one that listens for changes, where the cache hears of them by LISTEN. */
    private readonly others: number,
  ) {}

  /** The most connections that they ever hold together, with the others. */
  get connectionsMax(): number {
    return this.others + Object.values(this.byJob).reduce((sum, pool) => sum + pool.options.max, 0);
  }

  async end(): Promise<void> {
    await Promise.all(Object.values(this.byJob).map((pool) => pool.end()));
  }
}

/** For reads of read tables on a replica. Other names than the primary's: a replica's log shows that nothing else comes. */
export function createReplicaPool(url: string, size: number, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({ ...common(url), max: size, application_name: 'rialto replica queries' });
  listen(pool, onError);
  return pool;
}

/**
 * For looking how far a replica is. Apart from the reads, which may be many and wait for each other, and quick to give
 * up: a replica that does not answer this is of no use to them.
 */
export function createReplicaLookPool(url: string, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    ...common(url),
    types: logTypes,
    max: 2,
    connectionTimeoutMillis: lookTimeoutMs,
    query_timeout: lookTimeoutMs,
    application_name: 'rialto replica looks',
  });
  listen(pool, onError);
  return pool;
}

/** An idle connection that breaks is replaced when it is next needed; without a listener it would end the process. */
function listen(pool: pg.Pool, onError: (error: Error) => void): void {
  pool.on('error', onError);
  // One that breaks while it is lent out says so to the statement under way, or to the next one. It is an event of
  // the connection besides, and the pool listens only while the connection is idle.
  pool.on('connect', (client) => client.on('error', () => undefined));
}
