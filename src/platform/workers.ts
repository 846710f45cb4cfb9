import type { INestApplicationContext } from '@nestjs/common';
import type { Config } from '../config.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import type { ConsumerRunner } from './consumers/consumer-runner.js';
import { ProjectionRunner, SagaRunner } from './consumers/runners.js';
import { SagaCatalogue } from './consumers/saga-catalogue.js';
import { Pools } from './database/pools.js';
import { hasSide } from './domain-module.js';
import { TailBuffer } from './log/tail-buffer.js';
import { LogWriter } from './log/writer.js';
import type { Logger } from './observability/logger.js';
import { JobQueues } from './queue/job-queues.js';
import { QueueMetrics } from './queue/queue-metrics.js';
import { WakeUps, Worker, type Queue, type WorkerOptions } from './queue/wake-ups.js';

/** A run costs a millisecond of CPU however little there is: one for every commit took a third of the machine. */
const projectionsRestMs = 2;
/** Shorter: here it is a checkout that waits. */
const sagasRestMs = 1;
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
  private readonly jobs: JobQueues;
  private readonly metrics: QueueMetrics;

  constructor(
    private readonly app: INestApplicationContext,
    private readonly config: Config,
    private readonly logger: Logger,
  ) {
    const { sweepIntervalMs } = config;
    this.wakeUps = app.get(WakeUps, { strict: false });
    this.jobs = app.get(JobQueues, { strict: false });
    this.metrics = app.get(QueueMetrics, { strict: false });
    if (hasSide(config.role, 'commands')) {
      const inbox = app.get(Inbox, { strict: false });
      const inboxWorker = app.get(InboxWorker, { strict: false });
      this.inboxWorker = inboxWorker;
      const sagaRunner = app.get(SagaRunner, { strict: false });
      this.runners.push(sagaRunner);
      this.addQueue('commands', { sweepIntervalMs, work: (isExpected) => inboxWorker.run(isExpected) });
      const sagas = app.get(SagaCatalogue, { strict: false });
      app.get(TailBuffer, { strict: false }).onPush((events) => {
        if (sagas.hasNews(events)) this.wakeUps.wake('sagas');
      });
      this.addQueue('sagas', { sweepIntervalMs, restMs: sagasRestMs, work: (isExpected) => sagaRunner.run(isExpected) });
      this.add('purge', {
        sweepIntervalMs: purgeIntervalMs,
        work: async () =>
          (await inbox.purge(config.idempotencyRetentionMs, purgeAtOnce)) === purgeAtOnce ? 'more' : 'nothing',
      });
    }
    if (hasSide(config.role, 'queries')) {
      const projectionRunner = app.get(ProjectionRunner, { strict: false });
      this.runners.push(projectionRunner);
      const work: WorkerOptions['work'] = (isExpected) => projectionRunner.run(isExpected);
      this.addQueue('projections', { sweepIntervalMs, restMs: projectionsRestMs, work });
    }
  }

  async start(): Promise<void> {
    for (const runner of this.runners) await runner.prepare();
    if (this.config.runWorkers) for (const worker of this.workers) worker.start();
    await this.jobs.start();
  }

  /** Nothing more is taken up; resolves when what was taken up is done. */
  async stopTaking(): Promise<void> {
    await this.jobs.stopWorking();
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.inboxWorker?.idle();
  }

  /** When nothing asks for the log any more. */
  async end(): Promise<void> {
    if (hasSide(this.config.role, 'commands')) await this.app.get(LogWriter, { strict: false }).close();
    await this.jobs.close();
    await this.app.get(Pools, { strict: false }).end();
  }

  private addQueue(queue: Queue, options: Omit<WorkerOptions, 'onError'>): void {
    // Sagas are not woken for events that none of them has a use for: what their sweeps find was not missed.
    const onMissedWakeUp = queue === 'sagas' ? undefined : () => this.metrics.missed.inc({ queue });
    const worker = this.add(queue, { ...options, onMissedWakeUp });
    if (this.config.runWorkers) this.wakeUps.onWake(queue, () => worker.wake());
  }

  private add(task: string, options: Omit<WorkerOptions, 'onError'>): Worker {
    const onError = (error: unknown) => this.logger.error({ err: error, task }, 'a worker failed');
    const worker = new Worker({ ...options, onError });
    this.workers.push(worker);
    return worker;
  }
}
