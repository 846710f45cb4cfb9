import type { INestApplicationContext } from '@nestjs/common';
import type { Config } from '../config.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import type { ConsumerRunner } from './consumers/consumer-runner.js';
import { SagaCatalogue } from './consumers/saga-catalogue.js';
import { ProjectionRunner, SagaRunner } from './consumers/runners.js';
import { LogPool, ProjectionsPool, QueriesPool, SagasPool, WriterPool } from './database/pools.js';
import { TailBuffer } from './log/tail-buffer.js';
import { LogWriter } from './log/writer.js';
import type { Logger } from './observability/logger.js';
import { JobQueues } from './queue/job-queues.js';
import { QueueMetrics } from './queue/queue-metrics.js';
import { WakeUps, Worker, type Queue } from './queue/wake-ups.js';

/** A run costs a millisecond of CPU however little there is: one for every commit took a third of the machine. */
const projectionsRestMs = 2;
/** Shorter: here it is a checkout that waits. */
const sagasRestMs = 1;
const purgeIntervalMs = 10_000;
const purgeAtOnce = 1_000;

/** What a process does besides answering requests: drain the inbox, feed projections and sagas, purge old commands. */
export class Workers {
  private readonly workers: Worker[];
  private readonly runners: readonly ConsumerRunner[];
  private readonly inboxWorker: InboxWorker;

  constructor(
    private readonly app: INestApplicationContext,
    config: Config,
    logger: Logger,
  ) {
    const { sweepIntervalMs } = config;
    const inbox = app.get(Inbox, { strict: false });
    const inboxWorker = app.get(InboxWorker, { strict: false });
    const projectionRunner = app.get(ProjectionRunner, { strict: false });
    const sagaRunner = app.get(SagaRunner, { strict: false });
    const wakeUps = app.get(WakeUps, { strict: false });
    const metrics = app.get(QueueMetrics, { strict: false });
    const onMissedWakeUp = (queue: Queue) => () => metrics.missed.inc({ queue });
    const onError = (task: string) => (error: unknown) => logger.error({ err: error, task }, 'a worker failed');

    const commands = new Worker({
      sweepIntervalMs,
      work: (isExpected) => inboxWorker.run(isExpected),
      onMissedWakeUp: onMissedWakeUp('commands'),
      onError: onError('commands'),
    });
    const projections = new Worker({
      sweepIntervalMs,
      restMs: projectionsRestMs,
      work: (isExpected) => projectionRunner.run(isExpected),
      onMissedWakeUp: onMissedWakeUp('projections'),
      onError: onError('projections'),
    });
    const sagas = new Worker({
      sweepIntervalMs,
      restMs: sagasRestMs,
      work: (isExpected) => sagaRunner.run(isExpected),
      onMissedWakeUp: onMissedWakeUp('sagas'),
      onError: onError('sagas'),
    });
    const purge = new Worker({
      sweepIntervalMs: purgeIntervalMs,
      work: async () =>
        (await inbox.purge(config.idempotencyRetentionMs, purgeAtOnce)) === purgeAtOnce ? 'more' : 'nothing',
      onError: onError('purge'),
    });
    const sagaCatalogue = app.get(SagaCatalogue, { strict: false });
    app.get(TailBuffer, { strict: false }).onPush((events) => {
      if (sagaCatalogue.hasNews(events)) wakeUps.wake('sagas');
    });
    if (config.runWorkers) {
      wakeUps.onWake('commands', () => commands.wake());
      wakeUps.onWake('projections', () => projections.wake());
      wakeUps.onWake('sagas', () => sagas.wake());
    }
    this.workers = config.runWorkers ? [commands, projections, sagas, purge] : [];
    this.runners = [projectionRunner, sagaRunner];
    this.inboxWorker = inboxWorker;
  }

  async start(): Promise<void> {
    for (const runner of this.runners) await runner.prepare();
    for (const worker of this.workers) worker.start();
    await this.app.get(JobQueues, { strict: false }).start();
  }

  async stopTaking(): Promise<void> {
    await this.app.get(JobQueues, { strict: false }).stopWorking();
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.inboxWorker.idle();
  }

  /** When nothing asks for the log any more. */
  async end(): Promise<void> {
    await this.app.get(LogWriter, { strict: false }).close();
    await this.app.get(JobQueues, { strict: false }).close();
    const pools = [WriterPool, ProjectionsPool, SagasPool, LogPool, QueriesPool];
    await Promise.all(pools.map((pool) => this.app.get(pool, { strict: false }).end()));
  }
}
