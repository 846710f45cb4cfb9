import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is only ever read with its row: nobody asks how its values are distributed. */
const carried: Readonly<Record<string, readonly string[]>> = {
  events: ['data', 'metadata'],
  commands: ['payload', 'metadata', 'result', 'error'],
  snapshots: ['state'],
  ordering_orders: ['state'],
};

/** What the log is looked up by: always by its keys, however many rows there are (pools.ts). */
const keys: Readonly<Record<string, readonly string[]>> = {
  events: ['partition', 'position', 'stream', 'version', 'type', 'recorded_at'],
  stream_links: ['partition', 'stream', 'version', 'position'],
  commands: [
    'partition', 'command_id', 'type', 'fingerprint', 'status', 'due_at', 'created', 'first_position', 'last_position', 'attempts',
    'accepted_at', 'completed_at',
  ],
  snapshots: ['partition', 'stream', 'version', 'state_version'],
};

/**
 * Why: ANALYZE takes 30,000 rows of every partition of the log each time that grows by a tenth, and sorts them by every column,
 * for statistics that no plan depends on. A sample of 3,000, and none of what is carried, takes a fifth of that (ADR 0006).
 * Locks: SHARE UPDATE EXCLUSIVE: reads and writes go on.
 * Undo: SET STATISTICS -1, the default.
 * Breaking: no.
 */
export class Statistics1700000000009 implements MigrationInterface {
  name = 'Statistics1700000000009';

  async up(sql: QueryRunner): Promise<void> {
    for (const [table, columns] of Object.entries(keys)) await sql.query(settingStatistics(table, columns, 10));
    for (const [table, columns] of Object.entries(carried)) await sql.query(settingStatistics(table, columns, 0));
  }

  async down(sql: QueryRunner): Promise<void> {
    for (const tables of [keys, carried]) {
      for (const [table, columns] of Object.entries(tables)) await sql.query(settingStatistics(table, columns, -1));
    }
  }
}

const settingStatistics = (table: string, columns: readonly string[], target: number): string =>
  `ALTER TABLE ${table} ${columns.map((column) => `ALTER COLUMN ${column} SET STATISTICS ${target}`).join(', ')}`;
