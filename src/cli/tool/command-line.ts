import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type pg from 'pg';
import { AppModule } from '../../app.module.js';
import { readConfig } from '../../config.js';
import { startEmbeddedPostgres } from '../../platform/database/embedded-postgres.js';
import { migrate } from '../../platform/database/migrate.js';
import { createToolPool } from '../../platform/database/pools.js';
import { createLogger } from '../../platform/observability/logger.js';
import { NestLogger } from '../../platform/observability/nest-logger.js';
import { runTool } from './arguments.js';

/**
 * Runs a command-line tool on the database that the server would use, beside a running server or without one. What it
 * was called with is read before that. Its exit code is what `work` returns.
 */
export async function commandLine<Options>(
  usage: string,
  readOptions: () => Options,
  work: (app: INestApplicationContext, pool: pg.Pool, options: Options) => Promise<number>,
): Promise<void> {
  await runTool(usage, async () => {
    const options = readOptions();
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
      return await work(app, pool, options).finally(() => pool.end());
    } finally {
      await embedded?.stop();
    }
  });
}
