import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase {
  name: string;
  url: string;
  pool: pg.Pool;
  drop(): Promise<void>;
}

/** A database of its own for a suite: migrated and empty, or a copy of another one that nobody is connected to. */
export async function createTestDatabase(
  template = environment('RIALTO_TEST_TEMPLATE'),
): Promise<TestDatabase> {
  const name = `rialto_test_${randomBytes(6).toString('hex')}`;
  await administer(async (admin) => {
    // Copying the files is the quickest way for a small template, and the only one before PostgreSQL 15.
    const { rows } = await admin.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    const strategy = rows[0]!.version >= 150_000 ? 'strategy file_copy' : '';
    await admin.query(`create database ${name} template ${template} ${strategy}`);
  });
  const url = new URL(environment('RIALTO_TEST_POSTGRES'));
  url.pathname = `/${name}`;
  const pool = createTestPool(url.href);
  return {
    name,
    url: url.href,
    pool,
    async drop() {
      await pool.end();
      await administer((admin) => admin.query(`drop database ${name} with (force)`));
    },
  };
}

/**
 * A pool for looking at a database that may be taken away. `pool.end()` answers before its sockets have closed; what
 * the server says to them then (57P01: a forced drop, a shutdown) is an error of the pool, and unheard it fails a test.
 */
export function createTestPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url });
  pool.on('error', () => undefined);
  return pool;
}

async function administer(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: environment('RIALTO_TEST_POSTGRES') });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is missing; it is set by test/support/global-setup.mjs`);
  return value;
}
