import type pg from 'pg';
import { eventually } from '../support/eventually.js';

/** Everything the database holds of a history, as the checkers want it. Positions are numbers, amounts text. */
export interface LogContents {
  readonly partitions: readonly { partition: number; head: number }[];
  readonly events: readonly LoggedEvent[];
  readonly links: readonly StreamLink[];
  readonly commands: readonly RecordedCommand[];
}

export interface LoggedEvent {
  readonly partition: number;
  readonly position: number;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  // The events of every module.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly data: any;
  readonly commandId: string;
  readonly recordedAt: string;
}

export interface StreamLink {
  readonly partition: number;
  readonly stream: string;
  readonly version: number;
  readonly position: number;
}

export interface RecordedCommand {
  readonly partition: number;
  readonly commandId: string;
  readonly status: string;
  readonly firstPosition: number | null;
  readonly lastPosition: number | null;
}

export interface ReadTables {
  readonly accounts: readonly Record<string, unknown>[];
  readonly trialBalances: readonly Record<string, unknown>[];
}

/** As of one moment. */
export function readLog(pool: pg.Pool): Promise<LogContents> {
  return atOneMoment(pool, logContents);
}

export async function logContents(rows: Rows): Promise<LogContents> {
  return {
    partitions: await rows(`SELECT partition, head::float8 AS head FROM partitions ORDER BY partition`),
    events: await rows(`
      SELECT partition, position::float8 AS position, stream, version, type, data, metadata->>'commandId' AS "commandId",
        recorded_at::text AS "recordedAt"
      FROM events ORDER BY partition, position`),
    links: await rows(`
      SELECT partition, stream, version, position::float8 AS position FROM stream_links ORDER BY partition, position`),
    commands: await rows(`
      SELECT partition, command_id AS "commandId", status, first_position::float8 AS "firstPosition",
        last_position::float8 AS "lastPosition"
      FROM commands`),
  };
}

export function readTables(pool: pg.Pool): Promise<ReadTables> {
  return atOneMoment(pool, ledgerTables);
}

export async function ledgerTables(rows: Rows): Promise<ReadTables> {
  return {
    accounts: await rows(`
      SELECT ledger, account_id AS "accountId", currency, balance::text, pending_in::text AS "pendingIn",
        pending_out::text AS "pendingOut", version, closed_at IS NOT NULL AS closed
      FROM ledger_accounts`),
    trialBalances: await rows(`
      SELECT ledger, currency, accounts::text, debits::text, credits::text FROM ledger_trial_balances`),
  };
}

/** Resolves when every projection has come to the end of the log. */
export async function projectionsHaveCaughtUp(pool: pg.Pool): Promise<void> {
  const lag = 'SELECT coalesce(sum(p.head - c.position), 1)::int AS lag FROM checkpoints c JOIN partitions p USING (partition)';
  await eventually(
    async () => (await pool.query<{ lag: number }>(lag)).rows[0]!.lag,
    (events) => events === 0,
  );
}

export type Rows = <Row>(sql: string) => Promise<Row[]>;

/** What is read is of one moment, however many statements it takes. */
export async function atOneMoment<T>(pool: pg.Pool, read: (rows: Rows) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return await read(async (sql) => (await client.query(sql)).rows);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}
