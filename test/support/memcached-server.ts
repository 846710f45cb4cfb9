import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { findProgram } from '../../src/cli/topology/service.js';
import { untilPasses } from './eventually.js';
import { describeWith } from './installed.js';
import { freePort } from './server.js';

/** `describe`, for suites that need a memcached: left out, and said to be, where there is none. */
export function describeWithMemcached(title: string, tests: () => void): void {
  describeWith({ memcached: findProgram('memcached') }, title, tests);
}

/** A memcached of the test's own. It is there when it takes a connection, and keeps its port over restarts. */
export class MemcachedServer {
  private child: ChildProcess | undefined;

  private constructor(readonly port: number) {}

  static async start(): Promise<MemcachedServer> {
    const server = new MemcachedServer(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `memcached://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const args = ['-p', String(this.port), '-l', '127.0.0.1', '-m', '16', ...user];
    this.child = spawn('memcached', args, { stdio: 'ignore' });
    const failed = once(this.child, 'error').then(([error]) => Promise.reject(error as Error));
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

  stop(): Promise<void> {
    return this.kill();
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
