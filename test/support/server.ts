import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';

const main = join(process.cwd(), 'dist', 'main.js');
const follower = join(process.cwd(), 'scripts', 'lib', 'follow-parent.mjs');

/** A real process of Rialto. It keeps its address over restarts, and is killed when the test's process ends. */
export class RialtoServer {
  private child: ChildProcess | undefined;
  private output = '';

  constructor(
    private readonly port: number,
    private readonly env: Record<string, string>,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Everything all its processes have written, standard output and error. */
  get log(): string {
    return this.output;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Begins to start; HTTP may not listen yet. */
  launch(): void {
    const child = spawn(process.execPath, ['--import', follower, '--enable-source-maps', main], {
      env: { PATH: process.env.PATH, LOG_LEVEL: 'warn', ...this.env, PORT: String(this.port), RIALTO_PARENT_FD: '3' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
    // It closes when the process is killed, which may come as an error.
    (child.stdio[3] as Socket).on('error', () => undefined).resume();
  }

  /** Starts and resolves when the process says that it is ready. */
  async start(): Promise<void> {
    const from = this.output.length;
    this.launch();
    await this.saysReady(from);
  }

  /** Resolves when the process has said that it is ready; rejects when it ends instead. */
  async saysReady(from = 0): Promise<void> {
    const child = this.child!;
    const ready = `ready on ${this.url}`;
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (this.output.includes(ready, from)) done(resolve);
      };
      const ended = () => done(() => reject(new Error(`Rialto ended before it was ready:\n${this.output.slice(from)}`)));
      const done = (settle: () => void) => {
        child.stdout!.off('data', look);
        child.off('exit', ended);
        settle();
      };
      child.stdout!.on('data', look);
      child.on('exit', ended);
      look();
    });
  }

  get pid(): number {
    return this.child!.pid!;
  }

  /** The processes that it has started. */
  async childPids(): Promise<number[]> {
    const text = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  }

  signal(signal: NodeJS.Signals): void {
    this.child!.kill(signal);
  }

  /** Ends the process as the kernel's out-of-memory killer would: nothing in it notices. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.signal('SIGKILL');
    await this.exit();
  }

  /** Asks the process to stop, and returns its exit code. */
  async stop(): Promise<number | null> {
    if (!this.isRunning) return this.child?.exitCode ?? null;
    this.signal('SIGTERM');
    return this.exit();
  }

  /** Resolves with its exit code when it ends. */
  async exit(): Promise<number | null> {
    const child = this.child!;
    if (this.isRunning) await once(child, 'exit');
    return child.exitCode;
  }
}

/**
 * A process of Rialto that is not yet started. Its reads wait for their token as long as a busy machine needs: whoever
 * wants to hear that a view is behind says so.
 */
export async function rialto(databaseUrl: string, env: Record<string, string> = {}): Promise<RialtoServer> {
  return new RialtoServer(await freePort(), { DATABASE_URL: databaseUrl, CONSISTENCY_WAIT_MS: '20000', ...env });
}

/** A process of Rialto that is ready. */
export async function startRialto(databaseUrl: string, env: Record<string, string> = {}): Promise<RialtoServer> {
  const server = await rialto(databaseUrl, env);
  await server.start();
  return server;
}

const portsEach = 2_500;
/** From anywhere in them, for the files that a worker runs one after the other all begin anew. */
let tried = Math.floor(Math.random() * portsEach);

/**
 * A port that nobody listens on, nor will for the while that a process takes to start: each of Jest's workers has its own, below
 * those that the kernel gives to whoever asks for any.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + portsEach * Number(process.env.JEST_WORKER_ID ?? 0) + (tried++ % portsEach);
    const listener = createServer().listen(port, '127.0.0.1');
    try {
      await once(listener, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
      throw error;
    }
    listener.close();
    await once(listener, 'close');
    return port;
  }
}
