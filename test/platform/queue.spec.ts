import { runMigrations } from 'bullmq';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { ConfigError } from '../../src/config.js';
import { JobQueues } from '../../src/platform/queue/job-queues.js';
import { usualTimings, type JobStore, type Timings } from '../../src/platform/queue/job-store.js';
import { PostgresJobs } from '../../src/platform/queue/postgres-jobs.js';
import { QueueMetrics } from '../../src/platform/queue/queue-metrics.js';
import { RedisJobs } from '../../src/platform/queue/redis-jobs.js';
import { queues, WakeUps, type Queue } from '../../src/platform/queue/wake-ups.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { describeWithRedis, RedisCluster, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const hurried: Timings = { ...usualTimings, answerMs: 2_000, idleSeconds: 2, canaryEveryMs: 500, clockEveryMs: 200 };
/** No canaries, so that nothing but the wake-ups of a test is there, and no answer that a busy machine is late with is taken for none. */
const calm: Timings = { ...hurried, canaryEveryMs: 3_600_000, answerMs: 30_000 };

interface Process {
  readonly wakeUps: WakeUps;
  readonly jobs: JobQueues;
  /** How often each queue's work was woken here. */
  readonly woken: Record<Queue, number>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  values(name: string): Promise<readonly { value: number }[]>;
}

let processes: Process[] = [];

/** As a process is put together, without what it works on. */
function assemble(store: JobStore, worked: readonly Queue[], timings = calm, now = Date.now): Process {
  const registry = new Registry();
  const wakeUps = new WakeUps();
  const woken = { commands: 0, projections: 0, sagas: 0 };
  for (const queue of worked) wakeUps.onWake(queue, () => woken[queue]++);
  const metrics = new QueueMetrics(registry);
  const jobs = new JobQueues(store, wakeUps, metrics, pino({ level: 'silent' }), timings, now);
  const values = async (name: string) => (await registry.getSingleMetric(name)!.get()).values;
  const metric = async (name: string, labels: Record<string, string> = {}) => {
    return (await values(name))
      .filter((value) => Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted))
      .reduce((sum, { value }) => sum + value, 0);
  };
  const assembled = { wakeUps, jobs, woken, metric, values };
  processes.push(assembled);
  return assembled;
}

async function start(...given: Parameters<typeof assemble>): Promise<Process> {
  const started = assemble(...given);
  await started.jobs.start();
  return started;
}

const isConnected = (process: Process) =>
  eventually(() => process.metric('rialto_queue_connected'), (connected) => connected === 1);

/** Wakes until it is heard: one wake-up may be lost, whatever was done to the store before. */
async function isHeard(front: Process, worker: Process, queue: Queue): Promise<void> {
  const before = worker.woken[queue];
  await eventually(
    async () => {
      front.wakeUps.wake(queue);
      return worker.woken[queue];
    },
    (woken) => woken > before,
  );
}

afterEach(async () => {
  await Promise.all(processes.map(({ jobs }) => jobs.close()));
  processes = [];
});

interface Backend {
  readonly url: string;
  storeAt(url: string): JobStore;
  end(): Promise<void>;
}

function behaves(make: () => Promise<Backend>): void {
  let backend: Backend;
  let proxy: TcpProxy;
  let store: JobStore;
  let shaky: JobStore;

  beforeEach(async () => {
    backend = await make();
    proxy = await TcpProxy.to(backend.url);
    store = backend.storeAt(backend.url);
    shaky = backend.storeAt(proxy.urlOf(backend.url));
  });

  afterEach(async () => {
    await proxy?.close();
    await backend?.end();
  });

  test('a process that works a queue is woken for what another one has done', async () => {
    const worker = await start(store, ['projections']);
    const front = await start(store, []);
    front.wakeUps.wake('projections');
    await eventually(() => Promise.resolve(worker.woken.projections), (woken) => woken >= 1);
    expect(worker.woken).toEqual({ commands: 0, projections: 1, sagas: 0 });
  });

  test('a process that works a queue itself is woken at once, and adds no job', async () => {
    const process = await start(store, ['commands', 'sagas', 'projections']);
    process.wakeUps.wake('sagas');
    expect(process.woken.sagas).toBe(1);
    await process.jobs.close();
    expect(await process.metric('rialto_queue_adds_total')).toBe(0);
  });

  test('a wake-up while another is under way is heard too', async () => {
    const worker = await start(store, ['projections']);
    const front = await start(store, []);
    // In the middle of the other job's life: it has been taken and is not yet completed.
    worker.wakeUps.onWake('projections', () => {
      if (worker.woken.projections <= 30) front.wakeUps.wake('projections');
    });
    front.wakeUps.wake('projections');
    await eventually(() => Promise.resolve(worker.woken.projections), (woken) => woken >= 31);
  });

  test('any number of wake-ups are a handful of jobs, and none is lost when somebody comes to work', async () => {
    const front = await start(store, []);
    const added = (outcome: string) => front.metric('rialto_queue_adds_total', { outcome });
    await eventually(
      async () => {
        for (let i = 0; i < 1_000; i++) front.wakeUps.wake('commands');
        return added('enough');
      },
      (enough) => enough > 2,
    );
    expect(await added('added')).toBe(3);
    // A store that is late with its answer is left out of the metrics.
    await eventually(() => front.metric('rialto_queue_jobs', { queue: 'commands', state: 'waiting' }), (waiting) => waiting === 3);
    expect(await front.metric('rialto_queue_oldest_job_seconds', { queue: 'commands' })).toBeGreaterThan(0);
    const worker = await start(store, ['commands']);
    await eventually(() => Promise.resolve(worker.woken.commands), (woken) => woken >= 3);
    await eventually(() => front.metric('rialto_queue_jobs', { queue: 'commands' }), (left) => left === 0);
  });

  test('a process that stops working tells others, up to its last wake-up', async () => {
    const staying = await start(store, ['sagas']);
    const leave = async () => {
      const leaving = await start(store, ['commands', 'sagas', 'projections']);
      await isConnected(leaving);
      await leaving.jobs.stopWorking();
      leaving.wakeUps.wake('sagas');
      const began = performance.now();
      await leaving.jobs.close();
      return { leaving, tookMs: performance.now() - began };
    };
    let left = await leave();
    // Its last wake-up has a second. Where the machine kept it from that for so long, another one leaves.
    while (left.tookMs > 950) left = await leave();
    expect(await left.leaving.metric('rialto_queue_adds_total', { queue: 'sagas', outcome: 'added' })).toBe(1);
    await eventually(() => Promise.resolve(staying.woken.sagas), (woken) => woken >= 1);
    expect(left.leaving.woken.sagas).toBe(0);
  });

  test('a store that is not there yet is used when it comes, and what was to be told is told', async () => {
    proxy.refuse();
    const [worker, front] = await Promise.all([start(shaky, ['commands']), start(shaky, [])]);
    front.wakeUps.wake('commands');
    expect([await worker.metric('rialto_queue_connected'), await front.metric('rialto_queue_connected')]).toEqual([0, 0]);
    proxy.allow();
    await eventually(() => Promise.resolve(worker.woken.commands), (woken) => woken > 0);
  });

  test('a connection that breaks is made anew, by those who tell and by those who are told', async () => {
    const worker = await start(shaky, ['commands', 'sagas']);
    const front = await start(shaky, []);
    for (let round = 0; round < 3; round++) {
      proxy.cutAll();
      await isHeard(front, worker, 'sagas');
      await isHeard(front, worker, 'commands');
    }
    proxy.refuse();
    await eventually(() => worker.metric('rialto_queue_connected'), (connected) => connected === 0);
    proxy.allow();
    await isHeard(front, worker, 'commands');
    expect(await worker.metric('rialto_queue_rebuilds_total')).toBeGreaterThan(0);
  });

  test('a network that swallows everything is noticed, holds up nobody, and is given up', async () => {
    const worker = await start(shaky, ['commands'], hurried);
    const front = await start(shaky, [], hurried);
    await isHeard(front, worker, 'commands');
    proxy.swallow();
    // Its own work: a machine that is kept busy by others may take any time over it.
    const before = process.cpuUsage();
    for (let i = 0; i < 100_000; i++) front.wakeUps.wake('commands');
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
    for (const process of [worker, front]) {
      await eventually(() => process.metric('rialto_queue_connected'), (connected) => connected === 0);
    }
    proxy.carry();
    await isHeard(front, worker, 'commands');
  });

  test('the state of the queues is left out of the metrics while the store does not answer', async () => {
    const front = await start(shaky, []);
    await eventually(() => front.values('rialto_queue_jobs'), (states) => states.length === 9);
    proxy.swallow();
    expect(await front.values('rialto_queue_jobs')).toHaveLength(0);
    expect(await front.values('rialto_queue_oldest_job_seconds')).toHaveLength(0);
    proxy.carry();
  });
}

let database: TestDatabase;
const ofPostgres = async (): Promise<Backend> => {
  database = await createTestDatabase();
  return { url: database.url, storeAt: (url) => new PostgresJobs(url), end: () => database.drop() };
};

describe('Queues on PostgreSQL', () => behaves(ofPostgres));

describe('Queues on PostgreSQL, and only there', () => {
  let backend: Backend;
  beforeEach(async () => (backend = await ofPostgres()));
  afterEach(() => backend?.end());

  test('tables that are not there yet are waited for, without a storm of errors', async () => {
    await database.pool.query('ALTER SCHEMA bullmq RENAME TO elsewhere');
    const worker = await start(new PostgresJobs(backend.url), ['commands']);
    const front = await start(new PostgresJobs(backend.url), []);
    expect(await worker.metric('rialto_queue_connected')).toBe(0);
    await eventually(() => worker.metric('rialto_queue_rebuilds_total'), (rebuilds) => rebuilds > 1);
    const client = new pg.Client({ connectionString: backend.url });
    await client.connect();
    await runMigrations(client);
    await client.end();
    await isHeard(front, worker, 'commands');
    expect(await worker.metric('rialto_queue_rebuilds_total')).toBeLessThan(100);
  });

  test('tables that are taken away under a worker end its connection, and nothing spins', async () => {
    const worker = await start(new PostgresJobs(backend.url), ['commands', 'projections', 'sagas'], hurried);
    await database.pool.query('ALTER SCHEMA bullmq RENAME TO elsewhere');
    await eventually(() => worker.metric('rialto_queue_connected'), (connected) => connected === 0);
    await database.pool.query('ALTER SCHEMA elsewhere RENAME TO bullmq');
    await isConnected(worker);
    expect(await worker.metric('rialto_queue_rebuilds_total')).toBeLessThan(100);
  });

  test('a worker that is told of no jobs, while all else answers, is found out and replaced', async () => {
    const proxy = await TcpProxy.to(backend.url);
    const impatient = { ...hurried, canaryLateMs: 300 };
    const worker = await start(new PostgresJobs(proxy.urlOf(backend.url)), ['projections'], impatient);
    const front = await start(new PostgresJobs(backend.url), []);
    await isHeard(front, worker, 'projections');
    proxy.swallow('LISTEN');
    await eventually(() => worker.metric('rialto_queue_rebuilds_total', { reason: 'deaf' }), (deaf) => deaf > 0);
    proxy.carry();
    await isHeard(front, worker, 'projections');
    await worker.jobs.close();
    await proxy.close();
  });

  test('a process whose clock is two minutes off takes no jobs, tells others, and works when it is right', async () => {
    let offMs = 120_000;
    const skewed = await start(new PostgresJobs(backend.url), ['sagas'], calm, () => Date.now() + offMs);
    await eventually(() => skewed.metric('rialto_queue_clock_skew_seconds'), (seconds) => seconds > 115);
    const front = await start(new PostgresJobs(backend.url), []);
    front.wakeUps.wake('sagas');
    await eventually(() => front.metric('rialto_queue_jobs', { queue: 'sagas', state: 'waiting' }), (n) => n === 1);
    expect(skewed.woken.sagas).toBe(0);
    const right = await start(new PostgresJobs(backend.url), ['commands']);
    skewed.wakeUps.wake('commands');
    await eventually(() => Promise.resolve(right.woken.commands), (woken) => woken >= 1);
    offMs = 0;
    await eventually(() => Promise.resolve(skewed.woken.sagas), (woken) => woken >= 1);
    offMs = -120_000;
    await eventually(() => skewed.metric('rialto_queue_clock_skew_seconds'), (seconds) => seconds < -115);
  });
});

describeWithRedis('Queues on Redis', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
  });

  afterAll(() => server?.stop());

  behaves(async () => {
    await server.command('FLUSHALL');
    return { url: server.url, storeAt: (url) => new RedisJobs([url]), end: () => Promise.resolve() };
  });

  test('a clock that is off is nobody’s trouble', async () => {
    await server.command('FLUSHALL');
    const skewed = await start(new RedisJobs([server.url]), ['sagas'], calm, () => Date.now() + 120_000);
    const front = await start(new RedisJobs([server.url]), []);
    await isHeard(front, skewed, 'sagas');
    // What the question took may be taken off; it is asked again and again.
    await eventually(() => skewed.metric('rialto_queue_clock_skew_seconds'), (seconds) => seconds > 115);
  });

  test('a Redis that evicts is refused at the start, in one line', async () => {
    const evicting = await RedisServer.start({ 'maxmemory-policy': 'allkeys-lru' });
    const process = assemble(new RedisJobs([evicting.url]), ['commands']);
    await expect(process.jobs.start()).rejects.toThrow(ConfigError);
    await expect(assemble(new RedisJobs([evicting.url]), []).jobs.start()).rejects.toThrow(
      /^REDIS_URL: got a Redis whose maxmemory-policy is allkeys-lru; queues need noeviction[^\n]*$/,
    );
    await evicting.stop();
  });

  test('a Redis that evicts and comes later is not used, until it no longer does', async () => {
    const evicting = await RedisServer.create({ 'maxmemory-policy': 'allkeys-lru' });
    const worker = await start(new RedisJobs([evicting.url]), ['commands']);
    await evicting.start();
    await eventually(() => worker.metric('rialto_queue_store_unsuitable'), (unsuitable) => unsuitable === 1);
    worker.wakeUps.wake('commands');
    expect(await evicting.command('KEYS', '*')).toEqual([]);
    await evicting.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await isConnected(worker);
    expect(await worker.metric('rialto_queue_store_unsuitable')).toBe(0);
    await worker.jobs.close();
    await evicting.stop();
  });

  test.each<[string, (redis: RedisServer) => Promise<unknown>, (redis: RedisServer) => Promise<unknown>]>([
    ['is erased', (redis) => redis.command('FLUSHALL'), () => Promise.resolve()],
    ['is killed and comes back empty', (redis) => redis.kill(), (redis) => redis.start()],
    ['is frozen', (redis) => Promise.resolve(redis.freeze()), (redis) => Promise.resolve(redis.thaw())],
    ['can only be read', (redis) => redis.command('REPLICAOF', '127.0.0.1', 1), (redis) => redis.command('REPLICAOF', 'NO', 'ONE')],
    ['is full', (redis) => redis.command('CONFIG', 'SET', 'maxmemory', 1), (redis) => redis.command('CONFIG', 'SET', 'maxmemory', 0)],
  ])('a Redis that %s wakes again when that is over', async (_, harm, heal) => {
    const redis = await RedisServer.start();
    const worker = await start(new RedisJobs([redis.url]), ['commands', 'projections', 'sagas'], hurried);
    const front = await start(new RedisJobs([redis.url]), [], hurried);
    await isHeard(front, worker, 'projections');
    await harm(redis);
    for (let i = 0; i < 50; i++) {
      front.wakeUps.wake('projections');
      await new Promise((resume) => setTimeout(resume, 60));
    }
    await heal(redis);
    await isHeard(front, worker, 'projections');
    await isHeard(front, worker, 'commands');
    await Promise.all([worker.jobs.close(), front.jobs.close()]);
    await redis.stop();
  });
});

describeWithRedis('Queues on a Redis Cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await RedisCluster.start();
  });

  afterAll(() => cluster?.stop());

  test('wake, keep each queue in one slot, and wake again when a replica has taken the place of a dead master', async () => {
    const worker = await start(new RedisJobs(cluster.urls), queues, hurried);
    const front = await start(new RedisJobs(cluster.urls), [], hurried);
    for (const queue of queues) await isHeard(front, worker, queue);
    const slots = await Promise.all(
      queues.map((queue) => cluster.nodes[0]!.command('CLUSTER', 'KEYSLOT', `{rialto:${queue}}`)),
    );
    expect(new Set(slots).size).toBe(queues.length);

    const master = await cluster.masterOf('{rialto:sagas}');
    await master.kill();
    await eventually(
      () => cluster.masterOf('{rialto:sagas}'),
      (now) => now.port !== master.port,
    );
    for (const queue of queues) await isHeard(front, worker, queue);
  });
});
