import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { assertSchemaCompatibility, LATEST_SCHEMA_VERSION, SchemaMigrationRequiredError } from 'bullmq';
import { jobSchema } from '../queue/postgres-jobs.js';
import { isMigrated } from './is-migrated.js';
import type { MigrateOptions } from './migrate.js';
import { createStartPool } from './pools.js';

/** What the process is to do. */
export interface MigrationJob {
  readonly url: string;
  readonly options: Omit<MigrateOptions, 'log'>;
}

/** What it says: lines for the log, and why it failed, with the code that a clone of an error loses. */
export type MigrationWord = { readonly line: string } | { readonly error: Error; readonly code: string | undefined };

// From src/, which tests run, as well as from dist/.
const program = fileURLToPath(new URL('../../../dist/platform/database/migrating.js', import.meta.url));

/**
 * Brings the database up to date in a process of its own, if there is something to do. TypeORM, which nothing else needs, and
 * what it brings are a tenth of what a server has in memory after its start, to be gone over by every full garbage collection
 * (ADR 0022); a thread would leave 28 MB behind.
 */
export async function migrateApart(url: string, { log = () => undefined, ...options }: MigrateOptions): Promise<void> {
  if (await isUpToDate(url, options)) return;
  // Errors, which JSON does not know, come as they are.
  const child = fork(program, { serialization: 'advanced' });
  let failure: Error | undefined;
  child.on('message', (word: MigrationWord) => {
    if ('line' in word) log(word.line);
    else failure = Object.assign(word.error, word.code === undefined ? {} : { code: word.code });
  });
  // Where it can not be started, that is what `close` is given up for.
  child.send({ url, options } satisfies MigrationJob, () => undefined);
  const [exitCode, signal] = (await once(child, 'close').catch((cause: unknown) => {
    // Without the cause's code: it says nothing of the database.
    throw new Error('the process that migrates the database could not be started', { cause });
  })) as [number | null, NodeJS.Signals | null];
  if (failure) throw failure;
  if (exitCode !== 0) throw new Error(`the process that migrates the database ended by itself (${signal ?? exitCode})`);
}

/** As it is at almost every start. Where it is not, who migrates says why. */
async function isUpToDate(url: string, { partitions, queuesAreHere = true }: MigrateOptions): Promise<boolean> {
  const pool = createStartPool(url);
  try {
    if (!(await isMigrated(pool))) return false;
    const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from partitions');
    if (rows[0]!.count !== partitions) return false;
    return !queuesAreHere || (await assertSchemaCompatibility(pool, jobSchema)) >= LATEST_SCHEMA_VERSION;
  } catch (error) {
    if (error instanceof SchemaMigrationRequiredError) return false;
    throw error;
  } finally {
    await pool.end();
  }
}
