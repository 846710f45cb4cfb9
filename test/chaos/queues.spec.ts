import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { type RialtoServer, rialto } from '../support/server.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { scale } from './load.js';
import { readLog } from './log-contents.js';

jest.setTimeout(120_000 * Math.max(1, scale));

const frontEnd = { RUN_WORKERS: 'false' };
/** So that the queues notice a silence, give up, and find nobody to connect to. */
const longerThanAnAnswerMs = 7_000;
/** As traps go: longer than any time limit that a client of Redis has by default. */
const longerThanAnyLimitMs = 60_000;
/** The sweep interval is a second; the rest is what a busy machine may take for the work itself. */
const longestStallMs = 1_000 + 9_000;

/** Clients that have transfers accepted, and do not give up until they are. */
class AcceptedTransfers {
  readonly references: string[] = [];
  private running: Promise<unknown> | undefined;
  private stopping = false;

  constructor(private readonly ledger: LedgerClient) {}

  begin(clients = 4): void {
    this.running = Promise.all(Array.from({ length: clients }, () => this.client()));
  }

  async progress(transfers: number): Promise<void> {
    const goal = this.references.length + transfers;
    await eventually(() => Promise.resolve(this.references.length), (accepted) => accepted >= goal || this.stopping);
  }

  async end(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async client(): Promise<void> {
    while (!this.stopping) {
      const reference = randomUUID();
      const headers = { prefer: 'respond-async', 'idempotency-key': reference };
      const ask = () => this.ledger.transfer('world', 'alice', 1, { reference, headers }).catch(() => undefined);
      for (let answer = await ask(); answer?.status !== 202; answer = await ask()) await sleep(20);
      this.references.push(reference);
      await sleep(5);
    }
  }
}

/** A front end that only accepts, a worker that only works for it, and what there is between them. */
class Pair {
  readonly front: RialtoServer;
  readonly worker: RialtoServer;
  readonly http: HttpClient;
  readonly atWorker: HttpClient;
  readonly ledger: LedgerClient;

  private constructor(front: RialtoServer, worker: RialtoServer, name: string) {
    this.front = front;
    this.worker = worker;
    this.http = new HttpClient(front);
    this.atWorker = new HttpClient(worker);
    this.ledger = new LedgerClient(this.http, name);
  }

  static async launch(url: string, ledger: string, env: Record<string, string>): Promise<Pair> {
    const pair = new Pair(await rialto(url, { ...env, ...frontEnd }), await rialto(url, env), ledger);
    pair.front.launch();
    pair.worker.launch();
    return pair;
  }

  static async start(...given: Parameters<typeof Pair.launch>): Promise<Pair> {
    const pair = await Pair.launch(...given);
    await pair.isReady();
    return pair;
  }

  async isReady(): Promise<void> {
    await Promise.all([this.front.saysReady(), this.worker.saysReady()]);
    await this.ledger.openSource('world');
    await this.ledger.openAccount('alice');
  }

  async works(): Promise<AcceptedTransfers> {
    const transfers = new AcceptedTransfers(this.ledger);
    transfers.begin();
    await transfers.progress(250);
    await transfers.end();
    return transfers;
  }

  /** Under load, from before the harm until after it is over. */
  async suffers(
    harm: () => Promise<unknown>,
    heal: () => Promise<unknown>,
    forMs = longerThanAnAnswerMs,
  ): Promise<AcceptedTransfers> {
    const transfers = new AcceptedTransfers(this.ledger);
    transfers.begin();
    await transfers.progress(50);
    await harm();
    await Promise.all([transfers.progress(150), sleep(forMs * scale)]);
    await heal();
    await transfers.progress(50);
    await transfers.end();
    return transfers;
  }

  /** While nobody can tell the worker. One that is at work looks again at once, so that nothing is late: it has to have rested. */
  async saysThatItIsNotTold(): Promise<void> {
    const afterARest = async () => {
      await sleep(700);
      const headers = { prefer: 'respond-async' };
      expect((await this.ledger.transfer('world', 'alice', 1, { headers })).status).toBe(202);
      return (await this.atWorker.get('/metrics')).text;
    };
    await eventually(afterARest, (text) => missedWakeUps.test(text));
  }

  async stop(): Promise<void> {
    this.http.close();
    this.atWorker.close();
    await Promise.all([this.front.kill(), this.worker.kill()]);
  }
}

async function areDoneOnce(pool: pg.Pool, { references }: AcceptedTransfers): Promise<void> {
  const unfinished = `SELECT count(*)::int AS n FROM commands WHERE status IN ('accepted', 'scheduled')`;
  await eventually(async () => (await pool.query<{ n: number }>(unfinished)).rows[0]!.n, (n) => n === 0);
  const { rows } = await pool.query(`SELECT status, error FROM commands WHERE status = 'failed'`);
  expect(rows).toEqual([]);
  const wanted = new Set(references);
  const done = (await readLog(pool)).events.flatMap(({ data }) => (wanted.has(data.reference!) ? [data.reference] : []));
  expect(done.toSorted()).toEqual(references.toSorted());
}

async function longestWaitMs(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>(
    `SELECT max(extract(epoch FROM completed_at - accepted_at) * 1000)::float8 AS ms FROM commands WHERE result IS NOT NULL`,
  );
  return rows[0]!.ms;
}

/** A worker that looks for itself once a minute does the work as it comes: it is told of all of it. */
async function needNoSweep(pool: pg.Pool, url: string, ledger: string, env: Record<string, string>): Promise<void> {
  const pair = await Pair.start(url, ledger, { ...env, SWEEP_INTERVAL_MS: '60000' });
  const transfers = await pair.works();
  await areDoneOnce(pool, transfers);
  expect(await longestWaitMs(pool)).toBeLessThan(30_000);
  const { text } = await pair.atWorker.get('/metrics');
  expect(text).toMatch(/rialto_queue_arrivals_total\{queue="commands"\} [1-9]/);
  expect(text).not.toMatch(missedWakeUps);
  await pair.stop();
}

const missedWakeUps = /rialto_queue_missed_wake_ups_total\{queue="commands"\} [1-9]/;

describe('A front end and a worker', () => {
  let postgres: PostgresServer;
  let pool: pg.Pool;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    pool = createTestPool(postgres.url);
  });

  beforeEach(async () => {
    await pool.query('TRUNCATE commands').catch(() => undefined);
  });

  afterAll(async () => {
    await pool?.end();
    await postgres?.stop();
  });

  describe('with their queues on PostgreSQL', () => {
    test('need no sweep for the work to be done', () => needNoSweep(pool, postgres.url, 'told', {}));

    test('come up when the database comes, though it was not there when they started', async () => {
      const proxy = await TcpProxy.to(postgres.url);
      proxy.refuse();
      const pair = await Pair.launch(proxy.urlOf(postgres.url), 'late', { SWEEP_INTERVAL_MS: '60000' });
      await eventually(() => pair.http.get('/health/live').catch(() => undefined), (answer) => answer !== undefined);
      proxy.allow();
      await pair.isReady();
      await areDoneOnce(pool, await pair.works());
      await pair.stop();
      await proxy.close();
    });

    test('lose and repeat nothing when the database crashes, and are awake afterwards', async () => {
      const pair = await Pair.start(postgres.url, 'crashed', {});
      const transfers = await pair.suffers(
        async () => {
          await postgres.crash();
          await postgres.start();
        },
        () => Promise.resolve(),
      );
      await areDoneOnce(pool, transfers);
      const woken = async () => (await pair.atWorker.get('/metrics')).text;
      await eventually(woken, (text) => /rialto_queue_connected 1/.test(text));
      await pair.stop();
    });

    test('whose sockets a network has swallowed do their work all the same, and are awake when it carries again', async () => {
      const proxy = await TcpProxy.to(postgres.url);
      const pair = await Pair.start(proxy.urlOf(postgres.url), 'swallowed', {});
      // Only what BullMQ says and hears; the log and the inbox have a network of their own.
      const transfers = await pair.suffers(
        () => Promise.resolve(proxy.swallow('rialto queue')),
        () => Promise.resolve(proxy.carry()),
      );
      await areDoneOnce(pool, transfers);
      expect(await longestWaitMs(pool)).toBeLessThan(longestStallMs);
      proxy.swallow('rialto queue');
      await pair.saysThatItIsNotTold();
      await pair.stop();
      await proxy.close();
    });
  });

  describeWithRedis('with their queues on Redis', () => {
    // In a group of its own, for its worker to be gone after it: one that sweeps just before another lets it find nothing late.
    describe('that is there', () => {
      let redis: RedisServer;
      let pair: Pair;

      beforeAll(async () => {
        redis = await RedisServer.start();
        pair = await Pair.start(postgres.url, 'redis', { REDIS_URL: redis.url });
      });

      afterAll(async () => {
        await pair?.stop();
        await redis?.stop();
      });

      test('need no sweep for the work to be done', () => needNoSweep(pool, postgres.url, 'told-by-redis', { REDIS_URL: redis.url }));

      test.each<[string, () => Promise<unknown>, () => Promise<unknown>, number]>([
        ['is erased', () => redis.command('FLUSHALL'), () => redis.command('FLUSHALL'), longerThanAnAnswerMs],
        ['is killed and comes back', () => redis.kill(), () => redis.start(), longerThanAnAnswerMs],
        ['is frozen for a minute', async () => redis.freeze(), async () => redis.thaw(), longerThanAnyLimitMs],
        ['can only be read', () => redis.command('REPLICAOF', '127.0.0.1', 1), () => redis.command('REPLICAOF', 'NO', 'ONE'), longerThanAnAnswerMs],
        ['is full', () => redis.command('CONFIG', 'SET', 'maxmemory', 1), () => redis.command('CONFIG', 'SET', 'maxmemory', 0), longerThanAnAnswerMs],
      ])('lose, repeat and delay nothing while it %s', async (_, harm, heal, forMs) => {
        await areDoneOnce(pool, await pair.suffers(harm, heal, forMs));
        expect(await longestWaitMs(pool)).toBeLessThan(longestStallMs);
        const state = async () => (await pair.http.get('/metrics')).text;
        await eventually(state, (text) => /rialto_queue_connected 1/.test(text));
      });

      test('do not wait for it: direct commands are answered while it is frozen', async () => {
        await eventually(async () => (await pair.http.get('/metrics')).text, (text) => /rialto_queue_connected 1/.test(text));
        redis.freeze();
        for (let i = 0; i < 20; i++) {
          const began = performance.now();
          expect((await pair.ledger.transfer('world', 'alice', 1)).status).toBe(201);
          expect(performance.now() - began).toBeLessThan(3_000);
        }
        redis.thaw();
      });
    });

    test('work without it from the start, and are told of things when it comes', async () => {
      const later = await RedisServer.create();
      const early = await Pair.start(postgres.url, 'early', { REDIS_URL: later.url });
      await early.saysThatItIsNotTold();
      await areDoneOnce(pool, await early.suffers(() => Promise.resolve(), () => later.start()));
      expect(await longestWaitMs(pool)).toBeLessThan(longestStallMs);
      for (const server of [early.front, early.worker]) {
        const http = new HttpClient(server);
        await eventually(async () => (await http.get('/metrics')).text, (text) => /rialto_queue_connected 1/.test(text));
        http.close();
      }
      await early.stop();
      await later.stop();
    });

    test('do not start on one that evicts, and say so in one line', async () => {
      const evicting = await RedisServer.start({ 'maxmemory-policy': 'volatile-lru' });
      const server = await rialto(postgres.url, { REDIS_URL: evicting.url });
      await expect(server.start()).rejects.toThrow(
        /Rialto can not start: REDIS_URL: got a Redis whose maxmemory-policy is volatile-lru; queues need noeviction/,
      );
      await evicting.stop();
    });
  });
});
