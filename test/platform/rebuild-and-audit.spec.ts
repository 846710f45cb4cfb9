import { Audit } from '../../src/platform/audit/audit.js';
import { ProjectionCatalogue } from '../../src/platform/consumers/projection-catalogue.js';
import { Rebuild } from '../../src/platform/consumers/rebuild.js';
import { createToolPool } from '../../src/platform/database/pools.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import { assembleApplication } from '../support/application.js';
import { CatalogClient, HttpClient, LedgerClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startRialto, type RialtoServer } from '../support/server.js';
import { Shop } from '../support/shop.js';
import { tool } from '../support/tool.js';

const audit = (database: TestDatabase) => tool(database, 'audit').ended;

async function makeHistory(server: RialtoServer): Promise<LedgerClient> {
  const ledger = new LedgerClient(new HttpClient(server), 'main');
  await ledger.openSource('world');
  for (let i = 0; i < 20; i++) await ledger.openAccount(`a${i}`);
  const items = Array.from({ length: 1_000 }, (_, i) => ({
    transactionId: `t${i}`,
    postings: [{ source: 'world', destination: `a${i % 20}`, amount: '5' }],
  }));
  expect((await ledger.bulk(items)).status).toBe(200);
  await ledger.authorise('a0', 'a1', '7', { transactionId: 'pending' });
  const reversed = await ledger.reverse('t1');
  // All views are there before a test damages one.
  const headers = { 'consistency-token': String(reversed.headers['consistency-token']) };
  for (const path of ['accounts/a0', 'accounts/a0/entries', 'transactions/t1', 'trial-balance']) {
    expect((await ledger.http.get(ledger.path(path), headers)).status).toBe(200);
  }
  return ledger;
}

/** Something of everything that a shop's views show: products that change, and orders of every fate. */
async function makeSales(http: HttpClient): Promise<void> {
  const shop = await new Shop(http, 'shop').open();
  await shop.customer('ann', '5000');
  for (const sku of ['mug', 'cup', 'jug']) await shop.sells(sku, 5);
  const catalog = new CatalogClient(http);
  await catalog.change('p-mug', { name: 'Large mug', categories: ['Kitchen'] });
  await catalog.putVariant('p-mug', 'mug-2', { price: { amount: '1200', currency: 'EUR' } });
  expect((await catalog.archive('p-jug')).status).toBe(200);
  const buy = async (sku: string, quantity = 1) => (await shop.buy([{ sku, quantity }])).body.orderId as string;
  const sold = await buy('mug', 2);
  await shop.fulfil(sold);
  expect((await shop.refund(sold, { lines: [{ sku: 'mug', quantity: 1, restock: true }] })).status).toBe(201);
  expect((await shop.cancel(await buy('cup'))).status).toBe(200);
  await buy('cup');
  for (const line of [{ sku: 'jug', quantity: 1 }, { sku: 'cup', quantity: 10 }]) expect((await shop.buy([line])).status).toBe(409);
}

describe('The audit', () => {
  let history: TestDatabase;
  let database: TestDatabase;

  beforeAll(async () => {
    history = await createTestDatabase();
    const server = await startRialto(history.url);
    (await makeHistory(server)).http.close();
    await server.stop();
  });

  beforeEach(async () => (database = await createTestDatabase(history.name)));
  afterEach(() => database.drop());
  afterAll(() => history.drop());

  test('finds every invariant to hold, and counts what it looked at', async () => {
    const { code, output } = await audit(database);
    expect(output).toContain('All invariants hold.');
    expect(output).toContain('1 positions are 1 … head in every partition: 16 partitions, 1023 events');
    expect(output).toContain('3 every booked balance follows from the one before: 2002 entries');
    expect(output).toContain('7 ledger_accounts equals the replay of its events: 21 rows from 1023 events');
    expect(code).toBe(0);
  });

  test.each([
    ['an event is missing', '1 positions', `DELETE FROM events WHERE position = 500`],
    ['the head is wrong', '1 positions', `UPDATE partitions SET head = head + 1 WHERE head > 0`],
    ['a stream has a gap', '2 versions', `UPDATE stream_links SET version = 9999 WHERE stream = 'account/main/a3' AND version = 5`],
    ['a link leads nowhere', '2 versions', `UPDATE stream_links SET position = 99999 WHERE stream = 'account/main/a3' AND version = 5`],
    ['money appeared', '3 balances add up to 0', `UPDATE ledger_accounts SET balance = balance + 1 WHERE account_id = 'a3'`],
    ['an account is below its floor', '3 no account is below', `UPDATE ledger_accounts SET balance = -1 WHERE account_id = 'a3'`],
    ['a booked balance does not follow', '3 every booked balance', `UPDATE events SET data = jsonb_set(data, '{postings,0,amount}', '"6"') WHERE data->>'transactionId' = 't3'`],
    [
      'a command took effect twice',
      '6 every command',
      `UPDATE events SET metadata = jsonb_set(metadata, '{commandId}', (SELECT metadata->'commandId' FROM events WHERE position = 3))
       WHERE position = 9`,
    ],
    ['a read table lost a row', '7 ledger_accounts', `DELETE FROM ledger_accounts WHERE account_id = 'a7'`],
    ['a read table has another version', '7 ledger_accounts', `UPDATE ledger_accounts SET version = version + 1 WHERE account_id = 'a7'`],
    ['a sum is wrong', '7 ledger_trial_balances', `UPDATE ledger_trial_balances SET credits = credits + 1`],
  ])('tells when %s', async (_what, invariant, damage) => {
    await database.pool.query(damage);
    const { code, output } = await audit(database);
    expect(output).toMatch(new RegExp(`BROKEN  ${invariant}.*\\n {10}\\S`));
    expect(code).toBe(1);
  });

  test('takes a key that was used again for another command when it was forgotten by then, and else for the same one', async () => {
    const server = await startRialto(database.url);
    const ledger = new LedgerClient(new HttpClient(server), 'main');
    const key = (name: string) => ({ 'idempotency-key': name });
    for (let use = 0; use < 2; use++) {
      expect((await ledger.transfer('world', 'a3', '1', { headers: key('paid-twice') })).status).toBe(201);
      expect((await ledger.openAccount('once', {}, key('opened-once'))).status).toBe(201 - use);
      if (use === 0) expect((await database.pool.query('DELETE FROM commands')).rowCount).toBeGreaterThan(1);
    }
    ledger.http.close();
    await server.stop();
    const offenders = async (retentionMs: number) => {
      const found: string[] = [];
      const findings = new Audit(retentionMs).run(database.pool, new EventCatalogue(), new ProjectionCatalogue());
      for await (const finding of findings) found.push(...finding.offenders);
      return found;
    };
    for (const retentionMs of [0, 1]) expect(await offenders(retentionMs)).toEqual([]);
    expect(await offenders(60_000)).toEqual([
      expect.stringMatching(/^command \S+ \(executed\): on record with no to \d+, in the log with \d+ to \d+$/),
      expect.stringMatching(/^command \S+ \(executed\): on record with \d+ to \d+, in the log with \d+ to \d+$/),
      expect.stringMatching(/^command \S+: again from \d+ to \d+ in partition \d+, 00:00:\S+ later$/),
    ]);
  });
});

describe('A rebuild', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let ledger: LedgerClient;

  beforeEach(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    ledger = await makeHistory(server);
  });

  afterEach(async () => {
    ledger.http.close();
    await server.kill();
    await database.drop();
  });

  test('mends a damaged view while transfers go on', async () => {
    await database.pool.query(`UPDATE ledger_accounts SET version = version + 1 WHERE account_id IN ('a3', 'a4')`);
    let going = true;
    let transfers = 0;
    const load = (async () => {
      for (; going; transfers++) {
        const { status } = await ledger.transfer('world', `a${transfers % 20}`, '1');
        expect(status).toBe(201);
        expect((await ledger.http.get(ledger.path('accounts/a5'))).status).toBe(200);
      }
    })();
    const { code, output } = await tool(database, 'rebuild', 'ledger-accounts').ended;
    going = false;
    await load;
    expect(output).toContain('ledger_accounts was rebuilt with 21 rows; 2 differed from the old table.');
    expect(code).toBe(0);
    expect(transfers).toBeGreaterThan(0);
    expect((await audit(database)).code).toBe(0);
  });

  test('of any view of any module changes nothing when nothing was wrong', async () => {
    await makeSales(ledger.http);
    const app = await assembleApplication();
    const pool = createToolPool(database.url);
    try {
      const views = app.get(ProjectionCatalogue, { strict: false });
      expect(new Set(views.names.map((name) => name.split('-')[0]))).toEqual(new Set(['ledger', 'catalog', 'inventory', 'ordering']));
      for (const name of views.names) {
        const { rows, different, examples } = await new Rebuild(pool, app.get(EventCatalogue, { strict: false }), views.find(name)!).run();
        expect({ name, isEmpty: rows === 0, different, examples }).toEqual({ name, isEmpty: false, different: 0, examples: [] });
      }
    } finally {
      await pool.end();
      await app.close();
    }
    const { rows } = await database.pool.query(`SELECT indexname FROM pg_indexes WHERE indexname LIKE '%rebuild%'`);
    expect(rows).toEqual([]);
    expect((await audit(database)).code).toBe(0);
  });

  test('that was killed half-way is gone on with', async () => {
    // Events in most partitions: each is a batch of its own, of which we let there be five in a second.
    for (let i = 0; i < 30; i++) await new LedgerClient(ledger.http, `ledger-${i}`).openAccount('till');
    await database.pool.query(`
      CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$;
      CREATE TRIGGER slow_rebuild BEFORE UPDATE ON checkpoints FOR EACH ROW WHEN (NEW.consumer = 'ledger-accounts#rebuild') EXECUTE FUNCTION take_time()`);
    const progress = async () => {
      const sql = `SELECT (SELECT coalesce(sum(position), 0)::int FROM checkpoints WHERE consumer = 'ledger-accounts#rebuild') AS done,
        (SELECT sum(head)::int FROM partitions) AS total`;
      return (await database.pool.query(sql)).rows[0] as { done: number; total: number };
    };
    let doneBefore = 0;
    for (let kill = 0; kill < 3; kill++) {
      const { child, ended } = tool(database, 'rebuild', 'ledger-accounts');
      await eventually(progress, ({ done }) => done > doneBefore);
      child.kill('SIGKILL');
      await ended;
      const { done, total } = await progress();
      expect(done).toBeGreaterThan(doneBefore);
      expect(done).toBeLessThan(total);
      doneBefore = done;
      expect((await ledger.http.get(ledger.path('accounts/a5'))).status).toBe(200);
    }
    await database.pool.query('DROP TRIGGER slow_rebuild ON checkpoints');
    const { code, output } = await tool(database, 'rebuild', 'ledger-accounts').ended;
    expect(output).toContain('ledger_accounts was rebuilt with 51 rows; 0 differed');
    expect(code).toBe(0);
    expect((await audit(database)).code).toBe(0);
  });

  test('does not run twice at once', async () => {
    const both = await Promise.all([1, 2].map(() => tool(database, 'rebuild', 'ledger-accounts').ended));
    expect(both.some(({ code }) => code === 0)).toBe(true);
    for (const { code, output } of both) if (code !== 0) expect(output).toContain('is being rebuilt by another process');
    expect((await audit(database)).code).toBe(0);
  });

  test('of a view that does not exist names those that do', async () => {
    const { code, output } = await tool(database, 'rebuild', 'ledger-nothing').ended;
    expect(output).toContain('one of: ledger-accounts, ledger-trial-balances');
    expect(code).toBe(1);
  });
});
