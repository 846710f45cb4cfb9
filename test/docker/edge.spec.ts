import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findNginx } from '../../src/cli/topology/edge.js';
import { partitionOf } from '../../src/platform/log/partition.js';
import { HttpClient } from '../support/client.js';
import { root } from '../support/command.js';
import { eventually } from '../support/eventually.js';
import { describeWith } from '../support/installed.js';
import { ScriptedNode } from '../support/scripted-node.js';
import { freePort } from '../support/server.js';

const nginx = findNginx();
const partitions = 16;

/** A connection of its own: an nginx that reads its files again closes those that are idle. */
const alone = { connection: 'close' };

/** docker/edge.sh with a real nginx; what DNS knows is in files that a `getent` of the test's own reads. */
describeWith({ nginx }, 'The load balancer of compose and Kubernetes', () => {
  let directory: string;
  let port: number;
  let nodes: ScriptedNode[];
  let edge: ChildProcess;
  let client: HttpClient;

  const dnsSays = async (name: string, addresses: readonly string[]) => {
    await writeFile(join(directory, 'dns', `${name}.new`), addresses.map((address) => `${address} STREAM ${name}\n${address} DGRAM\n`).join(''));
    await rename(join(directory, 'dns', `${name}.new`), join(directory, 'dns', name));
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rialto-dns-'));
    await chmod(directory, 0o755); // As root, nginx works as another user.
    await mkdir(join(directory, 'bin'));
    await mkdir(join(directory, 'dns'));
    await writeFile(join(directory, 'bin', 'getent'), `#!/bin/sh\n[ "$1" = ahostsv4 ] && cat "${directory}/dns/$2"\n`, { mode: 0o755 });
    port = await freePort();
    nodes = [];
    for (const address of ['127.0.0.2', '127.0.0.3', '127.0.0.4']) nodes.push(await ScriptedNode.start(address, port));
    const listen = await freePort();
    const log = await open(join(directory, 'log'), 'a');
    edge = spawn(join(root, 'docker/edge.sh'), [], {
      env: {
        PATH: `${join(directory, 'bin')}:${dirname(nginx!)}:${process.env.PATH}`,
        COMMAND: 'command.shop',
        QUERY: 'query.shop',
        NODE_PORT: String(port),
        PARTITIONS: String(partitions),
        LISTEN: `127.0.0.1:${listen}`,
        EDGE_DIRECTORY: join(directory, 'edge'),
      },
      // nginx opens /dev/stdout, which can not be done with a socket: that is what Node's pipes are.
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    client = new HttpClient({ url: `http://127.0.0.1:${listen}` });
    await eventually(() => client.get('/health/live', alone).catch(() => undefined), (answer) => answer?.status === 200);
  });

  afterAll(async () => {
    client?.close();
    if (edge && edge.exitCode === null) {
      edge.kill('SIGTERM');
      await once(edge, 'exit');
    }
    await Promise.all(nodes.map((node) => node.close()));
    await rm(directory, { recursive: true, force: true });
  });

  /** Which node each partition's writes go to. */
  const owners = async () => {
    const found = new Map<number, Set<number>>();
    for (let n = 0; n < 100; n++) {
      for (const node of nodes) node.seen.length = 0;
      await client.post(`/v1/ledgers/key-${n}/accounts`, {}, alone);
      const partition = partitionOf(`key-${n}`, partitions);
      found.set(partition, (found.get(partition) ?? new Set()).add(nodes.findIndex(({ seen }) => seen.length > 0)));
    }
    return found;
  };
  const counts = (found: Map<number, Set<number>>) => nodes.map((_node, index) => [...found.values()].filter((one) => one.has(index)).length);

  test('answers that no node answered, as long as DNS knows none', async () => {
    for (const answer of [await client.get('/v1/products', alone), await client.post('/v1/orders', {}, alone)]) {
      expect([answer.status, answer.body.code]).toEqual([502, 'bad-gateway']);
    }
  });

  test('finds nodes that come, and gives each the writes of its partitions', async () => {
    await dnsSays('query.shop', ['127.0.0.4']);
    await dnsSays('command.shop', ['127.0.0.3', '127.0.0.2']);
    await eventually(() => client.get('/v1/products', alone), ({ status }) => status === 200);
    await eventually(() => client.post('/v1/orders', {}, alone), ({ status }) => status === 200);
    const found = await eventually(owners, (all) => counts(all)[1]! > 0 && [...all.values()].every(({ size }) => size === 1));
    expect(counts(found)).toEqual([8, 8, 0]);
  });

  test('shares the partitions out anew when there are more nodes, without failing a request', async () => {
    await dnsSays('command.shop', ['127.0.0.4', '127.0.0.2', '127.0.0.3']);
    const failures: unknown[] = [];
    await eventually(
      async () => {
        const { status } = await client.post('/v1/ledgers/any/accounts', {}, { 'idempotency-key': 'any', ...alone });
        if (status !== 200) failures.push(status);
        return readFile(join(directory, 'edge/nodes/command.conf'), 'utf8');
      },
      (lines) => lines.includes('127.0.0.4'),
    );
    // An nginx that was told to read its files again may take the next request as it was.
    const found = await eventually(owners, (all) => counts(all)[2]! > 0 && [...all.values()].every(({ size }) => size === 1));
    expect(counts(found)).toEqual([6, 5, 5]);
    expect(failures).toEqual([]);
  });

  test('keeps the nodes it knows when DNS does not answer', async () => {
    await dnsSays('command.shop', []);
    await dnsSays('query.shop', ['127.0.0.2', '127.0.0.4']); // That it has looked since shows in this.
    await eventually(() => readFile(join(directory, 'edge/nodes/query.conf'), 'utf8'), (lines) => lines.includes('127.0.0.2'));
    expect((await client.post('/v1/orders', {}, alone)).status).toBe(200);
  });

  test('answers what is under way when it is stopped', async () => {
    for (const node of nodes) node.behaviour = (response) => void setTimeout(() => response.end('{}'), 500);
    const underWay = client.get('/v1/products');
    await eventually(async () => nodes.some(({ seen }) => seen.some(({ url }) => url === '/v1/products')), (isThere) => isThere);
    for (const node of nodes) node.seen.length = 0;
    edge.kill('SIGTERM');
    expect((await underWay).status).toBe(200);
    if (edge.exitCode === null) await once(edge, 'exit');
    const output = await readFile(join(directory, 'log'), 'utf8');
    expect([edge.exitCode, output]).toEqual([0, expect.stringContaining('command nodes: 127.0.0.2 127.0.0.3 127.0.0.4')]);
  });
});
