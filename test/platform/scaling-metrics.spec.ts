import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { HttpClient, LedgerClient } from '../support/client.js';
import { root } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually, untilPasses } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function samplesOf(text: string): Sample[] {
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name: name!,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label!, text!])),
    value: Number(value),
  }));
}

/** The samples that a selector of Prometheus names: `name{label="value",label=~"pattern"}`. */
function selected(samples: readonly Sample[], selector: string): Sample[] {
  const [, name, matchers = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(selector)!;
  const wanted = [...matchers.matchAll(/(\w+)(=~?)"([^"]*)"/g)].map(([, label, operator, text]) => {
    const pattern = operator === '=~' ? new RegExp(`^(${text})$`) : undefined;
    return (labels: Sample['labels']) => (pattern ? pattern.test(labels[label!] ?? '') : labels[label!] === text);
  });
  return samples.filter((sample) => sample.name === name && wanted.every((matches) => matches(sample.labels)));
}

const file = (path: string) => readFileSync(join(root, 'docker/kubernetes', path), 'utf8');

/** What KEDA would ask Prometheus for the worker. */
function queryOf(worker: string): string {
  const scaled = parseAllDocuments(file(`base/${worker}.yaml`)).map((document) => document.toJS()).find(({ kind }) => kind === 'ScaledObject');
  return scaled.spec.triggers.find(({ type }: { type: string }) => type === 'prometheus').metadata.query as string;
}

/** Its answer from these samples: `max` of a selector, or nothing. */
function answered(query: string, samples: readonly Sample[]): number | undefined {
  const values = selected(samples, /^max\((.*)\)$/.exec(query)![1]!).map(({ value }) => value);
  return values.length === 0 ? undefined : Math.max(...values);
}

describe('What autoscalers read from the nodes', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let servers: RialtoServer[];
  let writing: HttpClient;
  let reading: HttpClient;
  let ledger: LedgerClient;

  const metrics = async (http: HttpClient) => samplesOf((await http.get('/metrics')).text);
  const lagOfViews = async () => answered(queryOf('query-worker'), await metrics(reading));
  const ageOfInbox = async () => answered(queryOf('command-worker'), await metrics(writing));

  // Nobody works, so what waits is what the test has made.
  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await TcpProxy.to(database.url);
    servers = await Promise.all(['command', 'query'].map((ROLE) => startRialto(proxy.urlOf(database.url), { ROLE, RUN_WORKERS: 'false' })));
    [writing, reading] = servers.map((server) => new HttpClient(server)) as [HttpClient, HttpClient];
    ledger = new LedgerClient(writing, 'main');
    await ledger.openSource('world');
    await ledger.openAccount('alice');
    for (let n = 0; n < 5; n++) await ledger.transfer('world', 'alice', 1);
  });

  afterAll(async () => {
    for (const http of [writing, reading]) http?.close();
    await Promise.all((servers ?? []).map((server) => server.kill()));
    await proxy?.close();
    await database?.drop();
  });

  test('is how many events the views lack, apart from the sagas', async () => {
    expect(await lagOfViews()).toBe(7);
    const { rows } = await database.pool.query(`SELECT 1 FROM checkpoints WHERE consumer = 'ledger-accounts'`);
    expect(rows.length).toBeGreaterThan(0);
    const kinds = async (http: HttpClient) => new Set(selected(await metrics(http), 'rialto_consumer_lag_events').map(({ labels }) => labels.kind));
    expect([await kinds(writing), await kinds(reading)]).toEqual([new Set(['saga']), new Set(['view'])]);
    expect(selected(await metrics(writing), 'rialto_consumer_lag_events{consumer="ordering.carry-out-order"}').map(({ value }) => value)).toEqual([7]);
  });

  test('is not what a rebuild or a view of the past has left behind', async () => {
    await database.pool.query(`UPDATE partitions SET head = head + 100`);
    await database.pool.query(`UPDATE checkpoints c SET position = p.head FROM partitions p WHERE p.partition = c.partition`);
    await database.pool.query(`
      INSERT INTO checkpoints (consumer, partition, position)
      SELECT consumer, partition, 0 FROM partitions, unnest(ARRAY['ledger-accounts#rebuild', 'gone']) AS consumer`);
    expect(await lagOfViews()).toBe(0);
    expect(selected(await metrics(reading), 'rialto_consumer_lag_events').map(({ labels }) => labels.consumer)).not.toContain('gone');
  });

  test('is not what waits behind an event that a view can not get past; that is told apart', async () => {
    await database.pool.query(`UPDATE checkpoints SET position = position - 60, failed_position = position - 59 WHERE consumer = 'ledger-accounts' AND partition = 1`);
    await database.pool.query(`UPDATE checkpoints SET position = position - 3 WHERE consumer = 'ledger-accounts' AND partition = 2`);
    expect(await lagOfViews()).toBe(3);
    const stuck = selected(await metrics(reading), 'rialto_consumer_lag_events{state="stuck"}');
    expect(stuck.map(({ labels, value }) => [labels.consumer, value])).toEqual([['ledger-accounts', 60]]);
    await database.pool.query(`UPDATE checkpoints SET failed_position = NULL WHERE failed_position IS NOT NULL`);
    expect(await lagOfViews()).toBe(63);
    expect(selected(await metrics(reading), 'rialto_consumer_lag_events{state="stuck"}')).toEqual([]);
  });

  test('is for how long the oldest due command has waited', async () => {
    expect(await ageOfInbox()).toBe(0);
    const accepted = await ledger.transfer('world', 'alice', 1, { headers: { prefer: 'respond-async' } });
    expect(accepted.status).toBe(202);
    await database.pool.query(`UPDATE commands SET due_at = clock_timestamp() - interval '100 s' WHERE status = 'accepted'`);
    const age = await ageOfInbox();
    expect(age).toBeGreaterThanOrEqual(100);
    expect(age).toBeLessThan(160);
  });

  test('is how many requests of the API there were, and none of health and metrics', async () => {
    const { metricsQuery } = parse(file('prometheus-adapter.yaml')).rules.custom[0] as { metricsQuery: string };
    const selector = /rate\((.*)\[30s\]\)/.exec(metricsQuery)![1]!.replace('<<.LabelMatchers>>,', '');
    const requests = async () => selected(await metrics(reading), selector).reduce((sum, { value }) => sum + value, 0);
    const before = await requests();
    for (let n = 0; n < 4; n++) await reading.get('/v1/ledgers/main/accounts/alice');
    for (const path of ['/health/live', '/health/ready', '/metrics']) await reading.get(path);
    await untilPasses(async () => expect(await requests()).toBe(before + 4));
  });

  test('is nothing while PostgreSQL is away: not what it was before', async () => {
    expect([await lagOfViews(), await ageOfInbox()].every((value) => value! > 0)).toBe(true);
    proxy.refuse();
    expect([await lagOfViews(), await ageOfInbox()]).toEqual([undefined, undefined]);
    proxy.allow();
    await eventually(lagOfViews, (lag) => lag === 63);
    await eventually(ageOfInbox, (age) => age! > 100);
  });
});
