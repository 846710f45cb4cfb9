import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../platform/database/embedded-postgres.js';

const main = fileURLToPath(new URL('../../main.js', import.meta.url));
const follower = new URL('../../../scripts/lib/follow-parent.mjs', import.meta.url).href;

/** A Rialto of our own with an empty database, which nothing is left of when it is stopped. */
export class OwnServer {
  kills = 0;
  private child: ChildProcess | undefined;
  private output = '';

  private constructor(
    private readonly directory: string,
    private readonly postgres: EmbeddedPostgres,
    private readonly port: number,
  ) {}

  static async start(): Promise<OwnServer> {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-flash-sale-'));
    await chmod(directory, 0o755); // Root runs PostgreSQL as another user.
    const postgres = await startEmbeddedPostgres({ dataDir: directory });
    const server = new OwnServer(directory, postgres, await freePort());
    try {
      await server.launch();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  /** Ends the process as the kernel's out-of-memory killer would, and starts another one at the same address. */
  async killAndRestart(): Promise<void> {
    this.kills++;
    await this.end('SIGKILL');
    await this.launch();
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await this.postgres.stop('immediate');
    // Two places, if root's other user could not reach the first.
    for (const path of [this.postgres.dataDir, this.directory]) await rm(path, { recursive: true, force: true });
  }

  /** Nobody's shell has a say in what is shown: the environment is only what is given here. */
  private async launch(): Promise<void> {
    const child = spawn(process.execPath, ['--import', follower, '--enable-source-maps', main], {
      env: { DATABASE_URL: this.databaseUrl, PORT: String(this.port), LOG_LEVEL: 'warn', RIALTO_PARENT_FD: '3' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true, // Ctrl-C in the terminal is for us.
    });
    this.child = child;
    this.output = '';
    // It closes when the process is killed, which may come as an error.
    child.stdio[3]!.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.on('data', (chunk: Buffer) => {
          this.output = (this.output + chunk.toString()).slice(-4_096);
          if (this.output.includes(`ready on ${this.url}`)) resolve();
        });
      }
      child.on('error', reject);
      child.on('exit', () => reject(new Error(`Rialto ended before it was ready:\n${this.output}`)));
    });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}
