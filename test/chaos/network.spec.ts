import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { after, HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { type RialtoServer, rialto, startRialto } from '../support/server.js';
import { type Cut, TcpProxy } from '../support/tcp-proxy.js';
import { Load, nothing, scale } from './load.js';
import { readLog } from './log-contents.js';

jest.setTimeout(120_000 * Math.max(1, scale));

describe('Between a process and its database', () => {
  let postgres: PostgresServer;
  let proxy: TcpProxy;
  let pool: pg.Pool;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    proxy = await TcpProxy.to(postgres.url);
    pool = createTestPool(postgres.url);
  });

  afterAll(async () => {
    await proxy?.close();
    await pool?.end();
    await postgres?.stop();
  });

  describe('a lost connection', () => {
    let server: RialtoServer;
    let http: HttpClient;
    let ledger: LedgerClient;

    beforeAll(async () => {
      server = await startRialto(proxy.urlOf(postgres.url));
      http = new HttpClient(server);
      ledger = new LedgerClient(http, 'main');
      await ledger.openSource('world');
      await ledger.openAccount('alice');
    });

    afterAll(async () => {
      http?.close();
      await server?.kill();
    });

    const append: Omit<Cut, 'lost'> = { connection: 'rialto writer', sent: 'append' };

    test.each(['answer', 'fate', 'message'] as const)('in which the %s of an append is lost costs the client nothing', async (lost) => {
      const before = (await ledger.transfer('world', 'alice', '1')).body.balances.alice.balance as string;
      const cut = proxy.cutOnce({ ...append, lost });
      const transfer = await ledger.transfer('world', 'alice', '10', { reference: `lost-${lost}` });
      await cut;

      expect(transfer.status).toBe(201);
      const { events } = await readLog(pool);
      expect(events.filter(({ data }) => data.reference === `lost-${lost}`)).toHaveLength(1);
      const headers = { 'consistency-token': String(transfer.headers['consistency-token']) };
      const { body } = await ledger.account('alice', '', headers);
      expect(BigInt(body.balance)).toBe(BigInt(before) + 10n);
    });

    test('in which the answer to a refusal is lost leaves it refused', async () => {
      await ledger.openAccount('poor');
      const cut = proxy.cutOnce({ ...append, lost: 'answer' });
      const headers = { 'idempotency-key': 'too-much' };
      const refused = await ledger.transfer('poor', 'alice', '10', { headers });
      await cut;
      expect([refused.status, refused.body.code]).toEqual([409, 'insufficient-funds']);
      expect((await ledger.transfer('poor', 'alice', '10', { headers })).text).toBe(refused.text);
    });

    test('in which the answer to a command being accepted is lost is an unknown, which the key resolves', async () => {
      const headers = { 'idempotency-key': 'accepted-and-lost', prefer: 'respond-async' };
      const cut = proxy.cutOnce({ connection: 'rialto log', sent: 'accept-commands', lost: 'answer' });
      const lost = await ledger.transfer('world', 'alice', '10', { headers });
      await cut;
      expect([lost.status, lost.body.code]).toEqual([503, 'database-unavailable']);
      const again = await ledger.transfer('world', 'alice', '10', { headers });
      expect([again.status, again.headers['idempotency-replayed']]).toEqual([202, 'true']);
      const command = await eventually(
        () => http.get(String(again.headers.location)),
        ({ body }) => body.status === 'executed',
      );
      expect(command.body.result.status).toBe('posted');
    });

    test('again and again, under load, loses and doubles nothing', async () => {
      const load = new Load([server], ['east', 'main-road']);
      await load.openAccounts();
      load.begin();
      for (let i = 0; i < 8 * scale; i++) {
        await load.progress(50);
        await proxy.cutOnce({ ...append, lost: (['answer', 'fate', 'message'] as const)[i % 3]! });
        await load.progress(20);
        proxy.cutAll();
      }
      await load.end();
      await load.askAgain();
      load.close();
      expect(await load.wrongs(pool)).toEqual(nothing);
    });

    test('in which the projections’ commit is lost applies no event twice', async () => {
      const load = new Load([server], ['projected']);
      await load.openAccounts();
      load.begin();
      for (let i = 0; i < 4 * scale; i++) {
        await load.progress(50);
        await proxy.cutOnce({ connection: 'rialto projections', sent: 'COMMIT', lost: i % 2 === 0 ? 'answer' : 'fate' });
      }
      await load.end();
      load.close();
      expect(await load.wrongs(pool)).toEqual(nothing);
    });

    test('to a database that stays away is said to clients as 503, and over when it is over', async () => {
      proxy.refuse();
      const [write, read, accept, ready, live] = await Promise.all([
        ledger.transfer('world', 'alice', '10'),
        ledger.account('alice'),
        ledger.transfer('world', 'alice', '10', { headers: { prefer: 'respond-async' } }),
        http.get('/health/ready'),
        http.get('/health/live'),
      ]);
      for (const answer of [write, read, accept]) {
        expect([answer.status, answer.body.code]).toEqual([503, 'database-unavailable']);
        expect(answer.headers['retry-after']).toBeDefined();
      }
      expect([ready.status, ready.body.status]).toEqual([503, 'error']);
      expect(ready.body.error.database.status).toBe('down');
      expect(live.status).toBe(200);

      proxy.allow();
      expect((await ledger.transfer('world', 'alice', '10')).status).toBe(201);
      await eventually(() => http.get('/health/ready'), ({ status }) => status === 200);
    });
  });

  describe('a database that is not there yet', () => {
    /** Writes and reads for those that can not, and does no work for anybody. */
    let front: RialtoServer;
    let asking: HttpClient;

    beforeAll(async () => {
      front = await startRialto(postgres.url, { RUN_WORKERS: 'false' });
      asking = new HttpClient(front);
    });

    afterAll(async () => {
      asking?.close();
      await front?.kill();
    });

    const everyKind = ['all', 'command', 'query'].flatMap((ROLE) => ['true', 'false'].map((SERVE_HTTP) => ({ ROLE, SERVE_HTTP })));

    test.each(everyKind)('keeps a process with ROLE=$ROLE and SERVE_HTTP=$SERVE_HTTP live but not ready, and it works when it comes', async (env) => {
      const [writes, reads] = [env.ROLE !== 'query', env.ROLE !== 'command'];
      proxy.refuse();
      const server = await rialto(proxy.urlOf(postgres.url), env);
      const http = new HttpClient(server);
      server.launch();
      const live = await eventually(() => http.get('/health/live').catch(() => undefined), (answer) => answer !== undefined);
      expect(live!.status).toBe(200);
      for (const path of ['/health/ready', '/health/startup']) expect((await http.get(path)).status).toBe(503);
      expect((await http.get('/metrics')).status).toBe(200);

      proxy.allow();
      await server.saysReady();
      expect((await http.get('/health/ready')).status).toBe(200);
      const name = `late-${env.ROLE}-${env.SERVE_HTTP}`;
      const [own, ledger] = [new LedgerClient(http, name), new LedgerClient(asking, name)];
      await ledger.openSource('world');
      let written = await ledger.openAccount('alice');
      if (writes) {
        const accepted = await ledger.transfer('world', 'alice', 5, { headers: { prefer: 'respond-async' } });
        expect(accepted.status).toBe(202);
        await eventually(() => asking.get(String(accepted.headers.location)), ({ body }) => body.status === 'executed');
        written = await ledger.transfer('world', 'alice', 5);
      }
      if (reads) expect((await ledger.account('alice', '', after(written))).body.balance).toBe(writes ? '10' : '0');
      if (env.SERVE_HTTP === 'true') {
        if (writes) expect((await own.openAccount('bob')).status).toBe(201);
        if (reads) expect((await own.account('alice', '', after(written))).status).toBe(200);
      }
      http.close();
      expect(await server.stop()).toBe(0);
    });

    test('keeps the process live but not ready, and is served as soon as it comes', async () => {
      proxy.refuse();
      const server = await rialto(proxy.urlOf(postgres.url));
      const http = new HttpClient(server);
      server.launch();
      const live = await eventually(() => http.get('/health/live').catch(() => undefined), (answer) => answer !== undefined);
      expect(live!.status).toBe(200);
      expect((await http.get('/health/ready')).status).toBe(503);
      expect((await http.get('/health/startup')).status).toBe(503);
      const early = await http.get('/v1/ledgers/main/accounts/alice');
      expect([early.status, early.body.code]).toEqual([503, 'starting']);
      expect(early.headers['retry-after']).toBeDefined();
      expect((await http.get('/metrics')).status).toBe(200);

      proxy.allow();
      await server.saysReady();
      expect((await http.get('/health/ready')).status).toBe(200);
      expect((await http.get('/v1/ledgers/main/accounts/alice')).status).toBe(200);
      http.close();
      expect(await server.stop()).toBe(0);
    });

    test('does not keep the process from being stopped', async () => {
      proxy.refuse();
      const server = await rialto(proxy.urlOf(postgres.url));
      const http = new HttpClient(server);
      server.launch();
      await eventually(() => http.get('/health/live').catch(() => undefined), (answer) => answer !== undefined);
      http.close();
      expect(await server.stop()).toBe(0);
      proxy.allow();
    });
  });

  describe('a slow database', () => {
    test('fills the queue in front of the writer, and whoever finds it full is turned away without effect', async () => {
      const server = await startRialto(proxy.urlOf(postgres.url), { WRITER_QUEUE_LIMIT: '5' });
      const http = new HttpClient(server);
      const ledger = new LedgerClient(http, 'slow');
      await ledger.openSource('world');
      await ledger.openAccount('alice');
      proxy.delayMs = 200;
      const answers = await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          await sleep(index * 5);
          return ledger.transfer('world', 'alice', '1', { reference: `slow-${index}` });
        }),
      );
      proxy.delayMs = 0;
      const done = answers.filter(({ status }) => status === 201);
      const turnedAway = answers.filter(({ status }) => status !== 201);
      expect(done.length).toBeGreaterThan(0);
      expect(turnedAway.length).toBeGreaterThan(0);
      for (const { status, body, headers } of turnedAway) {
        expect([status, body.code]).toEqual([503, 'overloaded']);
        expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      }
      const references = (await readLog(pool)).events.map(({ data }) => data.reference).filter((one) => one?.startsWith('slow-'));
      const acknowledged = answers.flatMap(({ status }, index) => (status === 201 ? [`slow-${index}`] : []));
      expect(references.sort()).toEqual(acknowledged.sort());
      http.close();
      await server.kill();
    });
  });
});
