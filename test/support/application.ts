import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { productModules } from '../../src/app.module.js';
import { createApplication } from '../../src/application.js';
import { readConfig } from '../../src/config.js';
import type { DomainModule } from '../../src/platform/domain-module.js';
import { Lifecycle } from '../../src/platform/lifecycle.js';
import { createLogger } from '../../src/platform/observability/logger.js';
import { Workers } from '../../src/platform/workers.js';

const silent = { LOG_LEVEL: 'silent', CONSISTENCY_WAIT_MS: '20000' };

/** The application, put together as main.ts does it, but without a database and without a port. */
export async function assembleApplication(env: Record<string, string> = {}): Promise<NestFastifyApplication> {
  const config = readConfig({ ...silent, ...env });
  const nowhere = 'postgres://nobody@127.0.0.1:1/nothing';
  const app = await createApplication(config, nowhere, createLogger(config.logLevel));
  await app.init();
  return app;
}

export interface RunningApplication {
  readonly app: NestFastifyApplication;
  readonly url: string;
  stop(): Promise<void>;
}

/** The application, serving and working in this process, with further modules on the same platform. */
export function startApplication(databaseUrl: string, ...further: readonly DomainModule[]): Promise<RunningApplication> {
  return startConfigured(databaseUrl, {}, further);
}

/** The same, with other settings. */
export async function startConfigured(
  databaseUrl: string,
  env: Record<string, string>,
  further: readonly DomainModule[] = [],
): Promise<RunningApplication> {
  const config = readConfig({ ...silent, ...env });
  const logger = createLogger(config.logLevel);
  const app = await createApplication(config, databaseUrl, logger, [...productModules, ...further]);
  await app.listen(0, '127.0.0.1');
  const server = app.getHttpServer() as Server;
  const workers = new Workers(app, config, logger);
  await workers.start();
  app.get(Lifecycle).phase = 'ready';
  return {
    app,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      await workers.stopTaking();
      await app.close();
      await workers.end();
    },
  };
}
