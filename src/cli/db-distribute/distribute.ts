import type pg from 'pg';
import {
  acceptSqlFor,
  claimSqlFor,
  giveBackSql,
  nextDueSql,
  purgeSqlFor,
  redriveSql,
  retryLaterSql,
  storeSqlFor,
} from '../../platform/commands/inbox.js';
import {
  claimCheckpointsUpToSql,
  createCheckpointsSql,
  headsSql,
  lookForNewsUpToSql,
  moveCheckpointsSql,
  readEventsOfOneSql,
  recordFailureSql,
} from '../../platform/consumers/checkpoints.js';
import { appendSql, appendWithoutDeadlinesSql, checkSqlFor } from '../../platform/log/append.js';
import { fenceOneSql, lockOneSql, whoIsThereOneSql } from '../../platform/log/fence.js';
import { refreshSql } from '../../platform/log/refresh.js';
import { latestSql, versionsSql } from '../../platform/log/stream-reader.js';
import { distributedTables, distributionSteps, placePartitions, type Placement, type Step, type TableFacts } from './plan.js';

/**
 * What the product can not work without, as it sends it with a lane for each partition. The engine is asked whether it can
 * plan each of them.
 */
export const hotStatements: Readonly<Record<string, string>> = {
  lock: lockOneSql,
  refresh: refreshSql(0),
  append: appendSql(0),
  'append without deadlines': appendWithoutDeadlinesSql(0),
  check: checkSqlFor(0),
  fence: fenceOneSql,
  'who is there': whoIsThereOneSql,
  'accept commands': acceptSqlFor(0),
  'claim commands': claimSqlFor(0),
  'next due command': nextDueSql,
  'retry later': retryLaterSql,
  'give back': giveBackSql,
  redrive: redriveSql,
  'store commands': storeSqlFor(0),
  'purge commands': purgeSqlFor(0),
  'create checkpoints': createCheckpointsSql,
  heads: headsSql,
  'look for news': lookForNewsUpToSql,
  'claim checkpoints': claimCheckpointsUpToSql,
  'move checkpoints': moveCheckpointsSql,
  'record a failure': recordFailureSql,
  'read events': readEventsOfOneSql,
  'read a stream': latestSql(0),
  'find a time in a stream': versionsSql(0),
};

/** Why it is not done. Nothing has been changed. */
export class Refusal extends Error {}

const tablesSql = `
SELECT c.relname AS name, c.relkind = 'p' AS "isPartitioned", obj_description(c.oid, 'pg_class') AS comment,
  (SELECT coalesce(json_agg(json_build_object('name', i.indexrelid::regclass::text, 'definition', pg_get_indexdef(i.indexrelid),
     'constraint', (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid))
     ORDER BY i.indexrelid::regclass::text), '[]')
   FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
  (SELECT coalesce(json_agg(json_build_object('column', quote_ident(a.attname), 'target', a.attstattarget) ORDER BY a.attnum), '[]')
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attstattarget >= 0) AS statistics
FROM pg_class c WHERE c.oid = ANY ($1::regclass[])`;

export interface Preparation {
  readonly partitions: number;
  readonly placement: Placement;
  readonly steps: readonly Step[];
}

/** What would be done. Reads the catalogue and changes nothing; needs no Citus when it is told the number of nodes. */
export async function prepare(sql: pg.ClientBase, givenNodes: number | undefined): Promise<Preparation> {
  const nodes = givenNodes ?? (await countNodes(sql));
  const hashes = await sql.query<{ partition: number; hash: number }>('SELECT partition, hashint2(partition) AS hash FROM partitions ORDER BY partition');
  const tables = await sql.query<TableFacts>(tablesSql, [`{${distributedTables.join()}}`]);
  const placement = placePartitions(new Map(hashes.rows.map(({ partition, hash }) => [partition, hash])), nodes);
  return { partitions: hashes.rows.length, placement, steps: distributionSteps(tables.rows, placement.shardCount) };
}

async function countNodes(sql: pg.ClientBase): Promise<number> {
  await requireCitus(sql);
  const { rows } = await sql.query<{ nodes: number }>('SELECT count(*)::int AS nodes FROM citus_get_active_worker_nodes()');
  if (rows[0]!.nodes === 0) throw new Refusal('The cluster has no worker nodes yet: add them with citus_add_node first.');
  return rows[0]!.nodes;
}

async function requireCitus(sql: pg.ClientBase): Promise<void> {
  const { rows } = await sql.query<{ exists: boolean; available: boolean }>(`
    SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'create_distributed_table' AND pg_function_is_visible(oid)) AS "exists",
      EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citus') AS available`);
  const { exists, available } = rows[0]!;
  if (exists) return;
  throw new Refusal(
    available
      ? 'This database has no Citus: the server has the extension, so say CREATE EXTENSION citus there first.'
      : 'This database has no Citus, and its server does not offer the extension. --dry-run --nodes <n> shows what would be done.',
  );
}

/**
 * Does it, in one transaction. Before the commit every hot statement is planned on the distributed tables; if the engine can
 * not plan one of them, everything is taken back: better no distributed database than one that the product can not use.
 */
export async function distribute(sql: pg.ClientBase, { steps }: Preparation, statements = hotStatements): Promise<void> {
  await requireCitus(sql);
  const done = await sql.query(`SELECT FROM pg_dist_partition WHERE logicalrelid = 'partitions'::regclass`);
  if (done.rowCount! > 0) throw new Refusal('The write tables are distributed already.');
  const nodes = await sql.query<{ name: string }>(
    `SELECT DISTINCT application_name AS name FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'rialto %' AND application_name <> 'rialto tool' ORDER BY 1`,
  );
  if (nodes.rowCount! > 0) {
    throw new Refusal(`Nodes are connected to this database (${nodes.rows.map(({ name }) => name).join(', ')}): stop them first.`);
  }
  await sql.query('BEGIN');
  try {
    for (const { sql: text, copies } of steps) {
      const expected = copies === undefined ? undefined : (await sql.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${copies}`)).rows[0]!.rows;
      const { rowCount } = await sql.query(text);
      if (expected !== undefined && rowCount !== Number(expected)) throw new Error(`${text}: ${rowCount} rows were written, of ${expected}`);
    }
    await planAll(sql, statements);
    await sql.query('COMMIT');
  } catch (error) {
    await sql.query('ROLLBACK');
    throw error;
  }
}

async function planAll(sql: pg.ClientBase, statements: Readonly<Record<string, string>>): Promise<void> {
  const refused: string[] = [];
  for (const [name, text] of Object.entries(statements)) {
    const parameters = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
    const values = Array.from({ length: parameters }, () => 'NULL').join();
    await sql.query('SAVEPOINT planning');
    try {
      await sql.query(`PREPARE hot_statement AS ${text}`);
      await sql.query(`EXPLAIN EXECUTE hot_statement${values === '' ? '' : `(${values})`}`);
      await sql.query('DEALLOCATE hot_statement');
      await sql.query('RELEASE planning');
    } catch (error) {
      if ((error as { code?: string }).code === undefined) throw error; // The connection broke: nobody refused anything.
      refused.push(`${name}: ${(error as Error).message}`);
      await sql.query('ROLLBACK TO planning');
      // A prepared statement outlives the rollback.
      await sql.query('DEALLOCATE ALL');
    }
  }
  if (refused.length === 0) return;
  throw new Refusal(
    `The engine can not plan ${refused.length} of ${Object.keys(statements).length} hot statements on the distributed tables. ` +
      `Everything was taken back.\n${refused.map((line) => `  ${line}`).join('\n')}\ndocs/SCALING.md says what they need.`,
  );
}
