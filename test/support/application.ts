import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamicModule, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from '../../src/app.module.js';
import { readConfig, type Config } from '../../src/config.js';
import { serveOpenApi } from '../../src/platform/http/openapi.js';
import { ProblemFilter } from '../../src/platform/http/problem.filter.js';
import { configureHttp, createAdapter } from '../../src/platform/http/server.js';
import { Lifecycle } from '../../src/platform/lifecycle.js';
import { createLogger, type Logger } from '../../src/platform/observability/logger.js';
import { Workers } from '../../src/platform/workers.js';

/** The application, put together as main.ts does it, but without a database and without a port. */
export async function assembleApplication(): Promise<NestFastifyApplication> {
  const config = readConfig({ LOG_LEVEL: 'silent' });
  const logger = createLogger(config.logLevel);
  const product = AppModule.forRoot(config, 'postgres://nobody@127.0.0.1:1/nothing', logger);
  const app = await assemble(product, config, logger);
  await app.init();
  return app;
}

export interface RunningApplication {
  readonly app: NestFastifyApplication;
  readonly url: string;
  stop(): Promise<void>;
}

/** The application, serving and working in this process, with further modules on the same platform. */
export async function startApplication(databaseUrl: string, ...further: readonly Type[]): Promise<RunningApplication> {
  const config = readConfig({ LOG_LEVEL: 'silent' });
  const logger = createLogger(config.logLevel);
  const product = AppModule.forRoot(config, databaseUrl, logger);
  const app = await assemble({ ...product, imports: [...product.imports!, ...further] }, config, logger);
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

async function assemble(module: DynamicModule, config: Config, logger: Logger): Promise<NestFastifyApplication> {
  let filter: ProblemFilter | undefined;
  const adapter = createAdapter(config, (...problem) => filter?.answer(...problem));
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, { bodyParser: false, logger: false });
  filter = app.get(ProblemFilter);
  configureHttp(app, config, logger);
  serveOpenApi(app);
  return app;
}
