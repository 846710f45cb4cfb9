import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClient, StockClient } from '../support/client.js';
import { root, runNode } from '../support/command.js';
import { createTestDatabase } from '../support/database.js';
import { startRialto } from '../support/server.js';
import { tool } from '../support/tool.js';

const program = `${root}dist/cli/flash-sale.js`;
const size = ['--units', '20', '--buyers', '200'];

describe('npm run flash-sale', () => {
  /** Where it puts its database. */
  let directory: string;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rialto-sales-'));
    await chmod(directory, 0o755); // Root runs PostgreSQL as another user.
    env = { ...process.env, TMPDIR: directory };
  });

  afterAll(() => rm(directory, { recursive: true }));

  test('sells what there is on a server of its own, proves it, and leaves nothing behind', async () => {
    const { code, output } = await runNode([program, ...size], root, { env, timeout: 150_000 });
    expect(output).toMatch(/units sold +20 of 20, to 200 buyers/);
    expect(output).toMatch(/orders +200: 20 confirmed, 180 rejected \(insufficient-stock\)/);
    expect(output).toMatch(/money +merchant 399\.80 EUR pending, 0\.00 EUR booked; buyers 399\.80 EUR set aside/);
    expect(output).toMatch(/sent twice +40 buyers; orders per key: 1 at most/);
    expect(output).toMatch(/audit +clean/);
    expect(output).toContain('RIGHT: ');
    expect(code).toBe(0);
    expect(await readdir(directory)).toEqual([]);
  }, 180_000);

  test('also when the server is killed again and again', async () => {
    // Fewer connections than buyers: whenever the server is killed, some have yet to ask, and find nobody there.
    const { code, output } = await runNode([program, ...size, '--chaos', '--connections', '50'], root, { env, timeout: 200_000 });
    expect(output).toMatch(/server killed [1-4] times/);
    expect(output).toMatch(/sent again +[1-9]\d* times/);
    expect(output).toMatch(/audit +clean/);
    expect(output).toContain('RIGHT: ');
    expect(code).toBe(0);
  }, 240_000);

  test('at another server it audits the database that is named, or says that it did not', async () => {
    const database = await createTestDatabase();
    const server = await startRialto(database.url);
    try {
      const audited = await tool(database, 'flash-sale', ...size, '--url', server.url).ended;
      expect(audited.output).toMatch(/audit +clean/);
      expect(audited.code).toBe(0);
      const { code, output } = await runNode([program, ...size, '--url', server.url]);
      expect(output).toMatch(/audit +skipped: set DATABASE_URL/);
      expect(code).toBe(0);
    } finally {
      await server.kill();
      await database.drop();
    }
  }, 120_000);

  test('says what is wrong, with exit code 1: here there are more units than it put there', async () => {
    const database = await createTestDatabase();
    const server = await startRialto(database.url);
    const http = new HttpClient(server);
    try {
      expect((await new StockClient(http, 'tampered').receive(5)).status).toBe(201);
      const { code, output } = await tool(database, 'flash-sale', ...size, '--url', server.url, '--name', 'tampered').ended;
      expect(output).toContain('WRONG:\n  25 units were sold, not 20\n');
      expect(output).toContain('25 units are on hand, not the 20 that were received');
      expect(code).toBe(1);
    } finally {
      http.close();
      await server.kill();
      await database.drop();
    }
  }, 120_000);

  test('leaves nothing behind when it is interrupted', async () => {
    const child = spawn(process.execPath, [program, '--buyers', '5000'], { cwd: root, env, stdio: ['ignore', 'pipe', 'ignore'] });
    const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    expect(await exited).toBe(130);
    expect(await readdir(directory)).toEqual([]);
  }, 120_000);
});
