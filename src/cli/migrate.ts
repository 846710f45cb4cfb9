import { ConfigError, readConfig } from '../config.js';
import { migrate } from '../platform/database/migrate.js';
import { readOptions, runTool } from './tool/arguments.js';

const usage = `Usage: npm run migrate

Brings the database of DATABASE_URL up to date, and does nothing else: for deployments that want this done before a node
starts.`;

await runTool(usage, async () => {
  readOptions({});
  const { databaseUrl, partitions, redisUrls } = readConfig(process.env);
  if (databaseUrl === undefined) throw new ConfigError('DATABASE_URL: got nothing; a postgres:// URL');
  await migrate(databaseUrl, {
    partitions,
    queuesAreHere: !redisUrls,
    log: (line) => process.stdout.write(`${line}\n`),
  });
  process.stdout.write('The database is up to date\n');
  return 0;
});
