import { EventEmitter } from 'node:events';

export type Queue = 'commands' | 'projections' | 'sagas';

/**
 * "There is work": a hint, never the work itself, and never the only way it is found. Whoever works a queue also
 * looks for work by itself every sweep interval, so a wake-up that is lost costs that much time and nothing else.
 *
 * Here they stay in the process.
 */
export class WakeUps {
  private readonly emitter = new EventEmitter();

  wake(queue: Queue): void {
    this.emitter.emit(queue);
  }

  onWake(queue: Queue, work: () => void): void {
    this.emitter.on(queue, work);
  }
}

export interface WorkerOptions {
  readonly sweepIntervalMs: number;
  /** How long to let work gather before it is looked at again. Default: not at all. */
  readonly restMs?: number;
  /** Does what there is to do; true when it should be called again at once. */
  work(): Promise<boolean>;
  onError(error: unknown): void;
}

/**
 * Runs one piece of work at a time, whenever it is woken and at the latest every sweep interval. A wake-up that comes
 * while the work is under way makes it run once more: it may have looked too early. When the work fails it is tried
 * again with back-off.
 */
export class Worker {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private stopped = true;
  private failures = 0;

  constructor(private readonly options: WorkerOptions) {}

  start(): void {
    this.stopped = false;
    this.wake();
  }

  wake(): void {
    if (this.stopped) return;
    if (this.running || this.failures > 0) {
      this.again = true;
      return;
    }
    clearTimeout(this.timer);
    this.running = this.run().finally(() => {
      this.running = undefined;
      if (this.stopped) return;
      const backOffMs = Math.min(5_000, 50 * 2 ** this.failures);
      const waitMs = this.failures > 0 ? backOffMs : this.again ? 0 : this.options.sweepIntervalMs;
      this.timer = setTimeout(() => this.retry(), waitMs);
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private retry(): void {
    const { failures } = this;
    this.failures = 0;
    this.wake();
    this.failures = failures;
  }

  private async run(): Promise<void> {
    try {
      let more = true;
      while ((more || this.again) && !this.stopped) {
        if (!more && this.options.restMs) await new Promise((resume) => setTimeout(resume, this.options.restMs));
        this.again = false;
        more = await this.options.work();
      }
      this.failures = 0;
    } catch (error) {
      this.failures++;
      this.options.onError(error);
    }
  }
}
