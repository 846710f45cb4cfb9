import type { DynamicModule, Type } from '@nestjs/common';
import { PARAMTYPES_METADATA } from '@nestjs/common/constants.js';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule, productModules } from './app.module.js';
import type { Config } from './config.js';
import { serveOpenApi } from './platform/http/openapi.js';
import { ProblemsController } from './platform/http/problems.controller.js';
import { ProblemFilter } from './platform/http/problem.filter.js';
import { configureHttp, createAdapter } from './platform/http/server.js';
import { HealthController } from './platform/observability/health.controller.js';
import type { Logger } from './platform/observability/logger.js';
import { NestLogger } from './platform/observability/nest-logger.js';
import { apiControllers } from './platform/platform.module.js';

/** The application as its configuration wants it, routes and all; it does not listen yet, and asks nothing of the database. */
export async function createApplication(
  config: Config,
  databaseUrl: string,
  logger: Logger,
  modules = productModules,
): Promise<NestFastifyApplication> {
  let filter: ProblemFilter | undefined;
  const adapter = createAdapter(config, (...problem) => filter?.answer(...problem));
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(config, databaseUrl, logger, modules),
    adapter,
    { bodyParser: false, logger: new NestLogger(logger) },
  );
  filter = app.get(ProblemFilter);
  configureHttp(app, config, logger);
  if (config.serveHttp) serveOpenApi(app, config.role === 'all' ? app : await previewOfAll(modules));
  return app;
}

/**
 * All of the API's controllers, never made: behind a load balancer whichever process is asked for the document has to
 * describe every route, and not only its own. What their constructors ask for is there in name only.
 */
export async function previewOfAll(modules: typeof productModules): Promise<NestFastifyApplication> {
  const { commands, queries } = apiControllers(modules);
  const controllers = [...commands, ...queries, HealthController, ProblemsController];
  const asked = controllers.flatMap((one) => (Reflect.getMetadata(PARAMTYPES_METADATA, one) as Type[] | undefined) ?? []);
  class EveryRole {}
  const providers = asked.map((provide) => ({ provide, useValue: {} }));
  const module: DynamicModule = { module: EveryRole, controllers, providers };
  return NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), { preview: true, logger: false });
}
