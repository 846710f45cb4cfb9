import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is only ever read with its row: nobody asks how its values are distributed. */
const carried: Readonly<Record<string, readonly string[]>> = {
  events: ['data', 'metadata'],
  commands: ['payload', 'metadata', 'result', 'error'],
  snapshots: ['state'],
};

/** The other columns of the log, whose rows are looked up by key, however many there are (pools.ts): a small sample does. */
const sampled: Readonly<Record<string, readonly string[]>> = {
  events: ['partition', 'position', 'stream', 'version', 'type', 'recorded_at'],
  stream_links: ['partition', 'stream', 'version', 'position'],
  commands: [
    'partition', 'command_id', 'type', 'fingerprint', 'status', 'due_at', 'created', 'first_position', 'last_position', 'attempts',
    'accepted_at', 'completed_at',
  ],
  snapshots: ['partition', 'stream', 'version', 'state_version'],
};

/**
 * Why: ANALYZE takes 30,000 rows of every partition of the log whenever that has grown by a tenth, and sorts them by every column,
 * for statistics that no plan of a server depends on. A sample of 3,000, and none of what is carried, takes a fifth of that
 * (ADR 0006). Not where an engine distributes the log, which may not take the statement: there it stays as it is.
 * Locks: SHARE UPDATE EXCLUSIVE: reads and writes go on.
 * Undo: SET STATISTICS -1, the default.
 * Breaking: no.
 */
export class Statistics1700000000009 implements MigrationInterface {
  name = 'Statistics1700000000009';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query('ALTER TABLE ordering_orders ALTER COLUMN state SET STATISTICS 0');
    if (!(await isPartitioned(sql))) return;
    await setStatistics(sql, sampled, 10);
    await setStatistics(sql, carried, 0);
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('ALTER TABLE ordering_orders ALTER COLUMN state SET STATISTICS -1');
    if (!(await isPartitioned(sql))) return;
    await setStatistics(sql, sampled, -1);
    await setStatistics(sql, carried, -1);
  }
}

/** So is the log, unless an engine distributes it (npm run db:distribute). */
async function isPartitioned(sql: QueryRunner): Promise<boolean> {
  const [{ is }] = await sql.query(`SELECT relkind = 'p' AS is FROM pg_class WHERE oid = 'events'::regclass`);
  return is;
}

async function setStatistics(sql: QueryRunner, columnsOf: Readonly<Record<string, readonly string[]>>, target: number): Promise<void> {
  for (const [table, columns] of Object.entries(columnsOf)) {
    await sql.query(`ALTER TABLE ${table} ${columns.map((column) => `ALTER COLUMN ${column} SET STATISTICS ${target}`).join(', ')}`);
  }
}
