import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type pg from 'pg';
import { AppModule } from '../app.module.js';
import { ConfigError, readConfig } from '../config.js';
import { startEmbeddedPostgres } from '../platform/database/embedded-postgres.js';
import { migrate } from '../platform/database/migrate.js';
import { createToolPool } from '../platform/database/pools.js';
import { createLogger } from '../platform/observability/logger.js';
import { NestLogger } from '../platform/observability/nest-logger.js';

/**
 * Runs a command-line tool on the database that the server would use, beside a running server or without one. Its
 * exit code is what `work` returns.
 */
export async function commandLine(
  work: (app: INestApplicationContext, pool: pg.Pool) => Promise<number>,
): Promise<void> {
  try {
    const config = readConfig(process.env);
    const embedded = config.databaseUrl ? undefined : await startEmbeddedPostgres({ dataDir: config.dataDir });
    const databaseUrl = config.databaseUrl ?? embedded!.url;
    const logger = createLogger('warn');
    try {
      await migrate(databaseUrl, { partitions: config.partitions, queuesAreHere: !config.redisUrls });
      const app = await NestFactory.createApplicationContext(AppModule.forRoot(config, databaseUrl, logger), {
        logger: new NestLogger(logger),
      });
      const pool = createToolPool(databaseUrl);
      process.exitCode = await work(app, pool).finally(() => pool.end());
    } finally {
      await embedded?.stop();
    }
  } catch (error) {
    const line = error instanceof ConfigError ? error.message : (error as Error).message;
    process.stderr.write(`${line}\n`);
    process.exitCode = 1;
  }
}
