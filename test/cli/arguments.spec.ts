import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { root, runNode } from '../support/command.js';
import { freePort } from '../support/server.js';

const tools = readdirSync(`${root}src/cli`)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));
const programOf = (name: string) => `${root}dist/cli/${name}.js`;
/** Nothing of the machine's settings, and nowhere to go: what a tool does before it reads its arguments fails. */
const env = { PATH: process.env.PATH, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' };

describe('Every tool', () => {
  test.each(tools)('%s --help says how it is used, and that is all', async (name) => {
    const { code, output } = await runNode([programOf(name), '--help'], root, { env });
    expect(output).toMatch(/^Usage: npm run /);
    expect(code).toBe(0);
  });

  test.each(tools)('%s refuses an option that it does not know, and says how it is used', async (name) => {
    const { code, output } = await runNode([programOf(name), '--nothing'], root, { env });
    expect(output).toMatch(/^Unknown option '--nothing'[^]*\n\nUsage: npm run /);
    expect(code).toBe(1);
  });

  test('ends quietly when nobody reads what it says any more', async () => {
    const child = spawn(process.execPath, [programOf('simulate-autoscale')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(errors).toBe('');
    expect(code).toBe(0);
  });
});

describe('A tool that is a client', () => {
  const calls: [string, ...string[]][] = [['seed', '--products', '0', '--customers', '1'], ['import', 'bench/nothing.csv']];

  test.each(calls)('%s goes to the server of PORT and HOST, and names it', async (name, ...options) => {
    const port = await freePort();
    /** What it says first; nobody answers it, so that is all that is waited for. */
    const begin = async (settings: object) => {
      const child = spawn(process.execPath, [programOf(name), ...options], { env: { ...env, ...settings }, stdio: ['ignore', 'ignore', 'pipe'] });
      const [chunk] = (await once(child.stderr, 'data')) as [Buffer];
      child.kill('SIGKILL');
      return chunk.toString();
    };
    expect(await begin({ PORT: String(port) })).toContain(`http://127.0.0.1:${port}\n`);
    expect(await begin({ PORT: '4000', HOST: '0.0.0.0' })).toContain('http://127.0.0.1:4000\n');
    expect(await begin({ PORT: '4000', HOST: '::1' })).toContain('http://[::1]:4000\n');
    expect(await begin({ PORT: '0' })).toContain('name the server with --url');
  });
});
