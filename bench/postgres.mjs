import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { atEnd, runDirectory } from './systems.mjs';

/**
 * The one PostgreSQL of a run, with a database for each system under test. It is the one that comes with the
 * product, started with nothing set beyond what the product's own start sets, so durability is the default.
 */
export async function startPostgres() {
  const { startEmbeddedPostgres } = await import('../dist/platform/database/embedded-postgres.js');
  const { CLUSTER } = await import('../dist/platform/database/postgres-installation.js');
  const dataDir = path.join(runDirectory(), 'data');
  const server = await startEmbeddedPostgres({ dataDir });
  atEnd(() => server.stop());

  const url = (database) => Object.assign(new URL(server.url), { pathname: `/${database}` }).href;
  const connect = async (database) => {
    const client = new pg.Client({ connectionString: url(database) });
    client.on('error', () => {}); // The server's stop ends connections too, when a run is cut short.
    await client.connect();
    return client;
  };
  const admin = await connect('postgres');
  atEnd(() => admin.end());
  const one = async (sql) => Object.values((await admin.query(sql)).rows[0])[0];

  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    const value = await one(`show ${setting}`);
    if (value !== 'on') throw new Error(`${setting} is ${value}: rates measured like this mean nothing`);
  }
  const changed = await admin.query(
    `select name, setting from pg_settings
     where source in ('command line', 'configuration file') and boot_val is distinct from setting
       and category !~ '^(File|Client|Connections|Reporting|Preset)' order by name`,
  );
  const pid = Number(await one(`select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)`));
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter((line) => line.startsWith('MALLOC_'));
  return {
    pid,
    version: await one('show server_version'),
    changedSettings: [...changed.rows.map((row) => `${row.name}=${row.setting}`), ...environment].join(', ') || 'none',
    url,
    connect,
    /** Of databases that say `log_statement = 'all'`, since the start. */
    loggedStatements: () =>
      (readFileSync(path.join(server.dataDir, CLUSTER, 'server.log'), 'utf8').match(/LOG: {2}(statement|execute)/g) ?? []).length,
    async createDatabase(name, template = 'template1') {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.query(`create database ${name} template ${template} strategy file_copy`);
    },
    /** Each measurement begins right after a checkpoint, so none pays for the writes of the one before. */
    checkpoint: () => admin.query('checkpoint'),
    async query(database, sql) {
      const client = await connect(database);
      try {
        return (await client.query(sql)).rows;
      } finally {
        await client.end();
      }
    },
  };
}
