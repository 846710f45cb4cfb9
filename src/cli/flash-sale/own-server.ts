import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeFlags } from '../../node-flags.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../platform/database/embedded-postgres.js';

const main = fileURLToPath(new URL('../../main.js', import.meta.url));
const follower = new URL('../../../scripts/lib/follow-parent.mjs', import.meta.url).href;

/** A Rialto of our own with an empty database, which nothing is left of when it is stopped. */
export class OwnServer {
  kills = 0;
  /** Rejects when the server ends although nobody ended it. */
  readonly failure: Promise<never>;
  private fail!: (error: unknown) => void;
  private directory = '';
  private postgres: Promise<EmbeddedPostgres> | undefined;
  private databaseUrl = '';
  private port = 0;
  private child: ChildProcess | undefined;
  private isEnding = false;
  private output = '';

  constructor() {
    this.failure = new Promise((_resolve, reject) => (this.fail = reject));
    // Whoever is interested hears of it; nobody has to be.
    this.failure.catch(() => undefined);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** For programs that work on its database. */
  get environment(): Record<string, string> {
    return { DATABASE_URL: this.databaseUrl };
  }

  async start(): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), 'rialto-flash-sale-'));
    await chmod(this.directory, 0o755); // Root runs PostgreSQL as another user.
    this.postgres = startEmbeddedPostgres({ dataDir: this.directory });
    this.databaseUrl = (await this.postgres).url;
    this.port = await freePort();
    await this.launch();
  }

  /**
   * Ends the process as the kernel's out-of-memory killer would, and starts another one at the same address. One that
   * does not come back is the server's failure.
   */
  async killAndRestart(): Promise<void> {
    this.kills++;
    await this.end('SIGKILL');
    await this.launch().catch(this.fail);
  }

  /** Also when it is still starting. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
    const postgres = await this.postgres;
    await postgres?.stop('immediate');
    // Two places, if root's other user could not reach the first.
    for (const path of [this.directory, postgres?.dataDir]) if (path) await rm(path, { recursive: true, force: true });
  }

  /** Nobody's shell has a say in what is shown: the environment is only what is given here. */
  private async launch(): Promise<void> {
    const child = spawn(process.execPath, ['--import', follower, ...nodeFlags, main], {
      env: { ...this.environment, PORT: String(this.port), LOG_LEVEL: 'warn', RIALTO_PARENT_FD: '3' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true, // Ctrl-C in the terminal is for us.
    });
    this.child = child;
    this.isEnding = false;
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
      child.on('exit', (code, signal) => {
        if (!this.isEnding) this.fail(new Error(`Rialto ended by itself (${signal ?? code}):\n${this.output}`));
        reject(new Error(`Rialto ended before it was ready:\n${this.output}`));
      });
    });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    this.isEnding = true;
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
