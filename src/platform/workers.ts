import type { INestApplicationContext } from '@nestjs/common';
import type { Config } from '../config.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import { Projector } from './consumers/projector.js';
import { LogPool, ProjectorPool, QueriesPool, WriterPool } from './database/pools.js';
import { LogWriter } from './log/writer.js';
import type { Logger } from './observability/logger.js';
import { WakeUps, Worker } from './queue/wake-ups.js';

/** A run costs a millisecond of CPU however little there is: one for every commit took a third of the machine. */
const projectorRestMs = 2;
const purgeIntervalMs = 10_000;
const purgeAtOnce = 1_000;

/** What a process does besides answering requests: drain the inbox, feed the projections, purge old commands. */
export class Workers {
  private readonly workers: Worker[];

  constructor(
    private readonly app: INestApplicationContext,
    config: Config,
    logger: Logger,
  ) {
    const { sweepIntervalMs } = config;
    const inbox = app.get(Inbox, { strict: false });
    const inboxWorker = app.get(InboxWorker, { strict: false });
    const projector = app.get(Projector, { strict: false });
    const wakeUps = app.get(WakeUps, { strict: false });
    const onError = (task: string) => (error: unknown) => logger.error({ err: error, task }, 'a worker failed');

    const commands = new Worker({ sweepIntervalMs, work: () => inboxWorker.run(), onError: onError('commands') });
    const projections = new Worker({
      sweepIntervalMs,
      restMs: projectorRestMs,
      work: () => projector.run(),
      onError: onError('projections'),
    });
    const purge = new Worker({
      sweepIntervalMs: purgeIntervalMs,
      work: async () => (await inbox.purge(config.idempotencyRetentionMs, purgeAtOnce)) === purgeAtOnce,
      onError: onError('purge'),
    });
    wakeUps.onWake('commands', () => commands.wake());
    wakeUps.onWake('projections', () => projections.wake());
    this.workers = config.runWorkers ? [commands, projections, purge] : [];
  }

  async start(): Promise<void> {
    await this.app.get(Projector, { strict: false }).prepare();
    for (const worker of this.workers) worker.start();
  }

  async stopTaking(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }

  /** When nothing asks for the log any more. */
  async end(): Promise<void> {
    await this.app.get(LogWriter, { strict: false }).close();
    const pools = [WriterPool, ProjectorPool, LogPool, QueriesPool];
    await Promise.all(pools.map((pool) => this.app.get(pool, { strict: false }).end()));
  }
}
