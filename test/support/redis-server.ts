import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { freePort } from './server.js';

const isInstalled = spawnSync('redis-server', ['--version']).status === 0;

/**
 * `describe`, for suites that need a Redis. Where there is none they are left out, and the run says so; in CI that is
 * a failure.
 */
export const describeWithRedis = ((name: string, suite: () => void) => {
  if (isInstalled) return describe(name, suite);
  const missing = `redis-server is not installed (Debian: apt-get install redis-server), so this was left out: ${name}`;
  if (process.env.CI === 'true') return test(name, () => Promise.reject(new Error(missing)));
  process.stderr.write(`${missing}\n`);
  describe.skip(name, suite);
}) as (name: string, suite: () => void) => void;

/**
 * A Redis of the test's own. It keeps its address over restarts, forgets everything when it is killed unless told to
 * keep it, and ends with the test's process.
 */
export class RedisServer {
  private shell: ChildProcess | undefined;
  private pid = 0;
  private client: Redis | undefined;

  private constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  /** Not started yet. */
  static async create(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    return new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'rialto-redis-')), settings);
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    const server = await RedisServer.create(settings);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.shell !== undefined;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const given = { bind: '127.0.0.1', port: String(this.port), dir: this.directory, save: '', ...this.settings };
    const options = Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]);
    // The shell ends the server when its own input ends, which is when the test's process does, however that may be.
    const script = 'redis-server "$@" >/dev/null & echo $!; read -r line; kill -KILL $!; wait $!';
    this.shell = spawn('sh', ['-c', script, 'sh', ...options], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.pid = Number(String(((await once(this.shell.stdout!, 'data')) as [Buffer])[0]));
    this.client = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null, disconnectTimeout: 50 });
    this.client.on('error', () => undefined);
    await this.command('PING');
  }

  async command(name: string, ...values: (string | number)[]): Promise<unknown> {
    return this.client!.call(name, ...values);
  }

  /** Ends it at once: nothing is written to disk. */
  async kill(): Promise<void> {
    this.client?.disconnect();
    const { shell } = this;
    this.shell = undefined;
    if (!shell) return;
    this.thaw();
    shell.stdin!.end();
    if (shell.exitCode === null) await once(shell, 'exit');
  }

  /** It keeps its connections, and takes new ones, and says nothing. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** For good. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Six nodes on loopback: three masters, each with a replica that takes its place. */
export class RedisCluster {
  private constructor(readonly nodes: readonly RedisServer[]) {}

  static async start(): Promise<RedisCluster> {
    // So long that nodes which are kept waiting by a busy machine still meet.
    const settings = { 'cluster-enabled': 'yes', 'cluster-node-timeout': '15000', 'repl-diskless-sync-delay': '0' };
    const nodes: RedisServer[] = [];
    for (let i = 0; i < 6; i++) {
      nodes.push(await RedisServer.start({ ...settings, 'cluster-port': String(await freePort()) }));
    }
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'];
    // It waits for the nodes to meet, without a limit of its own.
    await promisify(execFile)('redis-cli', create, { timeout: 60_000, killSignal: 'SIGKILL' });
    const cluster = new RedisCluster(nodes);
    await cluster.isWhole();
    // From now on a master that is gone is soon replaced.
    await Promise.all(nodes.map((node) => node.command('CONFIG', 'SET', 'cluster-node-timeout', '1000')));
    return cluster;
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** The node that has a key's slot now. */
  async masterOf(key: string): Promise<RedisServer> {
    for (const node of this.nodes) {
      if (!node.isRunning) continue;
      const slot = (await node.command('CLUSTER', 'KEYSLOT', key)) as number;
      const slots = (await node.command('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
      const [, , [, port]] = slots.find(([from, to]) => from <= slot && slot <= to)!;
      return this.nodes.find((other) => other.port === port)!;
    }
    throw new Error('no node of the cluster is running');
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  /** All slots are served, and every replica has what its master has: only then can it take its place. */
  private async isWhole(): Promise<void> {
    for (const node of this.nodes) {
      const tell = async () => [await node.command('CLUSTER', 'INFO'), await node.command('INFO', 'replication')].join();
      await eventually(tell, (told) => told.includes('cluster_state:ok') && /role:master|master_link_status:up/.test(told));
    }
  }
}
