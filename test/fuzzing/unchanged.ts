import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { partitionOf } from '../../src/platform/log/partition.js';

const settleMsMax = 30_000;

/** All tables of ours; BullMQ's are hints, and move on their own. */
const tablesSql = `
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1`;

/** A command that is being run has been put off for as long as that may take. */
const settledSql = `
SELECT NOT EXISTS (
  SELECT FROM commands WHERE status IN ('accepted', 'scheduled')
    AND (due_at < clock_timestamp() + interval '100 milliseconds' OR (attempts > 0 AND error IS NULL))
) AND NOT EXISTS (
  SELECT FROM checkpoints c JOIN partitions p USING (partition) WHERE c.position < p.head
) AS settled`;

/** What waits for its time, and how often it was taken up: when that moves, what has changed has changed by itself. */
const deadlines = '(deadlines)';
const deadlinesSql = `SELECT '${deadlines}', count(*) || ' taken up ' || coalesce(sum(attempts), 0) FROM commands WHERE status = 'scheduled'`;

/** By the names of tables. */
export type Fingerprint = ReadonlyMap<string, string>;

/**
 * What is in the database, told from anything else by this: how many rows a table has, and the sum of the transactions
 * that wrote them. Whatever inserts, updates or deletes a row changes one of the two, and no value has to be read for it.
 */
export class Contents {
  private text: string | undefined;

  constructor(private readonly pool: pg.Pool) {}

  async fingerprint(): Promise<Fingerprint> {
    this.text ??= (await this.pool.query<{ name: string }>(tablesSql)).rows
      .map(({ name }) => `SELECT '${name}' AS name, count(*) || ' rows by ' || coalesce(sum(xmin::text::bigint), 0) AS print FROM ${name}`)
      .concat(deadlinesSql)
      .join(' UNION ALL ');
    const { rows } = await this.pool.query<{ name: string; print: string }>(this.text);
    return new Map(rows.map(({ name, print }) => [name, print]));
  }

  /** Resolves when all that was asked for is done: commands run, views caught up, and nothing due at once. */
  async settle(): Promise<void> {
    const deadlineMs = performance.now() + settleMsMax;
    for (;;) {
      const { rows } = await this.pool.query<{ settled: boolean }>(settledSql);
      if (rows[0]!.settled) return;
      if (performance.now() > deadlineMs) throw new Error(`what was asked for is not done after ${settleMsMax} ms`);
      await sleep(10);
    }
  }

  /** Those of the requests, by the ids they brought, that events were recorded for. */
  async recordedFor(requestIds: readonly string[]): Promise<string[]> {
    const text = `SELECT DISTINCT metadata->>'correlationId' AS id FROM events WHERE metadata->>'correlationId' = ANY ($1::text[])`;
    return (await this.pool.query<{ id: string }>(text, [requestIds])).rows.map(({ id }) => id);
  }

  /** Parks a command as if it had failed too often; no request can bring that about. It opens an account, if it is run again. */
  async park(name: string, ledger: string): Promise<string> {
    const { rows } = await this.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM partitions');
    const partition = partitionOf(ledger, rows[0]!.count);
    const commandId = `${partition}.${name}`;
    await this.pool.query(
      `INSERT INTO commands (partition, command_id, type, payload, metadata, fingerprint, status, attempts, due_at, error, accepted_at)
       VALUES ($1, $2, 'ledger.open-account', $3, '{}', 'x', 'failed', 8, now(), 'Error: a bug', now())`,
      [partition, commandId, JSON.stringify({ ledger, accountId: name, currency: 'EUR', overdraft: 'none' })],
    );
    return commandId;
  }
}

export function changedTables(before: Fingerprint, after: Fingerprint): string[] {
  return [...after].filter(([name, print]) => before.get(name) !== print).map(([name]) => name);
}

/** Whether a deadline has come meanwhile, of a reservation or an authorisation. */
export function isOverdue(changed: readonly string[]): boolean {
  return changed.includes(deadlines);
}
