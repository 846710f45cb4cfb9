import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';

/** Programs that are no Node of ours ask the kernel to be ended when we are killed. */
const dieWithParent = ['--pdeathsig', 'TERM', '--'];

/** A process of the topology: it keeps its name and its arguments over restarts. */
export class Service {
  private child: ChildProcess | undefined;
  private said = '';

  constructor(
    readonly name: string,
    private readonly program: string,
    private readonly args: readonly string[],
    private readonly options: { readonly env?: Record<string, string>; readonly pipeToParent?: boolean } = {},
  ) {}

  /** The last it has said, on standard output and error. */
  get output(): string {
    return this.said;
  }

  get pid(): number | undefined {
    return this.isRunning ? this.child!.pid : undefined;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it, and resolves when `isReady`; rejects when it ends instead. */
  async start(isReady: (output: string) => boolean | Promise<boolean>): Promise<void> {
    this.said = '';
    const { env, pipeToParent = false } = this.options;
    const child = spawn(this.program, this.args, {
      ...(env && { env }),
      stdio: ['ignore', 'pipe', 'pipe', ...(pipeToParent ? (['pipe'] as const) : [])],
      detached: true, // Ctrl-C in the terminal is for us, who stop everything in order.
    });
    this.child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-65_536)));
    }
    // It closes when the process is killed, which may come as an error.
    child.stdio[3]?.on('error', () => undefined);
    const failed = new Promise<never>((_resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => reject(new Error(`${this.name} ended before it was ready:\n${this.said.trim()}`)));
    });
    failed.catch(() => undefined);
    await Promise.race([failed, this.becomesReady(isReady)]);
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** Sends the signal and resolves with the exit code, or null where a signal ended it, when it has ended. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (!child) return null;
    if (this.isRunning) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  }

  /** Ends it at once, and all that it has started: those would otherwise go on, and keep its port. */
  async killGroup(): Promise<void> {
    if (!this.isRunning) return;
    const ended = once(this.child!, 'exit');
    process.kill(-this.child!.pid!, 'SIGKILL');
    await ended;
  }

  private async becomesReady(isReady: (output: string) => boolean | Promise<boolean>): Promise<void> {
    while (this.isRunning && !(await isReady(this.said))) await new Promise((resume) => setTimeout(resume, 20));
  }
}

/** A program of another package. On Linux it ends when this process is killed; elsewhere it may outlive a `kill -9`. */
export function foreignService(name: string, program: string, args: readonly string[]): Service {
  const setpriv = findProgram('setpriv');
  return setpriv ? new Service(name, setpriv, [...dieWithParent, program, ...args]) : new Service(name, program, args);
}

/** Where a program is, or undefined. Servers are often installed where only root looks. */
export function findProgram(name: string): string | undefined {
  // eslint-disable-next-line no-restricted-syntax -- Where programs are is the shell's to say, and no setting of Rialto.
  const path = (process.env.PATH ?? '').split(delimiter);
  const directories = [...path, '/usr/local/sbin', '/usr/sbin', '/sbin', '/opt/homebrew/bin'];
  return directories.map((directory) => join(directory, name)).find((file) => existsSync(file));
}

export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}
