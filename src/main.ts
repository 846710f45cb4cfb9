import type { Server } from 'node:http';
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { ConfigError, readConfig, type Config } from './config.js';
import { startEmbeddedPostgres } from './platform/database/embedded-postgres.js';
import { migrate } from './platform/database/migrate.js';
import { configureHttp, createAdapter } from './platform/http/server.js';
import { serveOpenApi } from './platform/http/openapi.js';
import { ProblemFilter } from './platform/http/problem.filter.js';
import { Lifecycle } from './platform/lifecycle.js';
import { classify } from './platform/log/failures.js';
import { createLogger, type Logger } from './platform/observability/logger.js';
import { NestLogger } from './platform/observability/nest-logger.js';
import { Workers } from './platform/workers.js';

/**
 * Reads the configuration, finds or starts a database, serves. HTTP listens before the database is there: health
 * answers from the first moment, and everything else says 503 until the database is reachable and migrated.
 */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config.logLevel);
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const embedded = config.databaseUrl ? undefined : await startEmbeddedPostgres({ dataDir: config.dataDir, log: say });
  const databaseUrl = config.databaseUrl ?? embedded!.url;

  let filter: ProblemFilter | undefined;
  const adapter = createAdapter(config, (...problem) => filter?.answer(...problem));
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(config, databaseUrl, logger),
    adapter,
    { bodyParser: false, logger: new NestLogger(logger) },
  );
  filter = app.get(ProblemFilter);
  configureHttp(app, config, logger);
  serveOpenApi(app);
  await app.listen(config.port, config.host);

  const lifecycle = app.get(Lifecycle);
  const workers = new Workers(app, config, logger);
  const stop = once(async (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'stopping');
    lifecycle.phase = 'stopping';
    const deadline = setTimeout(() => {
      logger.fatal({ afterMs: config.shutdownTimeoutMs }, 'could not stop in time');
      logger.flush();
      process.exit(1);
    }, config.shutdownTimeoutMs);
    // In this order: nothing new comes in, what is under way gets its answer, and only then its means are taken away.
    await workers.stopTaking();
    // Closing ends the connections that are idle then; those that get their last answer later are idle after that.
    const idle = setInterval(() => (app.getHttpServer() as Server).closeIdleConnections(), 50);
    await app.close();
    clearInterval(idle);
    await workers.end();
    await embedded?.stop();
    clearTimeout(deadline);
    logger.info('stopped');
    logger.flush();
    process.exit(0);
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(signal));

  await migrateWhenReachable(databaseUrl, config, logger, lifecycle);
  if (lifecycle.phase !== 'starting') return;
  await workers.start();
  lifecycle.phase = 'ready';
  const address = `http://${config.host}:${addressPort(app)}`;
  if (!config.databaseUrl) say(thingsToTry(address));
  process.stdout.write(`Rialto is ready on ${address}\n`);
}

/** A database that is not there yet will be; one that this build must not touch will not get better. */
async function migrateWhenReachable(url: string, config: Config, logger: Logger, lifecycle: Lifecycle): Promise<void> {
  for (let failures = 0; lifecycle.phase === 'starting'; failures++) {
    try {
      const { partitions, redisUrls } = config;
      return await migrate(url, { partitions, queuesAreHere: !redisUrls, log: (line) => logger.info(line) });
    } catch (error) {
      if (classify(error) !== 'unreachable') throw error;
      if (failures % 20 === 0) logger.warn({ err: error }, 'the database can not be reached; trying again');
      await new Promise((resume) => setTimeout(resume, 250));
    }
  }
}

function thingsToTry(address: string): string {
  const json = `-H 'Content-Type: application/json'`;
  return `
Three things to try, in another terminal:

  curl -X POST ${address}/v1/ledgers/demo/accounts ${json} -d '{"accountId":"world","currency":"EUR","overdraft":"unlimited"}'
  curl -X POST ${address}/v1/ledgers/demo/accounts ${json} -d '{"accountId":"alice","currency":"EUR"}'
  curl -X POST ${address}/v1/ledgers/demo/transactions ${json} -d '{"postings":[{"source":"world","destination":"alice","amount":"1050"}]}'

The API is documented at ${address}/docs
`;
}

function addressPort(app: NestFastifyApplication): number {
  return (app.getHttpServer().address() as { port: number }).port;
}

function once<Argument>(work: (argument: Argument) => Promise<void>): (argument: Argument) => Promise<void> {
  let running: Promise<void> | undefined;
  return (argument) => (running ??= work(argument));
}

main().catch((error: unknown) => {
  const line = error instanceof ConfigError ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`Rialto can not start: ${line}\n`);
  process.exit(1);
});
