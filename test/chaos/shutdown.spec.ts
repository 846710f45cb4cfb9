import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { after, HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { type RialtoServer, rialto } from '../support/server.js';
import { Shop } from '../support/shop.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { Load, nothing } from './load.js';

describe('Asked to stop', () => {
  let postgres: PostgresServer;
  let proxy: TcpProxy;
  let pool: pg.Pool;
  let server: RialtoServer;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    proxy = await TcpProxy.to(postgres.url);
    pool = createTestPool(postgres.url);
    server = await rialto(proxy.urlOf(postgres.url));
  });

  beforeEach(() => server.start());

  afterEach(async () => {
    proxy.delayMs = 0;
    await server.kill();
  });

  afterAll(async () => {
    await proxy?.close();
    await pool?.end();
    await postgres?.stop();
  });

  test('under load, a process answers what it has taken, and ends well', async () => {
    const load = new Load([server]);
    await load.openAccounts();
    load.begin();
    for (let stop = 0; stop < 3; stop++) {
      await load.progress(200);
      expect(await server.stop()).toBe(0);
      await server.start();
    }
    await load.end();
    await load.askAgain();
    load.close();
    expect(await load.wrongs(pool)).toEqual(nothing);
  });

  test('a process answers the requests that are under way, and does not wait for clients that keep their connection', async () => {
    // Without workers, whose work would be waited for first, it closes while the answers are still to come.
    const front = await rialto(proxy.urlOf(postgres.url), { RUN_WORKERS: 'false' });
    await front.start();
    const ledger = new LedgerClient(new HttpClient(front), 'slow');
    await ledger.openSource('world');
    await ledger.openAccount('alice');
    // On connections that are there: what is still to be accepted when it stops listening is reset, and tried elsewhere.
    const five = <T>(request: () => Promise<T>) => Promise.all(Array.from({ length: 5 }, request));
    await five(() => ledger.http.get('/health/live'));
    proxy.delayMs = 1_000;
    const underWay = five(() => ledger.transfer('world', 'alice', '1'));
    await sleep(500);
    const stopped = front.stop();
    const answers = await underWay;
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(await stopped).toBe(0);
    expect(front.log).not.toContain('could not stop in time');
    ledger.http.close();
  });

  test('a process says that it is not ready, and still answers everybody until the load balancer has noticed', async () => {
    const drained = await rialto(postgres.url, { SHUTDOWN_DRAIN_MS: '10000' });
    await drained.start();
    const http = new HttpClient(drained);
    const ledger = new LedgerClient(http, 'drained');
    await ledger.openSource('world');
    const stopped = drained.stop();
    const ready = await eventually(() => http.get('/health/ready'), ({ status }) => status === 503);
    expect(ready.body.details.process).toEqual({ status: 'down', phase: 'stopping' });
    const [write, live] = [await ledger.openAccount('late'), await http.get('/health/live')];
    expect([write.status, live.status, write.headers.connection]).toEqual([201, 200, 'close']);
    // Also what is worked off: the account is in a view, and the accepted command is run.
    expect((await ledger.account('late', '', after(write))).status).toBe(200);
    const accepted = await ledger.openAccount('later', {}, { prefer: 'respond-async' });
    await eventually(() => http.get(accepted.headers.location!), ({ body }) => body.status === 'executed');
    expect(await stopped).toBe(0);
    http.close();
  });

  test('a process does not wait for what becomes of an order: it says that it was accepted', async () => {
    const shop = await new Shop(new HttpClient(server), 'stopped-shop').open();
    await shop.sells('cup', 10, '1000');
    await shop.customer('ann');
    expect((await shop.buy([{ sku: 'cup', quantity: 1 }], { account: 'ann', orderId: 'waits' })).status).toBe(201);
    // Nobody ships: the other one is gone, and this one has no workers.
    await server.stop();
    const front = await rialto(postgres.url, { RUN_WORKERS: 'false' });
    await front.start();
    const http = new HttpClient(front);
    const waiting = http.post('/v1/orders/waits/fulfil', undefined, { prefer: 'wait=30' });
    await eventually(
      async () => (await pool.query(`SELECT 1 FROM events WHERE stream = 'order/waits' AND type = 'ordering.fulfilment-started.v1'`)).rowCount,
      (rows) => rows === 1,
    );
    expect(await front.stop()).toBe(0);
    const { status, headers, body } = await waiting;
    expect([status, headers.location, body.status]).toEqual([202, '/v1/orders/waits', 'confirmed']);
    for (const client of [http, shop.http]) client.close();
  });

  test('a second time, a process ends at once', async () => {
    const hurried = await rialto(postgres.url, { SHUTDOWN_DRAIN_MS: '60000' });
    await hurried.start();
    const http = new HttpClient(hurried);
    hurried.signal('SIGTERM');
    await eventually(() => http.get('/health/ready'), ({ status }) => status === 503);
    hurried.signal('SIGTERM');
    expect(await hurried.exit()).toBe(1);
    expect(hurried.log).toContain('told to stop a second time');
    http.close();
  });

  test('a process does not wait for ever for a request that never ends', async () => {
    const agent = new Agent({ keepAlive: true });
    const endless = request(`${server.url}/v1/ledgers/main/accounts`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } });
    endless.on('error', () => undefined);
    endless.write('{"accountId":');
    await once(endless, 'socket');
    await sleep(100);
    await server.kill();
    const impatient = await rialto(postgres.url, { SHUTDOWN_TIMEOUT_MS: '500' });
    await impatient.start();
    const stuck = request(`${impatient.url}/v1/ledgers/main/accounts`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } });
    stuck.on('error', () => undefined);
    stuck.write('{"accountId":');
    await sleep(200);
    expect(await impatient.stop()).toBe(1);
    expect(impatient.log).toContain('could not stop in time');
    agent.destroy();
  });
});
