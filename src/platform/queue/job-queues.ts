import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker as BullWorker } from 'bullmq';
import { ConfigError } from '../../config.js';
import type { Logger } from '../observability/logger.js';
import {
  jobOptions,
  TimeoutError,
  UnsuitableStoreError,
  usualTimings,
  within,
  type JobConnection,
  type JobData,
  type JobQueue,
  type JobStore,
  type Timings,
} from './job-store.js';
import type { QueueMetrics, QueueState } from './queue-metrics.js';
import { queues, type Queue, type WakeUps } from './wake-ups.js';

const scrapeMs = 1_000;
/** How long a link that is given up may take to say goodbye. */
const politeMs = 1_000;
/** Between two jobs of a queue from one process: a hundred a second are as good as a wake-up for every commit. */
const addEveryMs = 10;
const addAgainMs = 500;
/** A job that waits wakes whoever takes it; that it is taken after now is all that matters. So no more are added. */
const enoughWaiting = 3;
const maxClockSkewMs = 1_000;
const backOffMaxMs = 5_000;
/** A connection that held for so long was a good one: the next is made at once. */
const settledMs = 60_000;

/**
 * The processes' wake-ups for each other, as BullMQ jobs, in PostgreSQL or Redis.
 *
 * BullMQ's objects do not come back from everything: a failed readiness is remembered for ever, an unmigrated schema
 * makes a worker spin, a silent socket is waited for, a lost one is noticed after an hour. So none of them is trusted
 * or repaired. All of a process's queues and workers stand on one `Link`; whatever goes wrong with any of them (an
 * error, an answer that does not come, a worker that is silent or deaf, a clock that is off) ends the link, and another
 * is made, with back-off. Meanwhile, and whatever else happens here, work is found by the sweeps.
 *
 * States: connecting, linked, waiting to connect again; `stopWorking` takes the workers away and keeps adding; `close`
 * ends it.
 */
export class JobQueues {
  private readonly id = randomUUID();
  private readonly announcements: Record<Queue, Announcements>;
  private readonly closing = new AbortController();
  private link: Link | undefined;
  private supervision: Promise<void> | undefined;
  private isWorking = true;

  constructor(
    private readonly store: JobStore,
    private readonly wakeUps: WakeUps,
    private readonly metrics: QueueMetrics,
    private readonly logger: Logger,
    private readonly timings: Timings = usualTimings,
    private readonly now: () => number = Date.now,
  ) {
    const announcementsOf = (queue: Queue) => new Announcements(() => this.add(queue, 'wake'), this.closing.signal);
    this.announcements = {
      commands: announcementsOf('commands'),
      projections: announcementsOf('projections'),
      sagas: announcementsOf('sagas'),
    };
    wakeUps.onWakeOfOthers((queue) => this.announcements[queue].announce());
    metrics.watch(() => this.states());
  }

  get databaseConnectionsMax(): number {
    return this.store.databaseConnectionsMax;
  }

  /**
   * Resolves after the first attempt to connect, good or not; it goes on from there. Rejects when the store is one
   * that must not be used.
   */
  async start(): Promise<void> {
    let first: (error?: unknown) => void = () => undefined;
    const attempted = new Promise<unknown>((resolve) => (first = resolve));
    this.supervision = this.supervise(first);
    const error = await attempted;
    if (!(error instanceof UnsuitableStoreError)) return;
    await this.close();
    throw new ConfigError(`REDIS_URL: got ${error.message}`);
  }

  /** Takes no more jobs. What this process still commits is announced to others. */
  async stopWorking(): Promise<void> {
    this.isWorking = false;
    this.wakeUps.stopWorking();
    await this.link?.stopWorking();
  }

  /** Ends the connections, when what was to be announced has been, or can not be. */
  async close(): Promise<void> {
    this.isWorking = false;
    const announced = Promise.all(queues.map((queue) => this.announcements[queue].done()));
    if (this.link) await within(politeMs, 'the last wake-ups', announced).catch(() => undefined);
    this.closing.abort();
    this.link?.lose(new Error('closing'));
    // Nobody needs what an attempt to connect that is under way may still bring.
    await within(2 * politeMs, 'the end of the queues', this.supervision ?? Promise.resolve()).catch(() => undefined);
  }

  private async supervise(firstAttempted: (error?: unknown) => void): Promise<void> {
    for (let failures = 0; !this.closing.signal.aborted; failures++) {
      const began = performance.now();
      let error: unknown;
      try {
        this.link = await this.connect();
        firstAttempted();
        if (failures > 0) this.logger.info('the queues can be used again');
        if (this.closing.signal.aborted) this.link.lose(new Error('closing'));
        error = await this.link.ended;
        if (performance.now() - began > settledMs) failures = 0;
      } catch (failure) {
        error = failure;
        firstAttempted(failure);
      }
      await this.disconnect();
      if (this.closing.signal.aborted) return;
      this.note(error, failures);
      const backOffMs = Math.min(backOffMaxMs, 100 * 2 ** failures) * (0.75 + Math.random() / 2);
      await sleep(backOffMs, undefined, { signal: this.closing.signal }).catch(() => undefined);
    }
  }

  private async connect(): Promise<Link> {
    let lose: (error: Error) => void = () => undefined;
    const ended = new Promise<Error>((resolve) => (lose = resolve));
    const connection = await this.store.connect(this.timings, lose);
    const link = new Link(connection, this.timings, ended, lose);
    try {
      await link.openQueues();
      const skewMs = await this.clockSkewMs(connection);
      const isSkewed = this.store.trustsWorkersClocks && Math.abs(skewMs) > maxClockSkewMs;
      if (isSkewed) {
        this.logger.error(
          { clockSkewMs: Math.round(skewMs) },
          'the clock of this machine is off; jobs are not taken until it is right, and work is found by sweeps',
        );
      }
      if (this.isWorking && !isSkewed) {
        for (const queue of this.wakeUps.worked) link.work(queue, (job) => this.arrive(link, queue, job));
      }
      let turn = 0;
      link.every(this.timings.canaryEveryMs, () => this.lookAfter(link, turn++));
      link.every(this.timings.clockEveryMs, async () => {
        const skewed = this.store.trustsWorkersClocks && Math.abs(await this.clockSkewMs(connection)) > maxClockSkewMs;
        if (skewed !== isSkewed) link.lose(new LinkError('clock', skewed ? 'the clock went off' : 'the clock is right'));
      });
    } catch (error) {
      await link.end();
      throw error;
    }
    this.metrics.connected.set(1);
    this.metrics.unsuitable.set(0);
    return link;
  }

  private async disconnect(): Promise<void> {
    const { link } = this;
    this.link = undefined;
    this.metrics.connected.set(0);
    await link?.end();
  }

  private note(error: unknown, failures: number): void {
    const isUnsuitable = error instanceof UnsuitableStoreError;
    this.metrics.unsuitable.set(isUnsuitable ? 1 : 0);
    const reason = isUnsuitable ? 'unsuitable' : error instanceof LinkError ? error.reason : 'store';
    this.metrics.rebuilds.inc({ reason });
    // Once, and then every minute or so.
    if (failures % 12 !== 0) return;
    if (isUnsuitable) this.logger.error(`REDIS_URL: got ${error.message}; it is not used, and work is found by sweeps`);
    else this.logger.warn({ err: error }, 'the queues can not be used for now; work is found by sweeps');
  }

  /** By how much this machine's clock is ahead, if it is by more than the question took. */
  private async clockSkewMs(connection: JobConnection): Promise<number> {
    const asked = this.now();
    const time = await within(this.timings.answerMs, 'the time', connection.time());
    const answered = this.now();
    const skewMs = time < asked ? asked - time : time > answered ? answered - time : 0;
    this.metrics.clockSkewSeconds.set(skewMs / 1_000);
    return skewMs;
  }

  /** Adds a job, unless enough are waiting. Rejects when the link is gone or was ended by this. */
  private async add(queue: Queue, name: 'wake' | 'canary'): Promise<void> {
    const { link } = this;
    if (!link) throw new Error('the queues are not connected');
    const jobs = link.queue(queue);
    try {
      if ((await within(this.timings.answerMs, 'the waiting jobs', jobs.getWaitingCount())) >= enoughWaiting) {
        this.metrics.adds.inc({ queue, outcome: 'enough' });
        return;
      }
      await within(this.timings.answerMs, 'adding a job', jobs.add(name, { from: this.id, sentAtMs: performance.now() }, jobOptions));
      this.metrics.adds.inc({ queue, outcome: 'added' });
    } catch (error) {
      this.metrics.adds.inc({ queue, outcome: error instanceof TimeoutError ? 'timed-out' : 'failed' });
      link.lose(new LinkError('add', (error as Error).message));
      throw error;
    }
  }

  /** A job came. It is a wake-up, whoever added it and for what. */
  private arrive(link: Link, queue: Queue, { name, data }: { name: string; data: JobData }): Promise<void> {
    this.metrics.arrivals.inc({ queue });
    if (this.isWorking) this.wakeUps.wake(queue);
    if (name === 'canary' && data.from === this.id && performance.now() - data.sentAtMs > this.timings.canaryLateMs) {
      link.lose(new LinkError('deaf', `the worker of ${queue} is not told of jobs`));
    }
    return Promise.resolve();
  }

  /**
   * A worker must hear from the store, and hear of jobs. The first shows in its asking. For the second a job is added
   * now and then, to one queue after the other (a job is eight statements, and an idle node should ask for little):
   * when it comes here, it must come soon. That another process takes it is as good, and the rule.
   */
  private async lookAfter(link: Link, turn: number): Promise<void> {
    const silent = link.silentWorker();
    if (silent) return link.lose(new LinkError('silent', `the worker of ${silent} has no answers`));
    const queue = link.worked[turn % link.worked.length];
    if (queue) await this.add(queue, 'canary');
  }

  private async states(): Promise<QueueState[]> {
    const { link } = this;
    if (!link) return [];
    const stateOf = async (queue: Queue): Promise<QueueState> => {
      const jobs = link.queue(queue);
      const { waiting = 0, active = 0, failed = 0 } = await jobs.getJobCounts('waiting', 'active', 'failed');
      const [oldest] = waiting > 0 ? await jobs.getWaiting(0, 0) : [];
      const oldestSeconds = oldest ? Math.max(0, this.now() - oldest.timestamp) / 1_000 : 0;
      return { queue, waiting, active, failed, oldestSeconds };
    };
    return within(scrapeMs, 'the state of the queues', Promise.all(queues.map(stateOf))).catch(() => []);
  }
}

/** Why a link was ended. */
class LinkError extends Error {
  constructor(
    readonly reason: 'add' | 'clock' | 'deaf' | 'silent' | 'worker',
    message: string,
  ) {
    super(message);
  }
}

/** One connection to the store, and BullMQ's objects on it. They live and end together. */
class Link {
  private readonly queues = new Map<Queue, JobQueue>();
  private readonly workers = new Map<Queue, BullWorker>();
  private readonly heard = new Map<Queue, number>();
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly connection: JobConnection,
    private readonly timings: Timings,
    readonly ended: Promise<Error>,
    /** The first call counts. */
    readonly lose: (error: Error) => void,
  ) {}

  /** All of them: to add to some, and to look at all. */
  async openQueues(): Promise<void> {
    for (const name of queues) {
      const queue = this.connection.queue(name);
      queue.on('error', this.lose);
      this.queues.set(name, queue);
      await within(this.timings.answerMs, `the queue ${name}`, queue.waitUntilReady());
    }
  }

  queue(name: Queue): JobQueue {
    return this.queues.get(name)!;
  }

  work(name: Queue, arrive: (job: { name: string; data: JobData }) => Promise<void>): void {
    this.heard.set(name, performance.now());
    const worker = this.connection.worker(name, arrive, () => this.heard.set(name, performance.now()));
    worker.on('error', (error) => {
      // At once: one that fails without waiting would ask again before anything else in this process had its turn.
      void worker.close(true).catch(() => undefined);
      this.lose(new LinkError('worker', error.message));
    });
    this.workers.set(name, worker);
  }

  get worked(): Queue[] {
    return [...this.workers.keys()];
  }

  silentWorker(): Queue | undefined {
    return this.worked.find((name) => performance.now() - this.heard.get(name)! > this.timings.silentMs);
  }

  /** Repeats what is not urgent; what it fails with ends the link. */
  every(intervalMs: number, work: () => Promise<void>): void {
    const timer = setInterval(() => void work().catch(this.lose), intervalMs);
    this.timers.push(timer);
  }

  async stopWorking(): Promise<void> {
    const workers = [...this.workers.values()];
    this.workers.clear();
    await within(this.timings.answerMs, 'the end of the workers', Promise.all(workers.map((worker) => worker.close()))).catch(
      (error: Error) => this.lose(error),
    );
  }

  async end(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    const ends = [
      ...[...this.workers.values()].map((worker) => worker.close(true)),
      ...[...this.queues.values()].map((queue) => queue.close()),
    ];
    // One that does not end by itself does so when its connection does.
    await within(politeMs, 'the end of the queues', Promise.allSettled(ends)).catch(() => undefined);
    await this.connection.end();
  }
}

/**
 * Wake-ups of one queue, gathered: at most one job is being added, those that come meanwhile become one more, and
 * there is a pause in between. What could not be added is added when there is a connection again.
 */
class Announcements {
  private wanted = false;
  private adding: Promise<void> | undefined;

  constructor(
    private readonly add: () => Promise<void>,
    private readonly closing: AbortSignal,
  ) {}

  announce(): void {
    this.wanted = true;
    this.adding ??= this.addAll().finally(() => (this.adding = undefined));
  }

  async done(): Promise<void> {
    await this.adding;
  }

  private async addAll(): Promise<void> {
    while (this.wanted && !this.closing.aborted) {
      this.wanted = false;
      try {
        await this.add();
        await sleep(addEveryMs);
      } catch {
        // Counted and logged where it failed.
        this.wanted = true;
        await sleep(addAgainMs, undefined, { signal: this.closing }).catch(() => undefined);
      }
    }
  }
}
