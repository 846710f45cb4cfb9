import { readdir, readFile } from 'node:fs/promises';
import { findNginx } from '../../src/cli/topology/edge.js';
import { findProgram } from '../../src/cli/topology/service.js';
import { nodeFlags } from '../../src/node-flags.js';
import { type TestDatabase, createTestDatabase } from '../support/database.js';
import { HttpClient, LedgerClient } from '../support/client.js';
import { untilPasses } from '../support/eventually.js';
import { describeWith } from '../support/installed.js';
import { freePort } from '../support/server.js';
import { tool } from '../support/tool.js';

describeWith({ nginx: findNginx(), 'redis-server': findProgram('redis-server') }, 'npm run topology', () => {
  let database: TestDatabase;
  let started: ReturnType<typeof tool> | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    started?.child.kill('SIGKILL');
    await database?.drop();
  });

  test('runs nodes of both roles behind nginx, prints their addresses, and leaves nothing behind', async () => {
    const port = await freePort();
    started = tool(database, 'topology', '--command', '1', '--query', '2', '--port', String(port));
    let output = '';
    started.child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const edge = { url: `http://127.0.0.1:${port}` };
    await untilPasses(async () => expect(output).toContain(`The topology is ready on ${edge.url}\n`), 50_000);
    const urls = [...output.matchAll(/^ {2}(?:command|query)-\d +(http:\S+)$/gm)].map(([, url]) => url!);
    expect(urls).toHaveLength(3);
    const nodes = (await commandLinesOfChildren(started.child.pid!)).filter((words) => words.at(-1)!.endsWith('dist/main.js'));
    expect(nodes).toHaveLength(3);
    for (const words of nodes) expect(words).toEqual(expect.arrayContaining([...nodeFlags]));
    expect(output).toMatch(/^ {2}redis +redis:\/\/127\.0\.0\.1:\d+$/m);

    const client = new HttpClient(edge);
    const ledger = new LedgerClient(client, 'shop');
    const token = (await ledger.openAccount('till')).headers['consistency-token'] as string;
    expect((await ledger.account('till', '', { 'consistency-token': token })).body).toMatchObject({ accountId: 'till', balance: '0' });
    client.close();

    started.child.kill('SIGINT');
    expect(await started.ended).toMatchObject({ code: 0 });
    for (const url of [edge.url, ...urls]) await expect(fetch(`${url}/health/live`)).rejects.toThrow();
  });

  test('says how it is used when it is asked for nodes that can not be', async () => {
    const { ended } = tool(database, 'topology', '--command', '0');
    expect(await ended).toMatchObject({ code: 1, output: expect.stringContaining('--command: got 0; a whole number from 1 to 16') });
  });
});

async function commandLinesOfChildren(pid: number): Promise<string[][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const processes = await Promise.all(
    pids.map(async (child) => {
      // One may end meanwhile.
      const [status, words] = await Promise.all(['status', 'cmdline'].map((file) => readFile(`/proc/${child}/${file}`, 'utf8').catch(() => '')));
      return { parent: Number(/^PPid:\s+(\d+)/m.exec(status!)?.[1]), words: words!.split('\0').slice(0, -1) };
    }),
  );
  return processes.filter(({ parent, words }) => parent === pid && words.length > 0).map(({ words }) => words);
}
