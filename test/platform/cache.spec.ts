import { request as send, Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { after, CatalogClient, HttpClient, LedgerClient, StockClient, type Answer } from '../support/client.js';
import { eventually, untilPasses } from '../support/eventually.js';
import { describeWithMemcached, MemcachedServer } from '../support/memcached-server.js';
import { describeWithRedis, RedisCluster, RedisServer } from '../support/redis-server.js';
import { startRialto, type RialtoServer } from '../support/server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

let database: TestDatabase;
let servers: RialtoServer[];
let clients: HttpClient[];

beforeEach(async () => {
  database = await createTestDatabase();
  servers = [];
  clients = [];
});

afterEach(async () => {
  clients.forEach((client) => client.close());
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

async function start(env: Record<string, string> = {}, databaseUrl = database.url) {
  const server = await startRialto(databaseUrl, env);
  servers.push(server);
  const http = new HttpClient(server);
  clients.push(http);
  return { server, http, bank: new LedgerClient(http, 'main') };
}

type Node = Awaited<ReturnType<typeof start>>;

/** A counter of the metrics page, summed over its other labels. */
async function metric(http: HttpClient, name: string, label = ''): Promise<number> {
  const lines = (await http.get('/metrics')).text.split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line) && line.includes(label));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
const readsFrom = (http: HttpClient, tier: string) => metric(http, 'rialto_cache_reads_total', `tier="${tier}"`);

async function openFunded(bank: LedgerClient): Promise<Answer> {
  await bank.openSource('world');
  await bank.openAccount('alice');
  return bank.transfer('world', 'alice', 100);
}

/** What differs between two answers to the same request at different times. */
function said({ status, headers, text }: Answer) {
  const { date: _date, 'request-id': _id, ...rest } = headers;
  return { status, headers: rest, text };
}

/** The statuses of as many reads at once, each on a connection of its own. */
async function byFiveHundred(server: RialtoServer, path: string): Promise<Set<number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 500 });
  const { port } = new URL(server.url);
  const read = () =>
    new Promise<number>((resolve, reject) => {
      const outgoing = send({ port, host: '127.0.0.1', path, agent }, (incoming) => {
        incoming.resume().on('end', () => resolve(incoming.statusCode!));
      });
      outgoing.on('error', reject).end();
    });
  const statuses = await Promise.all(Array.from({ length: 500 }, read));
  agent.destroy();
  return new Set(statuses);
}

describe('a read of a single resource', () => {
  test('is answered from memory as it was from the database: status, headers and body', async () => {
    const { http, bank } = await start();
    const catalog = new CatalogClient(http);
    const stock = new StockClient(http, 'mug');
    const token = after(
      await openFunded(bank),
      await bank.transfer('world', 'alice', 5, { transactionId: 't1' }),
      await catalog.create({ productId: 'p1', name: 'Tasse, weiß – groß', variants: [{ sku: 'mug', price: { amount: '950', currency: 'EUR' } }] }),
      await stock.receive(7),
      await stock.reserve(2, { reservationId: 'r1' }),
    );
    const paths = [bank.path('accounts/alice'), bank.path('transactions/t1'), '/v1/products/p1', '/v1/skus/mug', '/v1/stock/mug', '/v1/stock/mug/reservations/r1'];
    for (const path of paths) {
      const first = await http.get(path, token);
      const { etag } = first.headers;
      const before = await readsFrom(http, 'memory');
      const cached = await http.get(path, token);
      expect(said(cached)).toEqual(said(first));
      expect(said(await http.get(path))).toEqual(said(first));
      expect(cached.headers['consistency-token']).toMatch(/^\d+@\d+(,\d+@\d+)*$/);
      expect(await readsFrom(http, 'memory')).toBe(before + 2);

      // The long way round, for the same: Fastify's and Nest's.
      const long = (method: string, headers = {}) => http.request(method, path, { headers: { 'content-encoding': 'identity', ...headers } });
      expect(said(await long('GET'))).toEqual(said(first));
      expect(said(await http.request('HEAD', path))).toEqual(said(await long('HEAD')));
      for (const ifNoneMatch of [etag!, `W/${etag}`, '*', `"x", ${etag}`, '"x"']) {
        const given = { 'if-none-match': ifNoneMatch };
        const short = await http.get(path, given);
        expect(said(short)).toEqual(said(await long('GET', given)));
        expect(short.status).toBe(ifNoneMatch === '"x"' ? 200 : 304);
      }
      expect((await http.get(path, { 'request-id': 'mine' })).headers['request-id']).toBe('mine');
      expect((await http.get(path, { 'consistency-token': 'soon' })).body).toMatchObject({ code: 'bad-consistency-token' });
      expect((await http.get(path, { 'content-encoding': 'gzip' })).status).toBe(415);
    }
    const log = await metric(http, 'rialto_http_request_seconds_count', 'route="/v1/ledgers/:ledger/accounts/:accountId"');
    expect(log).toBeGreaterThan(10);
  });

  test('shows what was written the moment its token does, however it was cached', async () => {
    const { bank, http } = await start();
    await openFunded(bank);
    for (let n = 1; n <= 30; n++) {
      const write = await bank.transfer('world', 'alice', 1);
      expect((await bank.account('alice', '', after(write))).body.balance).toBe(String(100 + n));
      expect((await bank.account('alice')).body.balance).toBe(String(100 + n));
    }
    expect(await readsFrom(http, 'memory')).toBeGreaterThan(0);
  });

  test('keeps nothing of what is not there, and finds it once it is', async () => {
    const { bank } = await start();
    await bank.openSource('world');
    for (let n = 0; n < 3; n++) expect((await bank.account('alice')).status).toBe(404);
    const opened = await bank.openAccount('alice');
    expect((await bank.account('alice', '', after(opened))).status).toBe(200);
  });

  test('counts an expired reservation no longer than until it expires, though no event says so', async () => {
    const { http } = await start({ RUN_WORKERS: 'true' });
    const stock = new StockClient(http, 'mug');
    await stock.receive(5);
    const reserved = await stock.reserve(3, { reservationId: 'r1', expiresInSeconds: 5 });
    expect((await stock.stock(after(reserved))).body).toMatchObject({ reserved: 3, available: 2 });
    expect((await stock.reservation('r1', after(reserved))).body.status).toBe('reserved');
    await eventually(() => stock.stock(), ({ body }) => body.available === 5);
    expect((await stock.reservation('r1')).body.status).toBe('expired');
  });

  test('of a SKU follows its price, its product and its stock', async () => {
    const { http } = await start();
    const catalog = new CatalogClient(http);
    const price = { amount: '950', currency: 'EUR' };
    const sku = async (write: Answer) => (await catalog.sku('mug', after(write))).body;
    expect(await sku(await catalog.create({ productId: 'p1', name: 'Mug', variants: [{ sku: 'mug', price }] }))).toMatchObject({ available: 0 });
    expect(await sku(await catalog.change('p1', { name: 'Cup' }))).toMatchObject({ productName: 'Cup' });
    expect(await sku(await catalog.putVariant('p1', 'mug', { price: { ...price, amount: '990' } }))).toMatchObject({ price: { amount: '990' } });
    expect(await sku(await new StockClient(http, 'mug').receive(4))).toMatchObject({ available: 4, productName: 'Cup' });
    expect(await sku(await catalog.archive('p1'))).toMatchObject({ status: 'archived' });
  });

  test('by five hundred at once is one load', async () => {
    const { server, bank, http } = await start();
    const write = await openFunded(bank);
    await bank.transaction('nobody', after(write));
    const loads = () => metric(http, 'rialto_cache_reads_total', 'view="ledger-accounts",tier="database"');
    const before = await loads();
    expect(await byFiveHundred(server, bank.path('accounts/alice'))).toEqual(new Set([200]));
    expect(await loads()).toBe(before + 1);
  });
});

describe('two nodes', () => {
  /** Writes on one, and waits until the other shows it without a token: so its memory was told. */
  async function expectToHear(writer: LedgerClient, reader: LedgerClient, reads = 5) {
    for (let n = 0; n < reads; n++) {
      const held = (await reader.account('alice')).body.balance;
      expect((await reader.account('alice')).body.balance).toBe(held);
      const write = await writer.transfer('world', 'alice', 1);
      const wanted = String(Number(held) + 1);
      await eventually(() => reader.account('alice'), ({ body }) => body.balance === wanted);
      expect((await reader.account('alice', '', after(write))).body.balance).toBe(wanted);
    }
  }

  /** Reads on one what the other then has from what they share, and not from the database. */
  async function expectToShare(one: Node, other: Node) {
    const before = await readsFrom(other.http, 'shared');
    await eventually(
      async () => {
        const moved = await one.bank.transfer('world', 'alice', 1);
        const read = await one.bank.account('alice', '', after(moved));
        expect((await other.bank.account('alice', '', after(moved))).body.balance).toBe(read.body.balance);
        return readsFrom(other.http, 'shared');
      },
      (shared) => shared > before,
    );
  }

  /** Not by looking at the database, which clears the memory, as one does that does not listen yet. */
  const expectToBeTold = (one: Node, other: Node) =>
    untilPasses(async () => {
      const [clears, told] = [await metric(other.http, 'rialto_cache_clears_total'), await metric(other.http, 'rialto_cache_invalidations_total')];
      await expectToHear(one.bank, other.bank);
      expect(await metric(other.http, 'rialto_cache_invalidations_total')).toBeGreaterThan(told);
      expect(await metric(other.http, 'rialto_cache_clears_total')).toBe(clears);
    });

  test('hear of each other\'s changes by LISTEN', async () => {
    const [one, other] = [await start(), await start({ RUN_WORKERS: 'false' })];
    const write = await openFunded(one.bank);
    await other.bank.account('alice', '', after(write));
    await expectToBeTold(one, other);
    expect(await readsFrom(other.http, 'memory')).toBeGreaterThan(0);
  });

  test('load an answer whose time is over once each, though five hundred clients ask each of them for it', async () => {
    const ttlMs = 8_000;
    const nodes = [await start({ CACHE_TTL_MS: String(ttlMs) }), await start({ CACHE_TTL_MS: String(ttlMs), RUN_WORKERS: 'false' })];
    const write = await openFunded(nodes[0]!.bank);
    for (const { bank } of nodes) await bank.account('alice', '', after(write));
    const loads = () => Promise.all(nodes.map(({ http }) => metric(http, 'rialto_cache_reads_total', 'view="ledger-accounts",tier="database"')));
    // All of it is current: it is time alone that ends it.
    await eventually(async () => {
      const held = await Promise.all(nodes.map(({ http }) => readsFrom(http, 'memory')));
      for (const { bank } of nodes) await bank.account('alice');
      const now = await Promise.all(nodes.map(({ http }) => readsFrom(http, 'memory')));
      return now.every((count, index) => count === held[index]! + 1);
    }, Boolean);
    await sleep(1.1 * ttlMs + 100);
    const before = await loads();
    const path = nodes[0]!.bank.path('accounts/alice');
    const statuses = await Promise.all(nodes.map(({ server }) => byFiveHundred(server, path)));
    expect(statuses).toEqual(nodes.map(() => new Set([200])));
    expect(await loads()).toEqual(before.map((count) => count + 1));
  });

  test('find out what they were not told when the connection that tells was cut', async () => {
    const proxy = await TcpProxy.to(database.url);
    try {
      const one = await start();
      const other = await start({ RUN_WORKERS: 'false' }, proxy.urlOf(database.url));
      const write = await openFunded(one.bank);
      await other.bank.account('alice', '', after(write));
      for (let n = 0; n < 3; n++) {
        const held = Number((await other.bank.account('alice')).body.balance);
        proxy.cutAll();
        await one.bank.transfer('world', 'alice', 1);
        await eventually(() => other.bank.account('alice'), ({ status, body }) => status === 200 && body.balance === String(held + 1));
      }
    } finally {
      await proxy.close();
    }
  });

  describeWithRedis('with a Redis', () => {
    test('hear of each other by Redis, share what they have read, and do without when it freezes or dies', async () => {
      const redis = await RedisServer.start();
      try {
        const env = { REDIS_URL: redis.url };
        const [one, other] = [await start(env), await start({ ...env, RUN_WORKERS: 'false' })];
        const write = await openFunded(one.bank);
        await other.bank.account('alice', '', after(write));
        await expectToHear(one.bank, other.bank);
        await expectToShare(one, other);
        redis.freeze();
        await expectToHear(one.bank, other.bank, 2);
        redis.thaw();
        await expectToHear(one.bank, other.bank, 2);
        await redis.kill();
        await expectToHear(one.bank, other.bank, 2);
        await redis.start();
        await expectToHear(one.bank, other.bank, 2);
      } finally {
        await redis.stop();
      }
    });

    test('hear of each other and share what they have read through a Redis Cluster', async () => {
      const cluster = await RedisCluster.start();
      try {
        const env = { REDIS_URL: cluster.urls.join(',') };
        const [one, other] = [await start(env), await start({ ...env, RUN_WORKERS: 'false' })];
        const write = await openFunded(one.bank);
        await other.bank.account('alice', '', after(write));
        await expectToShare(one, other);
        await expectToBeTold(one, other);
      } finally {
        await cluster.stop();
      }
    });

    test('of two databases that share a Redis know nothing of each other', async () => {
      const redis = await RedisServer.start();
      const second = await createTestDatabase();
      try {
        const env = { REDIS_URL: redis.url };
        const here = await start(env);
        const there = await start(env, second.url);
        const mine = await openFunded(here.bank);
        await there.bank.openSource('world');
        await there.bank.openAccount('alice');
        const theirs = await there.bank.transfer('world', 'alice', 7);
        for (let n = 0; n < 3; n++) {
          expect((await here.bank.account('alice', '', after(mine))).body.balance).toBe('100');
          expect((await there.bank.account('alice', '', after(theirs))).body.balance).toBe('7');
        }
      } finally {
        await Promise.all(servers.splice(0).map((server) => server.stop()));
        await second.drop();
        await redis.stop();
      }
    });
  });

  describeWithMemcached('with a memcached', () => {
    test('share what they have read through memcached', async () => {
      const memcached = await MemcachedServer.start();
      try {
        const env = { CACHE_URL: memcached.url };
        const [one, other] = [await start(env), await start({ ...env, RUN_WORKERS: 'false' })];
        await openFunded(one.bank);
        await expectToShare(one, other);
        memcached.freeze();
        await expectToHear(one.bank, other.bank, 2);
        await memcached.kill();
        await expectToHear(one.bank, other.bank, 2);
      } finally {
        await memcached.stop();
      }
    });
  });
});

test('a node that is told to keep nothing in memory answers all the same', async () => {
  const { bank, http } = await start({ CACHE_MB: '0' });
  const write = await openFunded(bank);
  for (let n = 0; n < 3; n++) expect((await bank.account('alice', '', after(write))).body.balance).toBe('100');
  expect((await http.get('/metrics')).text).not.toContain('rialto_cache_reads_total');
});
