import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApplication } from './application.js';
import type { Config } from './config.js';
import { Pools } from './platform/database/pools.js';
import { Lifecycle, type Service } from './platform/lifecycle.js';
import { JobQueues } from './platform/queue/job-queues.js';
import type { Logger } from './platform/observability/logger.js';
import { Workers } from './platform/workers.js';

/**
 * One process. It usually listens from the first moment, so that health can answer; it is ready once it has begun, and
 * stops in an order in which whatever is under way keeps what it needs.
 */
export class Serving implements Service {
  private readonly lifecycle: Lifecycle;
  private readonly workers: Workers;
  private beginning: Promise<void> = Promise.resolve();

  private constructor(
    private readonly app: NestFastifyApplication,
    private readonly config: Config,
    logger: Logger,
  ) {
    this.lifecycle = app.get(Lifecycle);
    this.workers = new Workers(app, config, logger);
  }

  static async prepare(config: Config, databaseUrl: string, logger: Logger): Promise<Serving> {
    const app = await createApplication(config, databaseUrl, logger);
    await app.init();
    return new Serving(app, config, logger);
  }

  async listen(): Promise<void> {
    await this.app.listen(this.config.port, this.config.host);
  }

  get address(): string {
    return `http://${this.config.host}:${(this.server.address() as { port: number }).port}`;
  }

  get connectionsMax(): number {
    return this.app.get(Pools).connectionsMax + this.app.get(JobQueues).databaseConnectionsMax;
  }

  async begin(): Promise<void> {
    this.beginning = this.workers.start();
    await this.beginning;
    // It may have been told to stop meanwhile.
    if (this.lifecycle.phase === 'starting') this.lifecycle.phase = 'ready';
  }

  async stop(): Promise<void> {
    // Not ready any more, but still answering, for as long as a load balancer may take to notice.
    this.lifecycle.phase = 'stopping';
    await sleep(this.config.shutdownDrainMs);
    // A failure to begin is for whoever began.
    await this.beginning.catch(() => undefined);
    // Before HTTP closes, so that what it is waiting for can not grow; and what was taken up still gets done.
    await this.workers.stopTaking();
    // Closing ends the connections that are idle then; those that get their last answer later are idle after that.
    const idle = setInterval(() => this.server.closeIdleConnections(), 50);
    await this.app.close();
    clearInterval(idle);
    // Only now does nobody need the writer, the queues, the cache and the connections.
    await this.workers.end();
  }

  private get server(): Server {
    return this.app.getHttpServer() as Server;
  }
}
