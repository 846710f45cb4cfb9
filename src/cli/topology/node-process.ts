import { fileURLToPath } from 'node:url';
import { nodeFlags } from '../../node-flags.js';
import { Service } from './service.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const follower = new URL('../../../scripts/lib/follow-parent.mjs', import.meta.url).href;

export type Role = 'command' | 'query' | 'all';

/** A node of Rialto as a process of its own. It keeps its address over restarts. */
export class NodeProcess {
  private readonly service: Service;

  constructor(
    readonly name: string,
    readonly role: Role,
    readonly port: number,
    /** All of its environment: nobody's shell has a say in it. */
    env: Readonly<Record<string, string>>,
  ) {
    this.service = new Service(name, process.execPath, ['--import', follower, ...nodeFlags, `${root}dist/main.js`], {
      env: { ...env, ROLE: role, PORT: String(port), RIALTO_PARENT_FD: '3' },
      pipeToParent: true,
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.service.pid;
  }

  get isRunning(): boolean {
    return this.service.isRunning;
  }

  get output(): string {
    return this.service.output;
  }

  /** Resolves when it says that it is ready. */
  async start(): Promise<void> {
    await this.service.start((output) => output.includes(`ready on ${this.url}\n`));
  }

  /** Asks it to stop, and resolves with its exit code. */
  stop(): Promise<number | null> {
    this.service.signal('SIGCONT');
    return this.service.end('SIGTERM');
  }

  /** As the kernel's out-of-memory killer would: nothing in it notices. */
  async kill(): Promise<void> {
    await this.service.end('SIGKILL');
  }

  /** Its connections stay, and nothing in it moves any more. */
  freeze(): void {
    this.service.signal('SIGSTOP');
  }

  thaw(): void {
    this.service.signal('SIGCONT');
  }
}
