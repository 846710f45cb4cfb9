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
import { WakeUps, Worker } from './queue/wake-ups.js';

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
    const onError = (task: string) => (error: unknown) => logger.error({ err: error, task }, 'a worker failed');

    const commands = new Worker({ sweepIntervalMs, work: () => inboxWorker.run(), onError: onError('commands') });
    const projections = new Worker({
      sweepIntervalMs,
      restMs: projectionsRestMs,
      work: () => projectionRunner.run(),
      onError: onError('projections'),
    });
    const sagas = new Worker({
      sweepIntervalMs,
      restMs: sagasRestMs,
      work: () => sagaRunner.run(),
      onError: onError('sagas'),
    });
    const purge = new Worker({
      sweepIntervalMs: purgeIntervalMs,
      work: async () => (await inbox.purge(config.idempotencyRetentionMs, purgeAtOnce)) === purgeAtOnce,
      onError: onError('purge'),
    });
    const sagaCatalogue = app.get(SagaCatalogue, { strict: false });
    app.get(TailBuffer, { strict: false }).onPush((events) => {
      if (sagaCatalogue.hasNews(events)) wakeUps.wake('sagas');
    });
    wakeUps.onWake('commands', () => commands.wake());
    wakeUps.onWake('projections', () => projections.wake());
    wakeUps.onWake('sagas', () => sagas.wake());
    this.workers = config.runWorkers ? [commands, projections, sagas, purge] : [];
    this.runners = [projectionRunner, sagaRunner];
    this.inboxWorker = inboxWorker;
  }

  async start(): Promise<void> {
    for (const runner of this.runners) await runner.prepare();
    for (const worker of this.workers) worker.start();
  }

  async stopTaking(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.inboxWorker.idle();
  }

  /** When nothing asks for the log any more. */
  async end(): Promise<void> {
    await this.app.get(LogWriter, { strict: false }).close();
    const pools = [WriterPool, ProjectionsPool, SagasPool, LogPool, QueriesPool];
    await Promise.all(pools.map((pool) => this.app.get(pool, { strict: false }).end()));
  }
}
