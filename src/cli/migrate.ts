import { ConfigError, readConfig } from '../config.js';
import { migrate } from '../platform/database/migrate.js';

/** Brings the database up to date, and does nothing else: for deployments that want this done before a node starts. */
async function run(): Promise<void> {
  const { databaseUrl, partitions, redisUrls } = readConfig(process.env);
  if (databaseUrl === undefined) throw new ConfigError('DATABASE_URL: got nothing; a postgres:// URL');
  await migrate(databaseUrl, {
    partitions,
    queuesAreHere: !redisUrls,
    log: (line) => process.stdout.write(`${line}\n`),
  });
  process.stdout.write('The database is up to date\n');
}

run().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
