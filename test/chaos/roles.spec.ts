import { after, HttpClient, LedgerClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { Shop } from '../support/shop.js';

describe('A process that writes and one that reads, on one database', () => {
  let database: TestDatabase;
  let servers: RialtoServer[];
  let writing: HttpClient;
  let reading: HttpClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    servers = await Promise.all(['command', 'query'].map((ROLE) => startRialto(database.url, { ROLE })));
    [writing, reading] = servers.map((server) => new HttpClient(server)) as [HttpClient, HttpClient];
  });

  afterAll(async () => {
    for (const http of [writing, reading]) http?.close();
    await Promise.all((servers ?? []).map((server) => server.kill()));
    await database?.drop();
  });

  test('are one system: whoever reads with the token of a write sees it', async () => {
    const ledger = new LedgerClient(writing, 'split');
    const read = new LedgerClient(reading, 'split');
    await ledger.openSource('world');
    await ledger.openAccount('ann');
    for (let total = 1; total <= 20; total++) {
      const moved = await ledger.transfer('world', 'ann', '1');
      expect(moved.status).toBe(201);
      expect((await read.account('ann', '', after(moved))).body.balance).toBe(String(total));
    }
  });

  test('check an order out: the process that writes runs its sagas, and hears of the verdict', async () => {
    const shop = await new Shop(writing, 'split-shop').open();
    await shop.sells('cup', 5, '1000');
    await shop.customer('bob');
    const bought = await shop.buy([{ sku: 'cup', quantity: 2 }], { account: 'bob' });
    expect([bought.status, bought.body.status]).toEqual([201, 'confirmed']);
    const path = `/v1/orders/${bought.body.orderId}`;
    expect((await reading.get(path, after(bought))).body.status).toBe('confirmed');
    await untilPasses(async () => expect((await reading.get('/v1/stock/cup')).body.available).toBe(3));
  });

  test('each says of what it does not serve who does', async () => {
    const read = await writing.get('/v1/ledgers/split/accounts/ann');
    const write = await reading.post('/v1/ledgers/split/accounts', { accountId: 'x', currency: 'EUR' });
    expect([read, write].map(({ status, body }) => [status, body.code, body.detail])).toEqual([
      [404, 'not-served-here', 'GET /v1/ledgers/split/accounts/ann is served by processes with ROLE=query or all that serve HTTP'],
      [404, 'not-served-here', 'POST /v1/ledgers/split/accounts is served by processes with ROLE=command or all that serve HTTP'],
    ]);
    const accepted = await new LedgerClient(writing, 'split').transfer('world', 'ann', '1', { headers: { prefer: 'respond-async' } });
    expect(accepted.status).toBe(202);
    const location = accepted.headers.location!;
    await untilPasses(async () => expect((await writing.get(location)).body.status).toBe('executed'));
    expect((await reading.get(location)).body.code).toBe('not-served-here');
  });

  test('hold only the connections of their role', async () => {
    const { rows } = await database.pool.query<{ name: string; count: number }>(
      `SELECT application_name AS name, count(DISTINCT client_port)::int AS count FROM pg_stat_activity
       WHERE datname = $1 AND application_name IN ('rialto writer', 'rialto sagas', 'rialto projections') GROUP BY 1 ORDER BY 1`,
      [database.name],
    );
    expect(rows).toEqual(['rialto projections', 'rialto sagas', 'rialto writer'].map((name) => ({ name, count: 1 })));
  });

  test('are ready and stop cleanly, and a pure worker does the work of a front end', async () => {
    expect((await Promise.all([writing, reading].map((http) => http.get('/health/ready')))).map(({ status }) => status)).toEqual([200, 200]);
    expect(await Promise.all(servers.map((server) => server.stop()))).toEqual([0, 0]);
    const front = await startRialto(database.url, { RUN_WORKERS: 'false' });
    const worker = await startRialto(database.url, { SERVE_HTTP: 'false' });
    const [http, work] = [new HttpClient(front), new HttpClient(worker)];
    try {
      const ledger = new LedgerClient(http, 'split');
      const moved = await ledger.transfer('world', 'ann', '5');
      expect((await ledger.account('ann', '', after(moved))).body.balance).toBe('26');
      expect((await work.get('/health/ready')).status).toBe(200);
      expect((await work.get('/metrics')).text).toContain('rialto_consumer_lag_events');
      expect((await work.get('/v1/ledgers/split/accounts/ann')).body.code).toBe('not-served-here');
      expect((await work.get('/docs')).status).toBe(404);
    } finally {
      for (const client of [http, work]) client.close();
      expect(await Promise.all([front, worker].map((server) => server.stop()))).toEqual([0, 0]);
    }
  });
});
