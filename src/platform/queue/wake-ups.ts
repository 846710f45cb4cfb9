import { EventEmitter } from 'node:events';

export const queues = ['commands', 'projections', 'sagas'] as const;
export type Queue = (typeof queues)[number];

/**
 * Until the next full interval of this process that is at least so far away. What a process does once a second it does
 * at the same moment, so that an idle one wakes up once for all of it: 15 % less CPU than at four moments (ADR 0012).
 */
export function untilNextMs(intervalMs: number, atLeastMs = 0): number {
  return atLeastMs + Math.ceil(intervalMs - ((performance.now() + atLeastMs) % intervalMs));
}

/** Work that has waited for longer when a sweep finds it was not announced, or in vain. */
export const lateMs = 200;

/**
 * "There is work": a hint, never the work itself, and never the only way it is found. Whoever works a queue also
 * looks for work by itself every sweep interval, so a wake-up that is lost costs that much time and nothing else.
 *
 * A process that works a queue is woken in the process, synchronously, and nobody else is told: it will do the work.
 * Only where nobody here works the queue, those who do are told, by a job (`JobQueues`).
 */
export class WakeUps {
  private readonly emitter = new EventEmitter();
  private tellOthers: (queue: Queue) => void = () => undefined;

  wake(queue: Queue): void {
    if (!this.emitter.emit(queue)) this.tellOthers(queue);
  }

  /** For those who work the queue in this process, and only for them. */
  onWake(queue: Queue, work: () => void): void {
    this.emitter.on(queue, work);
  }

  /** Must return at once, and not throw. */
  onWakeOfOthers(tell: (queue: Queue) => void): void {
    this.tellOthers = tell;
  }

  /** What is worked in this process. */
  get worked(): Queue[] {
    return queues.filter((queue) => this.emitter.listenerCount(queue) > 0);
  }

  /** This process stops working: from now on others are told. */
  stopWorking(): void {
    this.emitter.removeAllListeners();
  }
}

/**
 * What a look for work has found: `more` than was taken at once; `some`, so that it is worth another look; some that
 * was `late`, though nobody had been woken for it; `nothing`, if it is known for how long.
 */
export type Found = 'more' | 'some' | 'late' | 'nothing' | { readonly nothingForMs: number };

/** How long to let work gather before it is looked at again: the longer, the less the looks cost. */
export interface Rest {
  readonly leastMs: number;
  /** While nobody waits for the work. Default: no longer. */
  readonly mostMs?: number;
  isWaitedFor?(): boolean;
}

export interface WorkerOptions {
  readonly sweepIntervalMs: number;
  /** Default: none. */
  readonly rest?: Rest;
  /** Does what there is to do. `isExpected` when somebody said so or there was more; else there is probably nothing. */
  work(isExpected: boolean): Promise<Found>;
  /** A sweep has found work that nobody had been woken for. */
  onMissedWakeUp?(): void;
  onError(error: unknown): void;
}

/**
 * Runs one piece of work at a time, whenever it is woken and at the latest every sweep interval. A wake-up that comes
 * while the work is under way makes it run once more: it may have looked too early. So does work that was found: what
 * came meanwhile may have been announced to another process, which could not take it from this one's hands. When the
 * work fails it is tried again with back-off.
 */
export class Worker {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private stopped = true;
  private failures = 0;
  /** So long there is nothing to do for certain, and then there is. */
  private idleMs = Infinity;
  private endRest: (() => void) | undefined;

  constructor(private readonly options: WorkerOptions) {}

  start(): void {
    this.stopped = false;
    this.wake();
  }

  wake(): void {
    this.begin(true);
  }

  /** Somebody has begun to wait for the work: it is looked for at once, or after the least rest. */
  hasten(): void {
    this.endRest?.();
    this.begin(true);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.endRest?.();
    await this.running;
  }

  private begin(isAnnounced: boolean): void {
    if (this.stopped) return;
    if (this.running || this.failures > 0) {
      this.again ||= isAnnounced;
      return;
    }
    clearTimeout(this.timer);
    this.running = this.run(isAnnounced).finally(() => {
      this.running = undefined;
      if (this.stopped) return;
      const backOffMs = Math.min(5_000, 50 * 2 ** this.failures);
      const waitMs = this.failures > 0 ? backOffMs : this.again ? 0 : Math.min(this.idleMs, untilNextMs(this.options.sweepIntervalMs));
      this.timer = setTimeout(() => this.comeBack(), waitMs);
    });
  }

  private comeBack(): void {
    const { failures, again } = this;
    this.failures = 0;
    this.begin(again || failures > 0);
    this.failures = failures;
  }

  private async run(isAnnounced: boolean): Promise<void> {
    const { rest } = this.options;
    let found: Found = isAnnounced ? 'more' : 'nothing';
    let isSweep = !isAnnounced;
    try {
      do {
        const isExpected: boolean = found === 'more' || this.again;
        this.again = false;
        found = await this.options.work(isExpected);
        // What is late for a look that follows another may have a wake-up that is on its way, on a machine that is busy.
        if (found === 'late' && isSweep) this.options.onMissedWakeUp?.();
        isSweep = false;
        if (found !== 'more' && rest && this.isWorthAnotherLook(found)) await this.rest(rest);
      } while (this.isWorthAnotherLook(found) && !this.stopped);
      this.idleMs = typeof found === 'object' ? found.nothingForMs : Infinity;
      this.failures = 0;
    } catch (error) {
      this.failures++;
      this.options.onError(error);
    }
  }

  private async rest({ leastMs, mostMs = leastMs, isWaitedFor }: Rest): Promise<void> {
    await new Promise((resume) => setTimeout(resume, leastMs));
    if (mostMs <= leastMs || this.stopped || isWaitedFor?.()) return;
    await new Promise<void>((resume) => {
      const timer = setTimeout(resume, mostMs - leastMs);
      this.endRest = () => (clearTimeout(timer), resume());
    });
    this.endRest = undefined;
  }

  private isWorthAnotherLook(found: Found): boolean {
    return found === 'more' || found === 'some' || found === 'late' || this.again;
  }
}
