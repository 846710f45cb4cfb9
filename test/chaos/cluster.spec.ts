import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { RialtoServer, rialto } from '../support/server.js';
import { Load, nothing } from './load.js';

const cluster = { CLUSTER_WORKERS: '2', DATABASE_POOL_SIZE: '4' };

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('Processes that share a port', () => {
  let postgres: PostgresServer;
  let pool: pg.Pool;
  let server: RialtoServer;
  let http: HttpClient;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    pool = createTestPool(postgres.url);
    server = await rialto(postgres.url, cluster);
  });

  beforeEach(async () => {
    await server.start();
    http = new HttpClient(server);
  });

  afterEach(async () => {
    http.close();
    await server.kill();
  });

  afterAll(async () => {
    await pool?.end();
    await postgres?.stop();
  });

  /** Asked for until it comes: when the primary is late with what all have counted, the answer is an error. */
  const metricsText = () =>
    untilPasses(async () => {
      const { status, text } = await http.get('/metrics');
      expect(status).toBe(200);
      return text;
    });
  /** A metric's value, summed over those of its labels that have all of these words. */
  const metric = async (name: string, ...words: string[]): Promise<number> => {
    const text = await metricsText();
    const lines = text.split('\n').filter((line) => line.startsWith(name) && words.every((word) => line.includes(word)));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const reads = () => metric('rialto_http_request_seconds_count', 'route="/v1/ledgers/:ledger/accounts/:accountId"', 'status="200"');

  test('each take requests, and whichever is asked has the metrics of all', async () => {
    expect(await server.childPids()).toHaveLength(2);
    const ledger = new LedgerClient(http, 'shared');
    const { headers } = await ledger.openSource('world');
    const token = { 'consistency-token': String(headers['consistency-token']) };
    // Each on a connection of its own, which Node gives to the processes in turn.
    const answers = await Promise.all(Array.from({ length: 60 }, () => ledger.account('world', '', token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    await untilPasses(async () => expect(await reads()).toBe(60));
    for (let again = 0; again < 4; again++) expect(await reads()).toBe(60);
    // On all the connections: the twenty that were used last may be of one process.
    await Promise.all(Array.from({ length: 60 }, (_, n) => ledger.openAccount(`account-${n}`)));
    const { rows } = await pool.query(`SELECT 1 FROM pg_stat_activity WHERE application_name = 'rialto writer'`);
    expect(rows).toHaveLength(2);
    // For a process that is late with its answer stands what it said before.
    await untilPasses(async () => expect(await metric('rialto_writer_appended_events_total')).toBe(61));
    expect(await metric('rialto_cluster_processes')).toBe(2);
    // What all read from the database is not there twice.
    await untilPasses(async () => expect(await metric('rialto_consumer_lag_events')).toBe(0));
    // As labels: the digits of a pid may well be in some value.
    expect(await metricsText()).not.toMatch(new RegExp(`"(${(await server.childPids()).join('|')})"`));
  });

  test('are replaced when they are killed under load; no write is lost, and what they had counted stays counted', async () => {
    const load = new Load([server], ['killed-a', 'killed-b']);
    await load.openAccounts();
    load.begin();
    const statuses = new Set<number>();
    let isOver = false;
    const reader = (async () => {
      // A connection that ends with its process is no answer.
      while (!isOver) await http.get('/v1/products').then(({ status }) => statuses.add(status), () => sleep(1));
    })();
    for (let kill = 0; kill < 3; kill++) {
      await load.progress(100);
      const counted = await untilPasses(() => metric('rialto_http_request_seconds_count'));
      const pids = await server.childPids();
      process.kill(pids[kill % pids.length]!, 'SIGKILL');
      await untilPasses(async () => {
        const now = await server.childPids();
        expect(now).toHaveLength(2);
        expect(now).not.toEqual(pids);
      });
      // A connection to the one that is gone may have been kept.
      const after = await untilPasses(() => metric('rialto_http_request_seconds_count'));
      expect(after).toBeGreaterThanOrEqual(counted);
    }
    await load.progress(100);
    isOver = true;
    await reader;
    // One that starts anew takes no request before it is ready.
    expect([...statuses]).toEqual([200]);
    await load.end();
    await load.askAgain();
    load.close();
    expect(await load.wrongs(pool)).toEqual(nothing);
    await untilPasses(async () => expect(await metric('rialto_cluster_replaced_total')).toBe(3));
  });

  test('leave no connection open that was handed to one of them as it was killed', async () => {
    const pids = await server.childPids();
    // Both are handed connections that they can not take any more.
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const client = new HttpClient(server);
    const answers = Array.from({ length: 8 }, () => client.get('/health/live').then(({ status }) => status, (error: Error) => error.message));
    await sleep(200);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    const outcomes = await Promise.all(answers);
    client.close();
    // A connection that Node itself takes back from a child goes to the next one.
    for (const outcome of outcomes) expect([200, 'socket hang up', 'read ECONNRESET']).toContain(outcome);
    expect(outcomes).toContainEqual(expect.any(String));
    await untilPasses(async () => expect(await server.childPids()).toHaveLength(2));
  });

  test('are replaced after longer and longer pauses when they keep ending', async () => {
    for (let end = 1; end <= 4; end++) {
      const [first] = await server.childPids();
      process.kill(first!, 'SIGKILL');
      await untilPasses(async () => {
        const pids = await server.childPids();
        expect(pids).toHaveLength(2);
        expect(pids).not.toContain(first);
      });
    }
    const pauses = [...server.log.matchAll(/"pauseMs":(\d+),"msg":"a process ended unasked/g)].map(([, ms]) => Number(ms)).slice(-4);
    // It is always the older one that is ended, of one place and of the other in turn.
    expect(pauses).toEqual([0, 0, 400, 400]);
  });

  test('stop all, having answered what was under way', async () => {
    const load = new Load([server], ['stopped']);
    await load.openAccounts();
    load.begin();
    await load.progress(200);
    const pids = await server.childPids();
    expect(await server.stop()).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    await server.start();
    await load.end();
    await load.askAgain();
    load.close();
    expect(await load.wrongs(pool)).toEqual(nothing);
  });

  test('do not outlive the process that started them', async () => {
    const pids = await server.childPids();
    await server.kill();
    await untilPasses(async () => expect(pids.filter(isAlive)).toEqual([]));
  });

  test('do not start on a port that is taken, and say so', async () => {
    const second = new RialtoServer(Number(new URL(server.url).port), { DATABASE_URL: postgres.url, ...cluster });
    second.launch();
    expect(await second.exit()).toBe(1);
    expect(second.log).toContain('EADDRINUSE');
    expect(second.log).toContain('Rialto can not start: one of its processes ended with code 1, having said why\n');
  });

  test('do not start when the database has not the connections for them, and say what they need', async () => {
    const greedy = await rialto(postgres.url, { CLUSTER_WORKERS: '3', DATABASE_POOL_SIZE: '40' });
    greedy.launch();
    expect(await greedy.exit()).toBe(1);
    expect(greedy.log).toContain(
      'Rialto can not start: the processes of this machine need up to 162 connections, and the PostgreSQL server grants 97: ' +
        'lower DATABASE_POOL_SIZE, WRITER_LANES or CLUSTER_WORKERS, or raise max_connections (or the limit of the user or database).\n',
    );
  });
});

describe('Processes that share a port, before the database is there,', () => {
  test('answer health, and are ready when it comes', async () => {
    const postgres = await startPostgresServer();
    await postgres.crash();
    const server = await rialto(postgres.url, cluster);
    const http = new HttpClient(server);
    try {
      server.launch();
      const ready = async () => (await http.get('/health/ready')).status;
      await untilPasses(async () => expect(await ready()).toBe(503));
      expect((await http.get('/v1/products')).body.code).toBe('starting');
      await postgres.start();
      await server.saysReady();
      expect(await ready()).toBe(200);
      expect(await server.stop()).toBe(0);
    } finally {
      http.close();
      await server.kill();
      await postgres.stop();
    }
  });
});
