import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { untilPasses } from './eventually.js';
import { freePort } from './server.js';

/** A server program on a port of its own that is there when it takes a connection. Keeps its port over restarts. */
class Server {
  protected child: ChildProcess | undefined;

  constructor(
    readonly port: number,
    private readonly program: string,
    private readonly args: readonly string[],
  ) {}

  async start(): Promise<void> {
    const child = spawn(this.program, this.args, { stdio: 'ignore' });
    this.child = child;
    const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error));
    await Promise.race([failed, untilPasses(() => takesConnections(this.port))]);
  }

  /** As if the network had swallowed it: connections stay, and nothing comes of them. */
  freeze(): void {
    this.child!.kill('SIGSTOP');
  }

  thaw(): void {
    this.child!.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

async function takesConnections(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

export class RedisServer extends Server {
  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  static async start(): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-redis-'));
    const port = await freePort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory];
    const server = new RedisServer(port, directory, args);
    await server.start();
    return server;
  }

  private constructor(
    port: number,
    private readonly directory: string,
    args: readonly string[],
  ) {
    super(port, 'redis-server', args);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export class MemcachedServer extends Server {
  get url(): string {
    return `memcached://127.0.0.1:${this.port}`;
  }

  static async start(): Promise<MemcachedServer> {
    const port = await freePort();
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const server = new MemcachedServer(port, 'memcached', ['-p', String(port), '-l', '127.0.0.1', '-m', '16', ...user]);
    await server.start();
    return server;
  }

  async stop(): Promise<void> {
    await this.kill();
  }
}
