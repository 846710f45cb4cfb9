import { setTimeout as sleep } from 'node:timers/promises';
import { runMigrations } from 'bullmq';
import type pg from 'pg';
import { DataSource, MigrationExecutor, type QueryRunner } from 'typeorm';
import { jobSchema } from '../queue/postgres-jobs.js';
import { migrations } from '../../migrations/index.js';

type Log = (line: string) => void;

export interface MigrateOptions {
  readonly partitions: number;
  readonly queuesAreHere?: boolean;
  readonly log?: Log;
}

const LOCK_KEY = 7_421_907;
const LOCK_RETRY_MS = 100;
const LOCK_TIMEOUT_MS = 600_000;

/**
 * Brings the database up to date. Any number of processes may do so at once: one migrates, the others wait
 * for it. Refuses a database that was created with another number of partitions, before it changes anything
 * there. BullMQ's own tables belong to it, unless the queues are elsewhere: they need advisory locks and NOTIFY, which
 * not every engine that the log can live in has.
 */
export async function migrate(url: string, options: MigrateOptions): Promise<void> {
  const { partitions, queuesAreHere = true, log = () => {} } = options;
  const source = new DataSource({
    type: 'postgres',
    url,
    migrations,
    synchronize: false,
    applicationName: 'rialto migrate',
    // The lock and the setting belong to a session, so there must not be a second one; whoever asked for it
    // would wait for the first, and fail instead of migrating without the lock.
    extra: { max: 1, connectionTimeoutMillis: 10_000 },
  });
  await source.initialize();
  const session = source.createQueryRunner();
  try {
    await takeLock(session, log);
    await checkPartitions(session, partitions);
    await session.query(`select set_config('rialto.partitions', $1, false)`, [String(partitions)]);
    await applyPending(source, session, log);
    if (queuesAreHere) await runMigrations((await session.connect()) as pg.PoolClient, jobSchema);
    await checkPartitions(session, partitions);
  } finally {
    await session.release();
    await source.destroy(); // Ends the session, and with it the lock.
  }
}

/**
 * TypeORM takes no lock of its own. Asked for again and again rather than waited for: a session that waits in
 * a statement holds a snapshot, and CREATE INDEX CONCURRENTLY of the session that migrates would wait for it
 * for ever.
 */
async function takeLock(session: QueryRunner, log: Log): Promise<void> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS;
  for (let attempt = 1; Date.now() < deadline; attempt++) {
    const [{ taken }] = await session.query('select pg_try_advisory_lock($1) as taken', [LOCK_KEY]);
    if (taken) return;
    if (attempt === 10) log('Another process is migrating the database; waiting for it');
    await sleep(LOCK_RETRY_MS);
  }
  throw new Error(`Another process has been migrating the database for ${LOCK_TIMEOUT_MS / 60_000} minutes`);
}

async function applyPending(source: DataSource, session: QueryRunner, log: Log): Promise<void> {
  // DataSource.runMigrations would use a session of its own, without the lock.
  const executor = new MigrationExecutor(source, session);
  executor.transaction = 'each';
  for (const { name } of await executor.executePendingMigrations()) log(`Migrated: ${name}`);
}

async function checkPartitions(session: QueryRunner, wished: number): Promise<void> {
  const [{ exists }] = await session.query(`select to_regclass('partitions') is not null as exists`);
  if (!exists) return;
  const [{ count }] = await session.query('select count(*)::int as count from partitions');
  if (count === wished) return;
  throw new Error(
    `PARTITIONS is ${wished}, but this database was created with ${count}, and that cannot be changed: ` +
      `set PARTITIONS=${count}, or use another database.`,
  );
}
