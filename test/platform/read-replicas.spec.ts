import type pg from 'pg';
import { Registry } from 'prom-client';
import { Visibility } from '../../src/platform/consumers/visibility.js';
import { createPools } from '../../src/platform/database/pools.js';
import { QueryPool } from '../../src/platform/database/query-pool.js';
import { ReadReplicas } from '../../src/platform/database/read-replicas.js';
import { migrate } from '../../src/platform/database/migrate.js';
import { createLogger } from '../../src/platform/observability/logger.js';
import { ReplicaMetrics } from '../../src/platform/observability/metrics.js';
import { createTestDatabase, createTestPool, type TestDatabase } from '../support/database.js';
import { eventually, untilPasses } from '../support/eventually.js';
import { type ReplicaServer, type ReplicatedPostgres, startReplicatedPostgres } from '../support/replica.js';

describe('What is visible where views are read', () => {
  let primary: TestDatabase;
  /** Another database, which the tests bring as far as they want it to be. */
  let replica: TestDatabase;
  let pools: ReturnType<typeof createPools>[];
  let visibility: Visibility;

  beforeAll(async () => {
    [primary, replica] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    pools = [primary, replica].map(({ url }) => createPools(url, 2, () => undefined));
  });

  beforeEach(async () => {
    visibility = new Visibility(pools[0]!.log, () => undefined);
    await Promise.all([moveTo(primary, 0), moveTo(replica, 0)]);
  });

  afterAll(async () => {
    for (const all of pools ?? []) for (const pool of Object.values(all)) await (pool as pg.Pool).end();
    await primary?.drop();
    await replica?.drop();
  });

  const moveTo = ({ pool }: TestDatabase, position: number) =>
    pool.query(
      `INSERT INTO checkpoints (consumer, partition, position) VALUES ('accounts', 3, $1)
       ON CONFLICT (consumer, partition) DO UPDATE SET position = excluded.position`,
      [position],
    );
  const at = (position: number) => [{ partition: 3, position }];
  const isVisible = (position: number, waitMs = 300) =>
    visibility.waitFor(['accounts'], at(position), waitMs).then(
      () => true,
      (error: { code: string }) => {
        expect(error.code).toBe('projection-behind');
        return false;
      },
    );

  test('is what the replica has, as soon as that is turned to', async () => {
    await moveTo(primary, 7);
    expect(await isVisible(7, 10_000)).toBe(true);
    await moveTo(primary, 10);
    await moveTo(replica, 8);
    await visibility.turnTo(pools[1]!.log, 10_000);
    expect(await isVisible(8, 10_000)).toBe(true);
    expect(await isVisible(9)).toBe(false);
    await moveTo(replica, 9);
    expect(await isVisible(9, 10_000)).toBe(true);
    expect(visibility.positionsOf('accounts').get(3)).toBe(9);
  });

  test('is nothing that the projector of this process has committed, while a replica is read', async () => {
    await visibility.turnTo(pools[1]!.log, 10_000);
    visibility.advance('accounts', 3, 5);
    expect(await isVisible(5)).toBe(false);
    visibility.turnBack();
    visibility.advance('accounts', 3, 5);
    expect(await isVisible(5, 0)).toBe(true);
  });

  test('was visible before is what a replica must have before it is read', async () => {
    visibility.advance('accounts', 3, 10);
    let turned = false;
    const turning = visibility.turnTo(pools[1]!.log, 30_000).then(() => (turned = true));
    await moveTo(replica, 9);
    // From now on 9 is visible and 10 is not, though it was: queries still read the primary, which has both.
    expect(await isVisible(9, 10_000)).toBe(true);
    expect(await isVisible(10)).toBe(false);
    expect(turned).toBe(false);
    await moveTo(replica, 10);
    await turning;
    expect(await isVisible(10, 0)).toBe(true);
  });

  test('stays so when the replica does not get there, and the next one must have it too', async () => {
    visibility.advance('accounts', 3, 10);
    await moveTo(replica, 9);
    await expect(visibility.turnTo(pools[1]!.log, 300)).rejects.toThrow('did not get there');
    expect(await isVisible(10, 0)).toBe(true);
    await expect(visibility.turnTo(pools[1]!.log, 300)).rejects.toThrow('did not get there');
    await moveTo(replica, 10);
    await visibility.turnTo(pools[1]!.log, 10_000);
  });

  test('is found on the primary by who waited for a replica that was left', async () => {
    await visibility.turnTo(pools[1]!.log, 10_000);
    const waiting = isVisible(10, 30_000);
    await moveTo(primary, 10);
    visibility.turnBack();
    expect(await waiting).toBe(true);
  });
});

describe('Reads on a replica', () => {
  let postgres: ReplicatedPostgres;
  let replica: ReplicaServer;
  let pools: ReturnType<typeof createPools>;
  let replicas: ReadReplicas;
  let queries: QueryPool;
  let registry: Registry;
  let primary: pg.Pool;

  beforeAll(async () => {
    postgres = await startReplicatedPostgres(1);
    replica = postgres.replicas[0]!;
    const { url } = postgres.primary;
    await migrate(url, { partitions: 4 });
    pools = createPools(url, 4, () => undefined);
    primary = createTestPool(url);
    await primary.query(`INSERT INTO checkpoints (consumer, partition) SELECT 'accounts', partition FROM partitions`);
    await primary.query('CREATE TABLE things (id integer PRIMARY KEY); INSERT INTO things SELECT generate_series(1, 100)');
    registry = new Registry();
    replicas = replicasAt(replica.url, registry);
    queries = new QueryPool(pools.queries, 16, replicas);
    replicas.onApplicationBootstrap();
  });

  afterAll(async () => {
    await replicas?.onApplicationShutdown();
    for (const pool of Object.values(pools ?? {})) await (pool as pg.Pool).end();
    await primary?.end();
    await postgres?.stop();
  });

  const replicasAt = (url: string, metrics = new Registry()) =>
    new ReadReplicas(
      pools.log,
      new Visibility(pools.log, () => undefined),
      new ReplicaMetrics(metrics),
      createLogger('silent'),
      { urls: [url], poolSize: 2, maxLagMs: 10_000, views: () => ['accounts'] },
    );
  const isInUse = async () => (await eventually(async () => replicas.pool, (pool) => pool !== undefined))!;
  /**
   * A machine that stands still for a second has the replica left, as one that is late with its answer: then it is observed
   * anew, with another mark in the statement, until the replica was read from the beginning to the end.
   */
  let marks = 600;
  const whileInUse = (observe: (pool: pg.Pool, mark: number) => Promise<void>) =>
    untilPasses(async () => observe(await isInUse(), ++marks));
  /** Unless the replica is left before it gets there. */
  const hasArrived = (mark: number, pool: pg.Pool) =>
    eventually(async () => replicas.pool !== pool || (await sentences(`${mark}`)).length > 0, Boolean);
  const repeated = async () => (await registry.getSingleMetric('rialto_replica_repeated_reads_total')!.get()).values[0]!.value;
  const where = `SELECT pg_is_in_recovery() AS "onReplica"`;
  const sentences = async (text: string) => (await replica.statements()).filter((statement) => statement.text.includes(text));

  test('are repeated on the primary when the replay cancels them, and the replica goes on being read', () =>
    whileInUse(async (pool, mark) => {
      const before = await repeated();
      const read = queries.rows<{ things: string }>('slow', `SELECT count(*) AS things, pg_sleep(CASE WHEN pg_is_in_recovery() THEN ${mark} ELSE 0 END) FROM things`, []);
      await hasArrived(mark, pool);
      await primary.query('BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE; COMMIT');
      expect((await read)[0]!.things).toBe('100');
      expect(await repeated()).toBe(before + 1);
      expect(await queries.rows('where', where, [])).toEqual([{ onReplica: true }]);
      expect(replicas.pool).toBe(pool);
    }));

  test('need no more rights than to read', async () => {
    await primary.query(`CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`);
    await eventually(() => primary.query(`SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()`), ({ rowCount }) => rowCount === 1);
    const url = new URL(replica.url);
    [url.username, url.password] = ['reader', 'secret'];
    const restricted = replicasAt(url.href);
    restricted.onApplicationBootstrap();
    await eventually(async () => restricted.pool, (pool) => pool !== undefined);
    await restricted.onApplicationShutdown();
  });

  test('that are wrong are as wrong on the primary', () =>
    whileInUse(async (pool) => {
      await expect(queries.rows('wrong', 'SELECT 1 / 0', [])).rejects.toMatchObject({ code: '22012' });
      expect(replicas.pool).toBe(pool);
    }));

  test('are cut off and repeated when the replica is left', () =>
    whileInUse(async (pool, mark) => {
      const read = queries.rows<{ onReplica: boolean }>('stuck', `${where}, pg_sleep(CASE WHEN pg_is_in_recovery() THEN ${mark} ELSE 0 END)`, []);
      await hasArrived(mark, pool);
      expect(replicas.pool).toBe(pool);
      await replica.freeze();
      try {
        expect((await read)[0]!.onReplica).toBe(false);
        expect(replicas.status()).toEqual([expect.objectContaining({ inUse: false, trouble: expect.any(String) })]);
      } finally {
        await replica.thaw();
      }
    }));

  test('go to the primary as soon as one connection has broken, because the replica may have been restarted', async () => {
    await whileInUse(async (pool) => {
      await queries.rows('where', where, []);
      expect(replicas.pool).toBe(pool);
      await replica.endConnections('rialto replica queries');
      await eventually(async () => replicas.pool, (now) => now !== pool);
    });
    await whileInUse(async () => expect(await queries.rows('where', where, [])).toEqual([{ onReplica: true }]));
  });

  test('never go to a replica of another database, whose views may look the same', async () => {
    const elsewhere = await startReplicatedPostgres(1);
    await migrate(elsewhere.primary.url, { partitions: 4 });
    const strangers = replicasAt(elsewhere.replicas[0]!.url);
    strangers.onApplicationBootstrap();
    await eventually(async () => strangers.status()[0]!.trouble, (trouble) => trouble === 'it is a replica of another database');
    expect(strangers.pool).toBeUndefined();
    await strangers.onApplicationShutdown();
    await elsewhere.stop();
  });

  test('go to the primary when the replica has been promoted, and is a database of its own', async () => {
    await replica.promote();
    await eventually(async () => replicas.pool, (pool) => pool === undefined);
    await eventually(async () => replicas.status()[0]!.trouble, (trouble) => trouble === 'it is no replica (any more)');
    expect(await queries.rows('where', where, [])).toEqual([{ onReplica: false }]);
  });
});
