import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from '../../src/app.module.js';
import { readConfig } from '../../src/config.js';
import { serveOpenApi } from '../../src/platform/http/openapi.js';
import { configureHttp, createAdapter } from '../../src/platform/http/server.js';
import { createLogger } from '../../src/platform/observability/logger.js';

/** The application, put together as main.ts does it, but without a database and without a port. */
export async function assembleApplication(): Promise<NestFastifyApplication> {
  const config = readConfig({ LOG_LEVEL: 'silent' });
  const logger = createLogger(config.logLevel);
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(config, 'postgres://nobody@127.0.0.1:1/nothing', logger),
    createAdapter(config, () => undefined),
    { bodyParser: false, logger: false },
  );
  configureHttp(app, config, logger);
  serveOpenApi(app);
  await app.init();
  return app;
}
