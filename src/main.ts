import 'reflect-metadata';
import { ConfigError, readConfig, type Config } from './config.js';
import { isChild, obeyPrimary, tellPrimary } from './platform/cluster/child.js';
import { Cluster } from './platform/cluster/cluster.js';
import { checkConnections } from './platform/database/connection-limit.js';
import { startEmbeddedPostgres } from './platform/database/embedded-postgres.js';
import { migrateApart } from './platform/database/migrate-apart.js';
import { whenUsable } from './platform/database/when-usable.js';
import { StartError } from './platform/errors.js';
import type { Service } from './platform/lifecycle.js';
import { createLogger, type Logger } from './platform/observability/logger.js';
import { Serving } from './serving.js';

/**
 * Reads the configuration, finds or starts a database, serves: in this process, or in as many as are asked for. HTTP
 * listens before the database is there: health answers from the first moment, and everything else says 503 until the
 * database is reachable and migrated.
 */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config.logLevel, { sharesOutput: config.clusterWorkers > 1 });
  if (isChild) return serveAsChild(config, logger);

  const say = (line: string) => process.stderr.write(`${line}\n`);
  const embedded = config.databaseUrl ? undefined : await startEmbeddedPostgres({ ...ownDatabase(config), log: say });
  const databaseUrl = config.databaseUrl ?? embedded!.url;
  const service = await (config.clusterWorkers > 1 ? Cluster : Serving).prepare(config, databaseUrl, logger);
  const stopping = stopOnSignal(service, config, logger, () => embedded?.stop());

  await service.listen();
  await prepareDatabase(databaseUrl, service.connectionsMax, config, logger, stopping);
  if (stopping.aborted) return;
  await service.begin();
  if (stopping.aborted) return;
  if (!config.databaseUrl) say(thingsToTry(service.address));
  process.stdout.write(`Rialto is ready on ${service.address}\n`);
}

/** One of the processes of a cluster: its primary looks after the database, and says when to begin and to stop. */
async function serveAsChild(config: Config, logger: Logger): Promise<void> {
  const service = await Serving.prepare(config, config.databaseUrl!, logger);
  const stopping = stopOnSignal(service, config, logger);
  obeyPrimary(
    {
      async listen() {
        if (stopping.aborted) return;
        await service.listen();
        tellPrimary({ rialto: 'listening', address: service.address });
      },
      async begin() {
        if (stopping.aborted) return;
        await service.begin();
        tellPrimary({ rialto: 'ready' });
      },
    },
    canNotStart,
  );
  tellPrimary({ rialto: 'prepared', connectionsMax: service.connectionsMax });
}

/** Ends the process in good order when it is told to stop, and at once when it is told again. */
function stopOnSignal(
  service: Service,
  { shutdownDrainMs, shutdownTimeoutMs }: Config,
  logger: Logger,
  afterwards: () => Promise<void> | undefined = () => undefined,
): AbortSignal {
  const asked = new AbortController();
  const end = (code: number): never => {
    logger.flush();
    process.exit(code);
  };
  const giveUp = (why: string): never => {
    logger.fatal(why);
    return end(1);
  };
  const stop = async (signal: NodeJS.Signals) => {
    if (asked.signal.aborted) {
      // A terminal's Ctrl-C reaches the children beside what their primary tells them: it has the say.
      return isChild ? undefined : giveUp('told to stop a second time');
    }
    asked.abort();
    logger.info({ signal }, 'stopping');
    // The children of a cluster have this long, and their primary a second more.
    const limitMs = shutdownDrainMs + shutdownTimeoutMs + (service instanceof Cluster ? 1_000 : 0);
    setTimeout(() => giveUp('could not stop in time'), limitMs);
    try {
      await service.stop();
      await afterwards();
    } catch (error) {
      logger.error({ err: error }, 'could not stop in good order');
      return end(1);
    }
    logger.info('stopped');
    return end(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(signal));
  return asked.signal;
}

async function prepareDatabase(
  url: string,
  connectionsMax: number,
  { partitions, redisUrls }: Config,
  logger: Logger,
  stopping: AbortSignal,
): Promise<void> {
  const prepare = async () => {
    await checkConnections(url, connectionsMax, (line) => logger.warn(line));
    await migrateApart(url, { partitions, queuesAreHere: !redisUrls, log: (line) => logger.info(line) });
  };
  await whenUsable(prepare, () => stopping.aborted, logger);
}

/** Our own server has room for all processes: the reads' connections, at most 20 each, the lanes', and 20 for the rest. */
function ownDatabase({ dataDir, clusterWorkers, writerLanes }: Config): Parameters<typeof startEmbeddedPostgres>[0] {
  return { dataDir, settings: { max_connections: String(Math.max(100, (40 + writerLanes) * clusterWorkers)) } };
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

function canNotStart(error: unknown): never {
  const isForTheOperator = error instanceof ConfigError || error instanceof StartError;
  const line = isForTheOperator ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`Rialto can not start: ${line}\n`);
  process.exit(1);
}

main().catch(canNotStart);
