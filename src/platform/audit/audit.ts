import type pg from 'pg';
import { compareTables, replayBatch } from '../consumers/replay.js';
import type { ProjectionCatalogue } from '../consumers/projection-catalogue.js';
import type { EventCatalogue } from '../log/catalogue.js';

/** What an invariant's check found: how much it looked at, and the first few places where it does not hold. */
export interface Finding {
  readonly invariant: string;
  readonly counted: string;
  readonly offenders: readonly string[];
}

/** A module's own invariant: a statement that counts, and one whose rows are the offenders. */
export interface Invariant {
  readonly name: string;
  /** One row, one column `counted`. */
  readonly countSql: string;
  /** One column `offender`; no row when the invariant holds. */
  readonly offendersSql: string;
}

const maxOffenders = 5;

/** Positions of a partition are 1 … head, without a gap. */
const dense: Invariant = {
  name: '1 positions are 1 … head in every partition',
  countSql: `SELECT count(*) || ' partitions, ' || coalesce(sum(head), 0) || ' events' AS counted FROM partitions`,
  offendersSql: `
SELECT 'partition ' || p.partition || ': head ' || p.head || ', ' || coalesce(e.count, 0) || ' events from '
  || coalesce(e.first, 0) || ' to ' || coalesce(e.last, 0) AS offender
FROM partitions p FULL JOIN (
  SELECT partition, count(*) AS count, min(position) AS first, max(position) AS last FROM events GROUP BY partition
) e USING (partition)
WHERE coalesce(e.count, 0) <> coalesce(p.head, -1) OR coalesce(e.last, 0) <> coalesce(p.head, -1)
  OR coalesce(e.first, 1) <> 1
ORDER BY 1`,
};

const streamVersions = `(
  SELECT partition, stream, version FROM events UNION ALL SELECT partition, stream, version FROM stream_links
) v`;

/** Versions of a stream are 1 … n, without a gap, over the events of the stream and those linked to it. */
const versions: Invariant = {
  name: '2 versions are 1 … n in every stream',
  countSql: `SELECT count(DISTINCT (partition, stream)) || ' streams, ' || count(*) || ' versions' AS counted
FROM ${streamVersions}`,
  offendersSql: `
SELECT 'stream ' || stream || ': ' || count(*) || ' versions from ' || min(version) || ' to ' || max(version) AS offender
FROM ${streamVersions} GROUP BY partition, stream
HAVING count(*) <> max(version) OR min(version) <> 1 OR count(DISTINCT version) <> count(*)
UNION ALL
SELECT 'stream ' || l.stream || ' version ' || l.version || ': there is no event ' || l.position || ' in partition '
  || l.partition
FROM stream_links l LEFT JOIN events e ON e.partition = l.partition AND e.position = l.position
WHERE e.position IS NULL
ORDER BY 1`,
};

/**
 * The events of a command are one run of positions in one commit, and where the command is on record, the one that stands
 * there. A key that was forgotten after the retention may be used again: that is another command with the same id.
 */
const commandsOnce = (retentionMs: number): Invariant => ({
  name: '6 every command took effect at most once',
  countSql: `
SELECT (SELECT count(DISTINCT metadata->>'commandId') FROM events) || ' commands with events, '
  || (SELECT count(*) FROM commands WHERE status IN ('executed', 'refused')) || ' on record' AS counted`,
  offendersSql: `
WITH effects AS (
  SELECT metadata->>'commandId' AS command_id, partition, recorded_at, count(*) AS count,
    min(position) AS first, max(position) AS last
  FROM events GROUP BY 1, 2, 3
), repeated AS (
  SELECT *, recorded_at - lag(recorded_at) OVER (PARTITION BY command_id ORDER BY recorded_at) AS since FROM effects
  WHERE command_id IN (SELECT command_id FROM effects GROUP BY 1 HAVING count(*) > 1)
)
SELECT 'command ' || command_id || ': ' || count || ' events from ' || first || ' to ' || last
  || ' in partition ' || partition AS offender
FROM effects WHERE count <> last - first + 1
UNION ALL
SELECT 'command ' || command_id || ': again from ' || first || ' to ' || last || ' in partition ' || partition || ', '
  || since || ' later'
FROM repeated WHERE since < interval '${retentionMs} milliseconds'
UNION ALL
SELECT 'command ' || c.command_id || ' (' || c.status || '): on record with ' || coalesce(c.first_position::text, 'no')
  || ' to ' || coalesce(c.last_position::text, 'no') || ', in the log with '
  || coalesce(e.first || ' to ' || e.last, 'no event')
FROM commands c LEFT JOIN effects e
  ON e.command_id = c.command_id AND e.recorded_at >= c.completed_at - interval '${retentionMs} milliseconds'
WHERE c.status IN ('executed', 'refused') AND (
  (c.first_position IS NULL) <> (e.first IS NULL)
  OR (c.first_position IS NOT NULL AND (c.first_position, c.last_position) <> (e.first, e.last)))
ORDER BY 1`,
});

/**
 * Proves the invariants on a live database, as of one moment: everything runs on one snapshot, while writes go on.
 * The replay of each read table (invariant 7) goes to a temporary table of the session.
 */
export class Audit {
  private readonly invariants: Invariant[];

  constructor(retentionMs: number) {
    this.invariants = [dense, versions, commandsOnce(retentionMs)];
  }

  /** A module's own. */
  add(...invariants: readonly Invariant[]): void {
    this.invariants.push(...invariants);
    this.invariants.sort((a, b) => a.name.localeCompare(b.name));
  }

  async *run(
    pool: pg.Pool,
    catalogue: EventCatalogue,
    projections: ProjectionCatalogue,
  ): AsyncGenerator<Finding, void, void> {
    const client = await pool.connect();
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      for (const invariant of this.invariants) yield await check(client, invariant);
      for (const name of projections.names) yield await this.checkReplay(client, catalogue, projections, name);
    } finally {
      // Rolls back and drops the temporary tables.
      client.release(true);
    }
  }

  private async checkReplay(
    client: pg.PoolClient,
    catalogue: EventCatalogue,
    projections: ProjectionCatalogue,
    name: string,
  ): Promise<Finding> {
    const projection = projections.find(name)!;
    const table = `audit_${projection.table}`;
    await client.query(`CREATE TEMPORARY TABLE ${table} (LIKE ${projection.table} INCLUDING ALL)`);
    const { rows } = await client.query<{ partition: number; position: number }>(
      'SELECT partition, position FROM checkpoints WHERE consumer = $1',
      [name],
    );
    let events = 0;
    for (const { partition, position } of rows) {
      for (let after = 0; after < position; ) {
        after = await replayBatch(client, catalogue, projection, table, { partition, after, upTo: position });
      }
      events += position;
    }
    const { rows: count, different, examples } = await compareTables(client, projection, projection.table, table);
    await client.query(`DROP TABLE ${table}`);
    const others = different > examples.length ? [`… ${different} rows in all`] : [];
    return {
      invariant: `7 ${projection.table} equals the replay of its events`,
      counted: `${count} rows from ${events} events`,
      offenders: [...examples.map((key) => `row ${JSON.stringify(key)}`), ...others],
    };
  }
}

async function check(client: pg.PoolClient, { name, countSql, offendersSql }: Invariant): Promise<Finding> {
  const [{ counted }] = (await client.query<{ counted: string }>(countSql)).rows as [{ counted: string }];
  const { rows } = await client.query<{ offender: string }>(`${offendersSql} LIMIT ${maxOffenders}`);
  return { invariant: name, counted, offenders: rows.map(({ offender }) => offender) };
}
