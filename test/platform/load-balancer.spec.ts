import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Edge, findNginx, startEdge } from '../../src/cli/topology/edge.js';
import { platformProblems } from '../../src/platform/http/problem.js';
import { partitionOf } from '../../src/platform/log/partition.js';
import { HttpClient } from '../support/client.js';
import { describeWith } from '../support/installed.js';
import { ScriptedNode, answers, answersAfter, declines, hangsUp, staysSilent } from '../support/scripted-node.js';
import { freePort } from '../support/server.js';

const nginx = findNginx();
const partitions = 16;
const keyed = { 'idempotency-key': 'one' };
const transfers = '/v1/ledgers/main/transactions';

/** docker/nginx.conf in a real nginx, before nodes that do as they are told. Each test has fresh ones. */
describeWith({ nginx }, 'The load balancer', () => {
  let directory: string;
  let command: ScriptedNode[];
  let query: ScriptedNode[];
  let edge: Edge;
  let client: HttpClient;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rialto-edge-'));
    await chmod(directory, 0o755); // As root, nginx works as another user.
    command = [await ScriptedNode.start(), await ScriptedNode.start()];
    query = [await ScriptedNode.start(), await ScriptedNode.start()];
    const ports = (nodes: ScriptedNode[]) => nodes.map(({ port }) => port);
    edge = await startEdge(nginx!, directory, await freePort(), { command: ports(command), query: ports(query) }, partitions);
    client = new HttpClient(edge);
  });

  afterEach(async () => {
    client?.close();
    await edge?.service.end('SIGTERM');
    await Promise.all([...command, ...query].map((node) => node.close()));
    await rm(directory, { recursive: true, force: true });
  });

  const seenBy = (nodes: ScriptedNode[]) => nodes.flatMap(({ seen }) => seen.map(({ method, url }) => `${method} ${url}`));
  const all = (nodes: ScriptedNode[], behaviour: ScriptedNode['behaviour']) => nodes.forEach((node) => (node.behaviour = behaviour));
  /** Of the node that the next write of the ledger `main` goes to. */
  const owner = async () => {
    await client.post(transfers, {});
    const found = command.find(({ seen }) => seen.length > 0)!;
    found.seen.length = 0;
    return { owner: found, other: command.find((node) => node !== found)! };
  };

  test('sends reads to the query nodes, and writes and what is known of commands to the command nodes', async () => {
    await client.get('/v1/products?q=chair');
    await client.request('HEAD', '/v1/ledgers/main/accounts');
    expect(seenBy(query).sort()).toEqual(['GET /v1/products?q=chair', 'HEAD /v1/ledgers/main/accounts']);
    await client.post('/v1/orders', {});
    await client.request('PATCH', '/v1/products/chair', { body: {} });
    await client.request('PUT', '/v1/products/chair/variants/red', { body: {} });
    await client.get('/v1/commands/7.abc');
    await client.post('/v1/commands/7.abc/redrive');
    expect(seenBy(command)).toHaveLength(5);
    expect(seenBy(query)).toHaveLength(2);
  });

  test('shares reads out among the query nodes', async () => {
    for (let read = 0; read < 10; read++) await client.get('/v1/products');
    expect(query.map(({ seen }) => seen.length)).toEqual([5, 5]);
  });

  test('sends all writes of a partition to one command node, which has as many partitions as the other', async () => {
    const takers = new Map<number, Set<ScriptedNode>>();
    for (let n = 0; n < 200; n++) {
      const writes = [`/v1/ledgers/key-${n}/transactions`, `/v1/stock/key-${n}/reservations/r/commit`, `/v1/orders/key-${n}/cancel`];
      await client.post(writes[n % writes.length]!, {});
      const taker = command.find(({ seen }) => seen.length > 0)!;
      taker.seen.length = 0;
      const partition = partitionOf(`key-${n}`, partitions);
      takers.set(partition, (takers.get(partition) ?? new Set()).add(taker));
    }
    expect(takers.size).toBe(partitions);
    expect([...takers.values()].map((nodes) => nodes.size)).toEqual(Array(partitions).fill(1));
    expect([...takers.values()].filter((nodes) => nodes.has(command[0]!))).toHaveLength(partitions / 2);
  });

  test("knows the module's partition keys: those of a ledger, a SKU, an order, the catalogue", async () => {
    const paths = ['/v1/ledgers/a/accounts', '/v1/ledgers/a/transactions/bulk', '/v1/stock/a/receipts', '/v1/orders/a/cancel', '/v1/ledgers/%61/accounts'];
    for (const path of paths) await client.post(path, {});
    expect(command.map(({ seen }) => seen.length).sort((a, b) => a - b)).toEqual([0, paths.length]);
  });

  test('sends all writes of the catalogue to one command node, and spreads new orders', async () => {
    for (let n = 0; n < 10; n++) await client.request('PATCH', `/v1/products/p-${n}`, { body: {} });
    await client.post('/v1/products', {});
    expect(command.map(({ seen }) => seen.length).sort((a, b) => a - b)).toEqual([0, 11]);
    for (let n = 0; n < 40; n++) await client.post('/v1/orders', {});
    for (const { seen } of command) expect(seen.filter(({ url }) => url === '/v1/orders').length).toBeGreaterThan(0);
  });

  test('sends the repetition of a new order to the node of its first try', async () => {
    for (let n = 0; n < 20; n++) for (let time = 0; time < 2; time++) await client.post('/v1/orders', {}, { 'idempotency-key': `order-${n}` });
    const [first, second] = command.map(({ seen }) => seen.map(({ headers }) => String(headers['idempotency-key'])));
    expect(first!.filter((key) => second!.includes(key))).toEqual([]);
    expect([...first!, ...second!]).toHaveLength(40);
  });

  test('asks another node about a read, and about a write with a key, when one hangs up', async () => {
    query[0]!.behaviour = hangsUp;
    for (let read = 0; read < 4; read++) expect((await client.get('/v1/products')).status).toBe(200);
    expect(query[0]!.seen.length).toBeGreaterThan(0);
    const { owner: gone, other } = await owner();
    gone.behaviour = hangsUp;
    expect((await client.post(transfers, { amount: '1' }, keyed)).status).toBe(200);
    expect(gone.seen).toHaveLength(1);
    expect(other.seen).toMatchObject([{ url: transfers, bytes: 14, headers: keyed }]);
  });

  test('never asks a second node about a write without a key that a first one may have seen', async () => {
    const { owner: gone, other } = await owner();
    gone.behaviour = hangsUp;
    const answer = await client.post(transfers, {});
    expect([answer.status, answer.body.code]).toEqual([502, 'bad-gateway']);
    expect([gone.seen.length, other.seen.length]).toEqual([1, 0]);
  });

  test('asks another node about any write that the first one can not have seen', async () => {
    const { owner: gone, other } = await owner();
    await gone.close();
    expect((await client.post(transfers, {})).status).toBe(200);
    expect(other.seen).toHaveLength(1);
  });

  test('takes to another node what a node declines, with a key or without one', async () => {
    const { owner: starting, other } = await owner();
    starting.behaviour = declines;
    for (const headers of [{}, keyed]) {
      const answer = await client.post(transfers, { amount: '1' }, headers);
      expect([answer.status, answer.headers['x-accel-redirect']]).toEqual([200, undefined]);
    }
    expect(other.seen).toMatchObject([{ method: 'POST', url: transfers, bytes: 14 }, { method: 'POST', url: transfers, bytes: 14 }]);
    query[0]!.behaviour = declines;
    for (let read = 0; read < 4; read++) expect((await client.get('/v1/products')).status).toBe(200);
  });

  test('passes on what the nodes say when all decline', async () => {
    all([...command, ...query], declines);
    for (const answer of [await client.get('/v1/products'), await client.post(transfers, {}), await client.post(transfers, {}, keyed)]) {
      expect([answer.status, answer.body.code]).toEqual([503, 'starting']);
    }
  });

  test('passes on that a node is overloaded or a view behind, and does not take the node for broken', async () => {
    all(command, answers(503, 'overloaded', { 'retry-after': '1' }));
    all(query, answers(503, 'projection-behind'));
    for (let time = 1; time <= 8; time++) {
      const write = await client.post(transfers, {}, keyed);
      expect([write.status, write.body.code, write.headers['retry-after']]).toEqual([503, 'overloaded', '1']);
      expect((await client.get('/v1/products')).body.code).toBe('projection-behind');
      expect([seenBy(command).length, seenBy(query).length]).toEqual([time, time]);
    }
  });

  test('asks another node about what a silent node does not answer in time', async () => {
    query[0]!.behaviour = staysSilent;
    const { owner: silent, other } = await owner();
    silent.behaviour = staysSilent;
    const reads = [client.get('/v1/products'), client.get('/v1/products')];
    const write = client.post(transfers, {}, keyed);
    for (const { status } of await Promise.all([...reads, write])) expect(status).toBe(200);
    expect([silent.seen.length, other.seen.length]).toEqual([1, 1]);
  });

  test('leaves out a node that has failed three times, and goes back to it when all others have failed too', async () => {
    query[0]!.behaviour = hangsUp;
    for (let read = 0; read < 20; read++) expect((await client.get('/v1/products')).status).toBe(200);
    // Three, unless the reads take longer than the five seconds after which one of them tries it again.
    expect(query[0]!.seen.length).toBeGreaterThanOrEqual(3);
    expect(query[0]!.seen.length).toBeLessThan(8);
    query[1]!.behaviour = hangsUp;
    for (let read = 0; read < 5; read++) expect((await client.get('/v1/products')).status).toBe(502);
    all(query, answers(200));
    expect((await client.get('/v1/products')).status).toBe(200);
  });

  test('lets a write wait for its verdict', async () => {
    all(command, answersAfter(6_000));
    const answers = await Promise.all([
      client.post('/v1/orders', {}, { ...keyed, prefer: 'respond-sync, wait=30' }),
      client.post('/v1/orders/one/fulfil', undefined, keyed),
      client.post('/v1/orders', {}, { prefer: 'wait=30' }),
    ]);
    for (const { status } of answers) expect(status).toBe(200);
    expect(seenBy(command)).toHaveLength(3);
  });

  test('answers with a problem document when no node answers in time', async () => {
    all(query, staysSilent);
    const answer = await client.get('/v1/products', { 'request-id': 'mine' });
    expect(answer).toMatchObject({ status: 504, headers: { 'content-type': 'application/problem+json', 'retry-after': '1', 'request-id': 'mine' } });
    expect(answer.body).toMatchObject({ code: 'gateway-timeout', title: platformProblems['gateway-timeout'].title });
  });

  test('says what it has to say itself in problem documents with the codes of the nodes', async () => {
    all(query, hangsUp);
    const problems = [
      await client.get('/v1/products'),
      await client.get('/nothing'),
      await client.request('TRACE', '/v1/products'),
      await client.get(`/v1/${'a'.repeat(9_000)}`),
      await client.get('/v1/products', { cookie: 'a'.repeat(9_000) }),
      await client.post(transfers, 'a'.repeat(1_048_577)),
    ];
    expect(problems.map(({ body }) => body.code)).toEqual(['bad-gateway', 'not-found', 'method-not-allowed', 'uri-too-long', 'bad-request', 'body-too-large']);
    for (const { status, headers, body } of problems) {
      const { status: known, title } = platformProblems[body.code as keyof typeof platformProblems];
      expect({ status, body }).toEqual({ status: known, body: { type: `/docs/errors#${body.code}`, title, status: known, detail: expect.any(String), code: body.code } });
      expect(headers).toMatchObject({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', server: 'nginx' });
    }
    expect(await rawAnswer(edge.url, 'NONSENSE\r\n\r\n')).toContain('"code":"bad-request"');
  });

  test('takes bodies as large as the nodes do, and no larger', async () => {
    const bulk = `${transfers}/bulk`;
    expect((await client.post(transfers, 'a'.repeat(1_048_576))).status).toBe(200);
    expect((await client.post(bulk, 'a'.repeat(16_777_216))).status).toBe(200);
    expect((await client.post(bulk, 'a'.repeat(16_777_217))).body.code).toBe('body-too-large');
    expect(command.flatMap(({ seen }) => seen.map(({ bytes }) => bytes)).sort((a, b) => a - b)).toEqual([1_048_576, 16_777_216]);
  });

  test('shows nothing of the nodes but their API', async () => {
    const paths = ['/metrics', '//metrics', '/%6detrics', '/v1/../metrics', '/v1/%2e%2e/metrics', '/health/ready', '/health/startup', '/', '/v1'];
    for (const path of paths) expect([path, (await client.get(path)).body.code]).toEqual([path, 'not-found']);
    expect([...seenBy(command), ...seenBy(query)]).toEqual([]);
    expect((await client.get('/health/live')).body).toEqual({ status: 'ok' });
  });

  test("hands the client's name of the request on, or gives it one", async () => {
    await client.get('/v1/products', { 'request-id': 'mine' });
    await client.get('/v1/products', { 'request-id': 'a'.repeat(200) });
    await client.get('/v1/products');
    const names = query.flatMap(({ seen }) => seen.map(({ headers }) => headers['request-id']));
    expect(names.sort()).toEqual([expect.stringMatching(/^[\da-f]{32}$/), expect.stringMatching(/^[\da-f]{32}$/), 'mine']);
  });
});

function rawAnswer(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), hostname, () => socket.write(request));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}
