import type pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { Load, nothing, scale } from './load.js';
import { readLog } from './log-contents.js';

const seconds = Math.round(20 * scale);

jest.setTimeout(120_000 + 3_000 * seconds);

describe('Several processes on one database', () => {
  let postgres: PostgresServer;
  let servers: RialtoServer[];
  let pool: pg.Pool;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    // At once, on an empty database: one migrates it, the other waits.
    servers = await Promise.all([startRialto(postgres.url), startRialto(postgres.url)]);
    pool = createTestPool(postgres.url);
  });

  afterAll(async () => {
    await Promise.all((servers ?? []).map((server) => server.kill()));
    await pool?.end();
    await postgres?.stop();
  });

  test('write the same partitions without a gap, a lost update, a failure, or a key that takes effect twice', async () => {
    const load = new Load(servers);
    await load.openAccounts();
    load.begin();
    await sleep((seconds / 2) * 1_000);
    servers.push(await startRialto(postgres.url, { WRITER_LANES: '16' }));
    const third = new Load(servers);
    third.begin(6);
    await sleep((seconds / 2) * 1_000);
    await Promise.all([load.end(), third.end()]);
    await Promise.all([load.askAgain(), third.askAgain()]);

    expect(await load.wrongs(pool)).toEqual(nothing);
    expect(await third.wrongs(pool)).toEqual(nothing);
    const fates = new Set([...load.operations, ...third.operations].flatMap(({ attempts }) => attempts.map(({ fate }) => fate)));
    expect([...fates].sort()).toEqual(['acknowledged', 'refused']);
    load.close();
    third.close();
  });

  test('do once what all of them are asked with one key at the same time', async () => {
    const clients = servers.map((server) => new LedgerClient(new HttpClient(server), 'everywhere'));
    await clients[0]!.openSource('world');
    await clients[0]!.openAccount('shop');
    for (let round = 0; round < 20; round++) {
      const reference = `round-${round}`;
      const headers = { 'idempotency-key': reference };
      const answers = await Promise.all(
        [...clients, ...clients].map((client) => client.transfer('world', 'shop', '5', { reference, headers })),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(answers.filter(({ headers }) => headers['idempotency-replayed'] !== 'true')).toHaveLength(1);
    }
    const { events } = await readLog(pool);
    const references = events.filter(({ data }) => data.ledger === 'everywhere' && data.reference).map(({ data }) => data.reference);
    expect(references).toEqual(Array.from({ length: 20 }, (_, round) => `round-${round}`));
    for (const client of clients) client.http.close();
  });

  test('run a command that was accepted by one of them once', async () => {
    const clients = servers.map((server) => new LedgerClient(new HttpClient(server), 'later'));
    await clients[0]!.openSource('world');
    await clients[0]!.openAccount('shop');
    const accepted = await Promise.all(
      Array.from({ length: 200 }, (_, index) => {
        const headers = { prefer: 'respond-async', 'idempotency-key': `accepted-${index >> 1}` };
        return clients[index % clients.length]!.transfer('world', 'shop', '1', { headers });
      }),
    );
    expect(new Set(accepted.map(({ status }) => status))).toEqual(new Set([202]));
    const ids = [...new Set(accepted.map(({ body }) => body.commandId as string))];
    expect(ids).toHaveLength(100);
    for (const id of ids) {
      let command = await clients[0]!.http.get(`/v1/commands/${id}`);
      while (command.body.status === 'accepted') {
        await sleep(20);
        command = await clients[0]!.http.get(`/v1/commands/${id}`);
      }
      expect(command.body).toMatchObject({ status: 'executed', result: { status: 'posted' } });
    }
    const posted = (await readLog(pool)).events.filter(({ type, data }) => data.ledger === 'later' && type.includes('posted'));
    expect(posted).toHaveLength(100);
    expect(posted.at(-1)!.data.postings[0].destinationBalance).toBe('100');
    for (const client of clients) client.http.close();
  });
});
