import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { distributedTables } from '../../src/cli/db-distribute/plan.js';
import { migrate } from '../../src/platform/database/migrate.js';
import { startApplication, type RunningApplication } from '../support/application.js';
import { after, type Answer, HttpClient } from '../support/client.js';
import { root, runNode } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { recordStatements } from '../support/sent-statements.js';
import { lint, loadParser, rules, type Rule, type SchemaFacts } from '../support/sql-profile.js';

interface Literal {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly dynamic: readonly string[];
}

let literals: readonly Literal[];
let database: TestDatabase;
let schema: SchemaFacts;
/** Every statement that migrations and application have sent, by its text: who sent it. */
const sent = new Map<string, string>();

beforeAll(async () => {
  await loadParser();
  literals = JSON.parse((await runNode(['test/support/sql-literals.mjs', `${root}src`])).output) as Literal[];
  database = await createTestDatabase('template0');
  const recording = recordStatements(sent);
  try {
    // BullMQ's own SQL is not held to the profile: on engines that need it, the queues are on Redis.
    await migrate(database.url, { partitions: 16, queuesAreHere: false });
    schema = await schemaOf(database.pool);
    const application = await startApplication(database.url);
    try {
      await useEverything(application);
    } finally {
      await application.stop();
    }
  } finally {
    recording.stop();
  }
}, 120_000);

afterAll(() => database?.drop());

async function schemaOf(pool: pg.Pool): Promise<SchemaFacts> {
  const { rows } = await pool.query<{ table: string; key: string[] }>(`
    SELECT c.relname AS table, array_agg(a.attname::text ORDER BY k.place) AS key
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
    WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition GROUP BY c.relname, i.indexrelid`);
  const keys = new Map<string, string[][]>();
  for (const { table, key } of rows) keys.set(table, [...(keys.get(table) ?? []), key]);
  return { keys, writeTables: new Set([...distributedTables, 'checkpoints']) };
}

/** Uses what has statements of its own: every view, lists with and without their filters, the inbox, the metrics. */
async function useEverything({ url }: RunningApplication): Promise<void> {
  const http = new HttpClient({ url });
  const post = async (path: string, body: unknown, headers?: Record<string, string>) => {
    const answer = await http.post(path, body, headers);
    if (answer.status > 299) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return answer;
  };
  const get = async (path: string) => {
    const answer = await http.get(path);
    if (answer.status > 299) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return answer.body as Record<string, never>;
  };
  try {
    const ledger = '/v1/ledgers/demo';
    for (const [accountId, overdraft] of [['world', 'unlimited'], ['alice', 'none'], ['merchant', 'none']]) await post(`${ledger}/accounts`, { accountId, currency: 'EUR', overdraft });
    await post(`${ledger}/transactions`, { transactionId: 'tx', postings: [{ source: 'world', destination: 'alice', amount: '100000' }] });
    const created = await post('/v1/products', { productId: 'p', name: 'A thing', categories: ['things'], variants: [{ sku: 's', price: { amount: '100', currency: 'EUR' } }] });
    // What follows changes rows that are there, rather than what a batch is about to make.
    const see = async (path: string, write: Answer) => expect((await http.get(path, after(write))).status).toBe(200);
    for (const path of ['/v1/products', '/v1/skus/s']) await see(path, created);
    await http.request('PATCH', '/v1/products/p', { body: { name: 'A better thing' } });
    for (const [sku, amount] of [['t', '200'], ['s', '110']]) await http.request('PUT', `/v1/products/p/variants/${sku}`, { body: { price: { amount, currency: 'EUR' } } });
    await post('/v1/products/p/archive', {});
    await post('/v1/products/p/restore', {});
    await post('/v1/stock/s/receipts', { quantity: 10 });
    await see('/v1/stock/s/reservations/r', await post('/v1/stock/s/reservations', { reservationId: 'r', quantity: 1, expiresInSeconds: 3_600 }));
    await post('/v1/stock/s/reservations/r/release', {});
    const order = { customerId: 'c', lines: [{ sku: 's', quantity: 1 }], payment: { ledger: 'demo', account: 'alice' } };
    await see('/v1/orders/o', await post('/v1/orders', { orderId: 'o', ...order }, { prefer: 'wait=30' }));
    await post('/v1/orders/o/fulfil', {});
    // At the same time, for batches of several partitions.
    const others = Array.from({ length: 8 }, (_, n) => `/v1/ledgers/other-${n}`);
    await Promise.all(others.map((other) => post(`${other}/accounts`, { accountId: 'a', currency: 'EUR' })));
    await Promise.all(others.map((other) => post(`${other}/accounts`, { accountId: 'b', currency: 'EUR', overdraft: 'unlimited' })));
    const pending = { pending: true, expiresInSeconds: 3_600, postings: [{ source: 'b', destination: 'a', amount: '1' }] };
    await Promise.all(others.map((other) => post(`${other}/transactions`, pending)));
    const accepted = await post(`${ledger}/transactions`, { postings: [{ source: 'world', destination: 'alice', amount: '1' }] }, { prefer: 'respond-async' });
    await untilPasses(async () => expect(await get(String(accepted.headers.location))).toMatchObject({ status: 'executed' }));
    await untilPasses(async () => expect(await get('/v1/orders/o')).toMatchObject({ status: 'fulfilled' }));

    for (const path of [
      `${ledger}/accounts`, `${ledger}/accounts?currency=EUR&prefix=a`, `${ledger}/accounts/alice`, `${ledger}/accounts/alice/entries`,
      `${ledger}/accounts/alice/entries?from=2026-01-01T00:00:00Z`,
      `${ledger}/accounts/alice?at=${new Date().toISOString()}`, `${ledger}/trial-balance`, `${ledger}/transactions/tx`, '/v1/products', '/v1/products/p', '/v1/products?q=thing&sort=name',
      '/v1/products?category=things&sort=price&currency=EUR&minPrice=1&maxPrice=1000', '/v1/products?sort=newest', '/v1/skus/s', '/v1/stock/s',
      '/v1/stock/s/movements', '/v1/stock/s/reservations/r', '/v1/orders', '/v1/orders?customerId=c&status=fulfilled', '/v1/commands?status=failed', '/metrics', '/health/ready',
    ]) await get(path);
  } finally {
    http.close();
  }
}

/** What a literal looks like in what is sent: its gaps may be anything, and it may be a part of a larger statement. */
const patternOf = ({ text }: Literal) => new RegExp(text.split('\0').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')).join('[^]*'));

/** Programs that an operator runs beside one server; `db-distribute` speaks to Citus itself. */
const isCold = ({ file }: { file: string }) => /^cli\/|\/audit\/|\.audit\.ts$|consumers\/(rebuild|replay)\.ts$|database\/(migrate|embedded-postgres)\.ts$/.test(file);

/**
 * What breaks a rule and stays. docs/SCALING.md has the same list, with what becomes of each when the write tables are on
 * several servers. `of` is how the statement is recognised.
 */
const exceptions: readonly { name: string; file: string; of: RegExp; rule: Rule }[] = [
  { name: 'claiming due commands', file: 'platform/commands/inbox.ts', of: /^\s*WITH due AS/, rule: 'partition-in-where' },
  { name: 'claiming due commands', file: 'platform/commands/inbox.ts', of: /^\s*WITH due AS/, rule: 'tie-break' },
  { name: 'looking for due commands', file: 'platform/commands/inbox.ts', of: /^\s*SELECT ceil\(extract\(epoch FROM min\(due_at\)/, rule: 'partition-in-where' },
  { name: 'listing commands', file: 'platform/commands/inbox.ts', of: /WHERE status = \$1 AND \(accepted_at, command_id\)/, rule: 'partition-in-where' },
  // Two commands never have the same id: it begins with the partition.
  { name: 'listing commands', file: 'platform/commands/inbox.ts', of: /WHERE status = \$1 AND \(accepted_at, command_id\)/, rule: 'tie-break' },
  { name: 'purging old commands', file: 'platform/commands/inbox.ts', of: /^\s*DELETE FROM commands c USING/, rule: 'partition-in-where' },
  { name: 'purging old commands', file: 'platform/commands/inbox.ts', of: /^\s*DELETE FROM commands c USING/, rule: 'tie-break' },
  { name: 'creating checkpoints', file: 'platform/consumers/checkpoints.ts', of: /^\s*INSERT INTO checkpoints/, rule: 'partition-in-where' },
  { name: 'claiming checkpoints', file: 'platform/consumers/checkpoints.ts', of: /FOR UPDATE OF c SKIP LOCKED/, rule: 'partition-in-where' },
  { name: 'reading the heads', file: 'platform/consumers/checkpoints.ts', of: /^SELECT partition, head FROM partitions$/, rule: 'partition-in-where' },
  { name: 'looking for news', file: 'platform/consumers/checkpoints.ts', of: /AS is_news/, rule: 'partition-in-where' },
  { name: 'listing degraded consumers', file: 'platform/consumers/checkpoints.ts', of: /WHERE failed_position IS NOT NULL/, rule: 'partition-in-where' },
  { name: 'measuring lag', file: 'platform/consumers/checkpoints.ts', of: /sum\(p\.head - c\.position\)/, rule: 'partition-in-where' },
  { name: 'looking at visibility', file: 'platform/consumers/visibility.ts', of: /FROM checkpoints/, rule: 'partition-in-where' },
  { name: 'looking at visibility', file: 'platform/cache/view-news.ts', of: /JOIN checkpoints/, rule: 'partition-in-where' },
  { name: 'looking at visibility', file: 'platform/database/read-replicas.ts', of: /FROM checkpoints/, rule: 'partition-in-where' },
  { name: 'announcing changes', file: 'platform/cache/postgres-channel.ts', of: /pg_notify/, rule: 'no-listen-notify' },
  { name: 'counting commands', file: 'platform/observability/metrics.ts', of: /FROM commands/, rule: 'partition-in-where' },
  { name: 'locking the migration', file: 'platform/database/migrate.ts', of: /pg_try_advisory_lock/, rule: 'no-advisory-lock' },
  { name: 'leasing the embedded server', file: 'platform/database/embedded-postgres.ts', of: /pg_try_advisory_lock/, rule: 'no-advisory-lock' },
  { name: 'locking a rebuild', file: 'platform/consumers/rebuild.ts', of: /pg_try_advisory_lock/, rule: 'no-advisory-lock' },
  { name: 'replaying for the audit', file: 'platform/audit/audit.ts', of: /CREATE TEMPORARY TABLE/, rule: 'no-temporary-table' },
];

/** Only of what runs all the time: a program may read everything, and need not stop somewhere. */
const hotRules: readonly Rule[] = ['partition-in-where', 'tie-break'];

interface Broken {
  readonly file: string;
  readonly text: string;
  readonly rule: Rule;
  readonly detail: string;
}

/** Programs say what they say of tables that they name at run time; a name in the gap shows the rest to the parser. */
const unreadable: string[] = [];

function broken(): Broken[] {
  const found: Broken[] = [];
  for (const literal of literals) {
    const { file, dynamic } = literal;
    if (isCold(literal)) {
      try {
        const findings = lint(literal.text.replaceAll('\0', 'gap'), schema).filter(({ rule }) => !hotRules.includes(rule));
        found.push(...findings.map((finding) => ({ file, text: literal.text, ...finding })));
      } catch {
        unreadable.push(`${file}: ${dynamic.join(', ')}`);
      }
      continue;
    }
    const pattern = patternOf(literal);
    const texts = dynamic.length === 0 ? [literal.text] : [...sent.keys()].filter((text) => pattern.test(text));
    for (const text of texts) found.push(...lint(text, schema).map((finding) => ({ file, text, ...finding })));
  }
  return found;
}

describe('The SQL in the source files', () => {
  test('keeps to the profile, but for what is listed', () => {
    const all = broken();
    const isListed = (one: Broken) => exceptions.some(({ file, of, rule }) => one.file === file && one.rule === rule && of.test(one.text));
    expect(all.filter((one) => !isListed(one))).toEqual([]);
    // What is listed is still there.
    const isFound = ({ file, of, rule }: (typeof exceptions)[number]) => all.some((one) => one.file === file && one.rule === rule && of.test(one.text));
    expect(exceptions.filter((exception) => !isFound(exception))).toEqual([]);
    // The parser could not read what has a gap where SQL goes on, not a name.
    expect([...new Set(unreadable)].sort()).toEqual([
      'cli/db-distribute/plan.ts: column, target',
      'cli/db-distribute/plan.ts: name, index.name, index.constraint',
      "cli/db-distribute/plan.ts: name, targets.join(', ')",
      "modules/inventory/inventory.audit.ts: currentStock('true')",
      'platform/consumers/replay.ts: differing',
    ]);
  });

  test('was all read: as it stands, or as the application sent it', () => {
    const unseen = literals.filter((literal) => !isCold(literal) && literal.dynamic.length > 0 && ![...sent.keys()].some((text) => patternOf(literal).test(text)));
    expect(unseen.map(({ file, line }) => `${file}:${line}`)).toEqual([]);
    expect(literals.length).toBeGreaterThan(100);
  });

  test('is built of nothing that a client sent', () => {
    const isOfLiterals = (expression: string) => /^\w+\(('[^']*'(, )?|only(, )?)*\)$/.test(expression);
    // The table that a projection fills: its own, or a rebuild's.
    const isTable = (file: string, expression: string) => file.includes('/views/') && expression === 'table';
    const used = literals
      .filter((literal) => !isCold(literal))
      .flatMap(({ file, dynamic }) => dynamic.filter((one) => !isOfLiterals(one) && !isTable(file, one)).map((one) => `${file}: ${one}`));
    expect([...new Set(used)].sort()).toEqual([...builtOf].sort());
  });

  test('and its exceptions are those of docs/SCALING.md', async () => {
    const page = await readFile(join(root, 'docs/SCALING.md'), 'utf8');
    const listed = [...page.matchAll(/^\| \*([^*|]+)\* \|/gm)].map(([, name]) => name!);
    expect(listed.sort()).toEqual([...new Set(exceptions.map(({ name }) => name))].sort());
  });
});

/** What statements are made of besides constants: each chooses among texts that stand in the same file, or is a number. */
const builtOf: readonly string[] = [
  "modules/catalog/views/products.ts: [isStatus, ...finds].join(' AND ')",
  // How far a view is in a partition: the view's name and a parameter of the statement (platform/database/as-of.ts).
  "modules/catalog/views/products.ts: asOf(catalogProducts.name, '$2')",
  "modules/catalog/views/skus.ts: asOf(catalogProducts.name, '$2')",
  "modules/catalog/views/skus.ts: asOf(catalogSkus.name, '$2')",
  "modules/inventory/views/reservations.ts: asOf(inventoryReservations.name, '$3')",
  "modules/ledger/views/accounts.ts: asOf(ledgerAccounts.name, 'w.wanted_partition')",
  "modules/ordering/views/orders.ts: asOf(orderingOrders.name, '$2')",
  'modules/inventory/views/stock.ts: column',
  'modules/inventory/views/stock.ts: condition',
  "modules/ledger/views/accounts.ts: currency ? 'AND currency = $6' : ''",
  'modules/ledger/views/accounts.ts: maxAmount',
  "modules/ordering/views/orders.ts: conditions.map((condition) => `AND ${condition}`).join(' ')",
  'platform/log/append.ts: given',
  "platform/log/append.ts: hasDeadlines ? deadlines(only) : ''",
  'platform/log/append.ts: isScheduled',
  'platform/log/append.ts: only',
  'platform/log/stream-reader.ts: only',
];

describe('The migrations', () => {
  test('keep to the profile, but for the list of migrations, which is TypeORM\'s', () => {
    const found = [...sent].filter(([, from]) => from === 'rialto migrate').flatMap(([text]) => lint(text, schema).filter(({ rule }) => !hotRules.includes(rule)).map((finding) => ({ text, ...finding })));
    const isKnown = ({ text, rule }: { text: string; rule: Rule }) =>
      (rule === 'no-sequence' && text.startsWith('CREATE TABLE "migrations"')) || (rule === 'no-advisory-lock' && text.includes('pg_try_advisory_lock'));
    expect(found.filter((one) => !isKnown(one))).toEqual([]);
    expect(found.filter(isKnown)).toHaveLength(2);
  });

  test('leave no trigger, foreign key, exclusion or sequence but that one', async () => {
    const { rows } = await database.pool.query(`
      SELECT relname AS name FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
      UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT conname FROM pg_constraint WHERE contype IN ('f', 'x') OR condeferrable`);
    expect(rows).toEqual([{ name: 'migrations_id_seq' }]);
  });

  test('give every table that has a partition a place in the plan, and its keys the partition', async () => {
    const { rows } = await database.pool.query<{ table: string }>(`
      SELECT c.relname AS table FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE a.attname = 'partition' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace`);
    expect(rows.map(({ table }) => table).sort()).toEqual([...schema.writeTables].sort());
    for (const table of schema.writeTables) for (const key of schema.keys.get(table)!) expect(key).toContain('partition');
  });
});

describe('The profile', () => {
  const planted: Record<Rule, readonly string[]> = {
    'partition-in-where': [
      'SELECT * FROM events WHERE position = $1',
      'SELECT * FROM events WHERE partition > $1',
      'SELECT * FROM events WHERE partition = $1 OR position = $2',
      'SELECT * FROM events e JOIN stream_links l ON l.partition = e.partition WHERE e.position = $1',
      'SELECT * FROM events e JOIN stream_links l USING (position) WHERE e.partition = $1',
      'SELECT (SELECT max(position) FROM events) FROM partitions WHERE partition = $1',
      'WITH partitions AS (SELECT * FROM commands) SELECT * FROM partitions',
      'UPDATE commands SET error = $1 WHERE command_id = $2',
      'UPDATE commands SET error = $1 FROM unnest($2::text[]) AS u(id) WHERE command_id = u.id',
      'DELETE FROM commands WHERE command_id = $1',
      'INSERT INTO ledger_accounts (account_id) SELECT stream FROM events',
      'SELECT * FROM unnest($1::text[]) AS w(stream) CROSS JOIN LATERAL (SELECT * FROM events WHERE stream = w.stream) e',
    ],
    'partition-in-insert': ['INSERT INTO commands (command_id, type) VALUES ($1, $2)'],
    'partition-in-key': [
      'INSERT INTO commands (partition, command_id) VALUES ($1, $2) ON CONFLICT (command_id) DO NOTHING',
      'CREATE TABLE more (partition smallint, id text PRIMARY KEY)',
      'CREATE TABLE more (partition smallint, id text, UNIQUE (id))',
      'CREATE UNIQUE INDEX ON commands (command_id)',
      'ALTER TABLE commands ADD CONSTRAINT one UNIQUE (command_id)',
    ],
    'no-foreign-key': [
      'CREATE TABLE more (partition smallint REFERENCES partitions)',
      'CREATE TABLE more (partition smallint, FOREIGN KEY (partition) REFERENCES partitions)',
      'ALTER TABLE events ADD CONSTRAINT k FOREIGN KEY (partition) REFERENCES partitions',
    ],
    'no-sequence': [
      'CREATE TABLE more (id serial)',
      'CREATE TABLE more (id bigint GENERATED ALWAYS AS IDENTITY)',
      'CREATE SEQUENCE numbers',
      'ALTER TABLE more ADD COLUMN id bigserial',
      `SELECT nextval('numbers')`,
    ],
    'no-advisory-lock': ['SELECT pg_advisory_xact_lock($1)', 'SELECT pg_catalog.pg_try_advisory_lock(1, 2)'],
    'no-listen-notify': ['LISTEN news', 'NOTIFY news', `SELECT pg_notify('news', $1)`],
    'no-trigger': ['CREATE TRIGGER t AFTER INSERT ON events EXECUTE FUNCTION f()', 'CREATE RULE r AS ON INSERT TO events DO NOTHING'],
    'no-temporary-table': ['CREATE TEMPORARY TABLE t (a int)', 'CREATE TEMP TABLE t AS SELECT 1 AS a', 'SELECT 1 AS a INTO TEMP t'],
    'no-lock-table': ['LOCK TABLE events IN SHARE MODE'],
    'no-system-column': ['SELECT ctid FROM ledger_accounts', 'DELETE FROM ledger_accounts a WHERE a.xmin = $1'],
    'no-volatile-update': [
      'UPDATE commands SET due_at = clock_timestamp() WHERE partition = $1',
      'DELETE FROM commands WHERE partition = $1 AND due_at < clock_timestamp()',
      `INSERT INTO commands (partition, command_id) VALUES ($1, $2) ON CONFLICT (partition, command_id) DO UPDATE SET due_at = clock_timestamp()`,
    ],
    'no-division': ['SELECT balance / 2 FROM ledger_accounts'],
    'no-special-constraint': ['CREATE TABLE more (a int UNIQUE DEFERRABLE)', 'CREATE TABLE more (a int, EXCLUDE USING gist (a WITH =))'],
    'tie-break': [
      'SELECT * FROM ledger_accounts ORDER BY balance LIMIT 10',
      'SELECT * FROM ledger_accounts LIMIT 10',
      'SELECT * FROM ledger_accounts ORDER BY account_id LIMIT 10',
      'SELECT * FROM events WHERE partition = $1 ORDER BY recorded_at LIMIT 10',
    ],
  };

  test.each(Object.entries(planted).flatMap(([rule, texts]) => texts.map((text) => [rule, text] as const)))('%s finds %s', (rule, text) => {
    expect(lint(text, schema).map((finding) => finding.rule)).toContain(rule);
  });

  test('has a planted violation of each rule', () => {
    expect(Object.keys(planted).sort()).toEqual(Object.keys(rules).sort());
  });

  test.each([
    'SELECT * FROM events WHERE partition = $1 AND position > $2 ORDER BY position LIMIT 10',
    'SELECT * FROM events WHERE partition = ANY ($1::smallint[])',
    'SELECT * FROM events WHERE (partition, position) = ($1, $2)',
    'SELECT * FROM events e JOIN stream_links l ON l.partition = e.partition AND l.position = e.position WHERE e.partition = $1',
    'SELECT * FROM unnest($1::smallint[]) AS k(partition) JOIN partitions p USING (partition)',
    'SELECT * FROM unnest($1::smallint[]) AS w(partition) CROSS JOIN LATERAL (SELECT * FROM events WHERE partition = w.partition) e',
    'WITH wanted AS (SELECT * FROM partitions WHERE partition = $1) UPDATE partitions p SET head = 1 FROM wanted w WHERE p.partition = w.partition',
    'INSERT INTO commands (partition, command_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    'UPDATE commands SET due_at = statement_timestamp() WHERE partition = $1',
    'SELECT * FROM ledger_accounts WHERE ledger = $1 ORDER BY account_id LIMIT 10',
    'SELECT balance * 2 FROM ledger_accounts',
    'SELECT balance FROM ledger_accounts ORDER BY balance LIMIT 1',
  ])('has nothing against %s', (text) => {
    expect(lint(text, schema)).toEqual([]);
  });

  test('sees what a statement is built of', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-sql-'));
    try {
      await writeFile(
        join(directory, 'planted.ts'),
        'const columns = `a, b`;\nexport const list = (order: string) => `SELECT ${columns} FROM ledger_accounts ORDER BY ${order}`;\n',
      );
      const found = JSON.parse((await runNode(['test/support/sql-literals.mjs', directory])).output) as Literal[];
      expect(found).toEqual([{ file: 'planted.ts', line: 2, text: 'SELECT a, b FROM ledger_accounts ORDER BY \0', dynamic: ['order'] }]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
