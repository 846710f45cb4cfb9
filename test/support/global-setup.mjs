import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../dist/platform/database/embedded-postgres.js';
import { migrate } from '../../dist/platform/database/migrate.js';

/**
 * One PostgreSQL for the whole run and in it one migrated database, which every suite clones in a few
 * milliseconds (see database.ts). TEST_DATABASE_URL names a server to use instead; its user must be allowed
 * to create databases.
 */
export default async function setUp() {
  const server = process.env.TEST_DATABASE_URL ? undefined : await startServer();
  const adminUrl = process.env.TEST_DATABASE_URL ?? server.url;
  const template = `rialto_template_${process.pid}`; // Runs may share a server.
  await execute(adminUrl, `create database ${template}`);
  const templateUrl = new URL(adminUrl);
  templateUrl.pathname = `/${template}`;
  await migrate(templateUrl.href, { partitions: 16 });

  process.env.RIALTO_TEST_POSTGRES = adminUrl;
  process.env.RIALTO_TEST_TEMPLATE = template;
  globalThis.tearDownPostgres = async () => {
    if (server) await server.remove();
    else await execute(adminUrl, `drop database ${template}`);
  };
  // An interrupted run skips the teardown, and the server would outlive it.
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
    process.once(signal, () => globalThis.tearDownPostgres().finally(() => process.exit(code)));
  }
}

async function startServer() {
  const dataDir = await mkdtemp(join(tmpdir(), 'rialto-test-'));
  await chmod(dataDir, 0o755); // Root runs the server as another user.
  const server = await startEmbeddedPostgres({
    dataDir,
    // Nothing here survives the run, so nothing has to survive a crash either.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  const remove = async () => {
    await server.stop('immediate');
    for (const path of [server.dataDir, dataDir]) await rm(path, { recursive: true, force: true });
  };
  return { url: server.url, remove };
}

async function execute(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
