import { hotStatements } from '../../src/cli/db-distribute/distribute.js';
import { distributedTables } from '../../src/cli/db-distribute/plan.js';
import { acceptSqlFor, claimSqlFor, purgeSqlFor, storeSqlFor } from '../../src/platform/commands/inbox.js';
import { claimCheckpointsUpToSql, headsSql, lookForNewsUpToSql, readEventsOfOneSql, readEventsSql } from '../../src/platform/consumers/checkpoints.js';
import { appendSql, appendWithoutDeadlinesSql, checkSqlFor } from '../../src/platform/log/append.js';
import { fenceOneSql, fenceSql, lockOneSql, lockSql, whoIsThereOneSql, whoIsThereSql } from '../../src/platform/log/fence.js';
import { refreshSql } from '../../src/platform/log/refresh.js';
import { startConfigured } from '../support/application.js';
import { HttpClient, type Answer } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { recordStatements } from '../support/sent-statements.js';
import { Shop } from '../support/shop.js';
import { lintApart, loadParser } from '../support/sql-profile.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const distributed: ReadonlySet<string> = new Set(distributedTables);
const partitions = Array.from({ length: 16 }, (_, partition) => partition);
const skus = ['s0', 's1', 's2', 's3'];

/** What has a form for one partition, with it as a constant or as a parameter, and one for several. */
const forms: Readonly<Record<string, (only?: number) => string>> = {
  lock: (only) => (only === undefined ? lockSql : lockOneSql),
  refresh: refreshSql,
  append: appendSql,
  'append without deadlines': appendWithoutDeadlinesSql,
  check: checkSqlFor,
  fence: (only) => (only === undefined ? fenceSql : fenceOneSql),
  'who is there': (only) => (only === undefined ? whoIsThereSql : whoIsThereOneSql),
  accept: acceptSqlFor,
  claim: claimSqlFor,
  store: storeSqlFor,
  purge: purgeSqlFor,
  'read events': (only) => (only === undefined ? readEventsSql : readEventsOfOneSql),
};

describe('With a lane for each partition the application', () => {
  let database: TestDatabase;
  const sent = new Map<string, string>();
  const isSent = (sql: (only?: number) => string) => partitions.some((only) => sent.has(sql(only)));

  beforeAll(async () => {
    await loadParser();
    database = await createTestDatabase();
    const recording = recordStatements(sent);
    const proxy = await TcpProxy.to(database.url);
    try {
      const application = await startConfigured(proxy.urlOf(database.url), { WRITER_LANES: '16', SWEEP_INTERVAL_MS: '50' });
      try {
        await useIt(application.url, proxy);
      } finally {
        await application.stop();
      }
    } finally {
      recording.stop();
      await proxy.close();
    }
  }, 180_000);

  afterAll(() => database?.drop());

  /** Orders, transfers, accepted commands and sagas side by side, and then two whose answers are lost. */
  async function useIt(url: string, proxy: TcpProxy): Promise<void> {
    const http = new HttpClient({ url });
    try {
      const shops = await Promise.all(['demo', 'other', 'third'].map((name) => new Shop(http, name).open()));
      for (const sku of skus) await shops[0]!.sells(sku, 10_000);
      for (const shop of shops) await shop.customer('ann');
      const expectDone = async (...answers: Promise<Answer>[]) => {
        for (const { status, text } of await Promise.all(answers)) if (status > 299) throw new Error(`${status}: ${text}`);
      };
      const untilQuiet = (confirmed: number) =>
        untilPasses(async () => {
          const { rows } = await database.pool.query(`
            SELECT (SELECT count(*)::int FROM commands WHERE status NOT IN ('executed', 'refused') AND due_at < now() + interval '1 s') AS waiting,
              (SELECT count(*)::int FROM ordering_orders WHERE status = 'confirmed') AS confirmed`);
          expect(rows).toEqual([{ waiting: 0, confirmed }]);
        });
      for (let round = 0; round < 4; round++) {
        await expectDone(
          ...shops.flatMap((shop, index) => [
            shop.ledger.transfer('ann', 'merchant', '1'),
            shop.ledger.transfer('ann', 'merchant', '1', { headers: { prefer: 'respond-async' } }),
            shop.buy([{ sku: skus[round]!, quantity: 1 }, { sku: skus[(round + index + 1) % 4]!, quantity: 1 }]),
            shop.place([{ sku: skus[index]!, quantity: 1 }], { headers: { 'idempotency-key': `placed-${round}-${index}` } }),
          ]),
        );
      }
      await untilQuiet(24);
      // One after the other, so that it is these whose answers are lost. What they wrote the views have to read.
      const lose = async (sent: string, ask: () => Promise<Answer>) => {
        const cut = proxy.cutOnce({ connection: 'rialto writer', sent, lost: 'answer' });
        const answer = ask();
        await cut;
        await expectDone(answer);
      };
      await lose('append-', () => shops[0]!.ledger.transfer('ann', 'merchant', '1'));
      await lose('COMMIT', () => shops[0]!.buy([{ sku: skus[0]!, quantity: 1 }]));
      await untilQuiet(25);
    } finally {
      http.close();
    }
  }

  test('names one partition in every statement that changes or locks what is distributed', () => {
    const found = [...sent.keys()].flatMap((text) => lintApart(text, distributed).map((place) => `${place} in ${text}`));
    expect(found).toEqual([]);
  });

  test.each(Object.entries(forms))('sends %s for one partition, and never for several', (_name, sql) => {
    expect(isSent(sql)).toBe(true);
    expect(sent.has(sql())).toBe(false);
  });

  test('reads the heads before it looks at checkpoints', () => {
    for (const text of [headsSql, claimCheckpointsUpToSql, lookForNewsUpToSql]) expect(sent.has(text)).toBe(true);
    const joins = [...sent].filter(([text, from]) => /^rialto (sagas|projections)$/.test(from) && /\bcheckpoints\b/.test(text) && /\bpartitions\b/.test(text));
    // They are created once, from what is there.
    expect(joins.filter(([text]) => !text.includes('INSERT INTO checkpoints'))).toEqual([]);
  });

  test('has all of it planned by npm run db:distribute', () => {
    const planned = new Set(Object.values(hotStatements));
    for (const [name, sql] of Object.entries(forms)) expect([name, planned.has(sql(0))]).toEqual([name, true]);
    expect(Object.entries(hotStatements).flatMap(([name, text]) => lintApart(text, distributed).map((place) => `${name}: ${place}`))).toEqual([]);
  });
});

describe('The rule for lanes', () => {
  beforeAll(() => loadParser());

  test.each(['lock', 'append', 'fence', 'accept', 'claim', 'store', 'purge'])('finds what is sent for several partitions to %s', (name) => {
    expect(lintApart(forms[name]!(), distributed)).not.toEqual([]);
  });

  test.each([
    'SELECT head FROM partitions WHERE partition = ANY ($1) FOR UPDATE',
    'SELECT head FROM partitions FOR SHARE',
    'SELECT 1 FROM partitions p JOIN unnest($1::int[]) u ON u = p.partition FOR UPDATE OF p',
    'UPDATE commands SET error = $1 WHERE partition IN ($2, $3)',
    'UPDATE commands c SET error = $1 FROM unnest($2::int[]) u WHERE c.partition = u',
    'UPDATE commands SET error = (SELECT type FROM events LIMIT 1) WHERE partition = $1',
    'WITH l AS (SELECT partition FROM partitions WHERE partition = 3 FOR UPDATE) UPDATE partitions p SET head = 1 FROM l WHERE p.partition = l.partition',
    'WITH l AS (SELECT head FROM partitions WHERE partition = 3 FOR UPDATE) UPDATE partitions SET head = 1 WHERE partition = 4',
    'DELETE FROM commands WHERE partition = 3 OR partition = 4',
    'INSERT INTO commands (partition, command_id) SELECT partition, id FROM unnest($1::int[], $2::text[]) AS u(partition, id)',
    'INSERT INTO commands (partition, command_id) VALUES (1, $1), (2, $2)',
    'INSERT INTO commands (partition, command_id) SELECT 3, stream FROM events WHERE partition = 4',
    'INSERT INTO commands SELECT 3, $1',
  ])('finds %s', (text) => {
    expect(lintApart(text, distributed)).not.toEqual([]);
  });

  test.each(Object.entries(forms))('has nothing against what is sent for one partition to %s', (_name, sql) => {
    expect(lintApart(sql(3), distributed)).toEqual([]);
  });

  test.each([
    'SELECT partition, head FROM partitions',
    'SELECT head FROM partitions WHERE partition = 0 FOR UPDATE',
    'UPDATE commands SET error = $1 WHERE partition = $2::smallint AND command_id = $3',
    'INSERT INTO commands (partition, command_id) VALUES (1, $1), (1, $2)',
    'INSERT INTO checkpoints (consumer, partition) SELECT $1, partition FROM partitions',
    'UPDATE checkpoints SET position = 1 WHERE consumer = $1',
  ])('has nothing against %s', (text) => {
    expect(lintApart(text, distributed)).toEqual([]);
  });
});
