import type { INestApplicationContext } from '@nestjs/common';
import type { Config } from '../config.js';
import { ViewNews } from './cache/view-news.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import type { ConsumerRunner } from './consumers/consumer-runner.js';
import { ProjectionRunner, SagaRunner } from './consumers/runners.js';
import { Visibility } from './consumers/visibility.js';
import { Pools } from './database/pools.js';
import { whenUsable } from './database/when-usable.js';
import { hasSide } from './domain-module.js';
import { Lifecycle } from './lifecycle.js';
import { LogWriter } from './log/writer.js';
import type { Logger } from './observability/logger.js';
import { JobQueues } from './queue/job-queues.js';
import { QueueMetrics } from './queue/queue-metrics.js';
import { WakeUps, Worker, type Queue, type WorkerOptions } from './queue/wake-ups.js';

/**
 * A run costs a millisecond of CPU however little there is: one for every commit took a third of the machine, and one
 * every 2 ms, at half the peak of orders, a sixth of what they cost. So the views follow that fast where a reader waits
 * for them, and otherwise within 20 ms.
 */
const projectionsRest = { leastMs: 2, mostMs: 20 };
/** Shorter: here it is a checkout that waits. */
const sagasRest = { leastMs: 1 };
const purgeIntervalMs = 10_000;
const purgeAtOnce = 1_000;

/**
 * What a process does besides answering requests: one with commands drains the inbox, feeds the sagas and purges old
 * commands; one with queries feeds the projections.
 */
export class Workers {
  private readonly workers: Worker[] = [];
  private readonly runners: ConsumerRunner[] = [];
  private readonly inboxWorker: InboxWorker | undefined;
  private readonly wakeUps: WakeUps;
  private readonly news: ViewNews | undefined;

  constructor(
    private readonly app: INestApplicationContext,
    private readonly config: Config,
    private readonly logger: Logger,
  ) {
    const { sweepIntervalMs } = config;
    this.wakeUps = app.get(WakeUps, { strict: false });
    if (hasSide(config.role, 'commands')) {
      const inbox = app.get(Inbox, { strict: false });
      const inboxWorker = app.get(InboxWorker, { strict: false });
      this.inboxWorker = inboxWorker;
      const sagaRunner = app.get(SagaRunner, { strict: false });
      this.runners.push(sagaRunner);
      this.addQueue('commands', { sweepIntervalMs, work: (isExpected) => inboxWorker.run(isExpected) });
      sagaRunner.onNews(() => this.wakeUps.wake('sagas'));
      this.addQueue('sagas', {
        sweepIntervalMs,
        rest: sagasRest,
        work: (isExpected) => sagaRunner.run(isExpected),
      });
      this.add('purge', {
        sweepIntervalMs: purgeIntervalMs,
        work: async () =>
          (await inbox.purge(config.idempotencyRetentionMs, purgeAtOnce)) === purgeAtOnce ? 'more' : 'nothing',
      });
    }
    if (hasSide(config.role, 'queries')) {
      this.news = app.get(ViewNews, { strict: false });
      const projectionRunner = app.get(ProjectionRunner, { strict: false });
      this.runners.push(projectionRunner);
      const visibility = app.get(Visibility, { strict: false });
      const worker = this.addQueue('projections', {
        sweepIntervalMs,
        rest: { ...projectionsRest, isWaitedFor: () => visibility.isWaitedFor },
        work: (isExpected) => projectionRunner.run(isExpected),
      });
      visibility.onWait(() => worker.hasten());
    }
  }

  async start(): Promise<void> {
    const isOver = () => this.app.get(Lifecycle, { strict: false }).phase === 'stopping';
    for (const runner of this.runners) await whenUsable(() => runner.prepare(), isOver, this.logger);
    if (isOver()) return;
    await this.news?.start();
    if (this.config.runWorkers) for (const worker of this.workers) worker.start();
    await this.app.get(JobQueues, { strict: false }).start();
  }

  /** Nothing more is taken up; resolves when what was taken up is done. */
  async stopTaking(): Promise<void> {
    await this.app.get(JobQueues, { strict: false }).stopWorking();
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.inboxWorker?.idle();
  }

  /** When nothing asks for the log any more. */
  async end(): Promise<void> {
    await this.news?.stop();
    if (hasSide(this.config.role, 'commands')) await this.app.get(LogWriter, { strict: false }).close();
    await this.app.get(JobQueues, { strict: false }).close();
    await this.app.get(Pools, { strict: false }).end();
  }

  private addQueue(queue: Queue, options: Omit<WorkerOptions, 'onError'>): Worker {
    const { missed } = this.app.get(QueueMetrics, { strict: false });
    const worker = this.add(queue, { ...options, onMissedWakeUp: () => missed.inc({ queue }) });
    // Where nobody works here, those who do are told.
    if (this.config.runWorkers) this.wakeUps.onWake(queue, () => worker.wake());
    return worker;
  }

  private add(task: string, options: Omit<WorkerOptions, 'onError'>): Worker {
    const onError = (error: unknown) => this.logger.error({ err: error, task }, 'a worker failed');
    const worker = new Worker({ ...options, onError });
    this.workers.push(worker);
    return worker;
  }
}
