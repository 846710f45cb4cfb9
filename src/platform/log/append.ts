import { andPartition, partitionOr, scoped, type Scope } from './partition.js';

/**
 * The one statement that writes: everything a batch decided, over all its partitions, in one commit.
 *
 * - `locked` takes the rows of the partitions that are written to in the order of their numbers, so two writers can
 *   not deadlock. A writer that had to wait sees the row as the other one left it, and finds its revision moved on.
 * - `known` finds commands that are done already (a retry). Reading it with the statement's snapshot is enough: had
 *   another writer recorded the command after that snapshot, the revision would have moved.
 * - `commands_done` may meet a row that `known` did not see: accepting a command moves no revision. Of the same request,
 *   it is done with this. Of another one with the same id, it must not be taken for done: no status, which the column does
 *   not allow, so all of it fails, and is decided again by who sees that row (failures.ts).
 * - `won` are the partitions for which what was decided still holds: their revision is the expected one and none of
 *   their commands is done, and so it is with all others of their group (a command with parts decides on several
 *   partitions). All other CTEs join it, so a group takes part as a whole or not at all.
 * - `commands_unscheduled` says `status || ''` so that no index on the status is considered: those of what is waiting
 *   seem to be empty, and are full of deadlines that were taken back and not yet vacuumed.
 * - Writing nothing to a partition (refusals that need no record, looks at prices) only checks it: as of the statement's
 *   snapshot nobody had committed more than what was decided on, so it held then. No lock.
 *
 * With `only`, all of it is about that partition, and says so with a constant wherever rows are locked, found or written:
 * it is planned for the tables of one partition, and an engine that distributes them has one server to send it to.
 *
 * Most batches set no deadlines and take none back: theirs is the statement without that part, which opens all partitions of
 * `commands` to delete from, whether there are rows or not (ADR 0001 has what it costs).
 *
 * How the rows get in, µs of Postgres per event row of 330 bytes in batches of 600 (PG 18 / PG 15):
 * `json_to_recordset` 8.4 / 13.5, `unnest` of text and jsonb arrays 6.5 / 6.8 but twice the CPU in Node (escaping
 * array literals), `jsonb_array_elements` 1.8 / 1.6 a column with one JSON.stringify. Hence ROWS FROM over arrays
 * of numbers and JSON arrays.
 */
const appendSqlFor = (hasDeadlines: boolean) => (only?: number): string => `
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::boolean[], $19::smallint[])
    AS w(partition, revision, head, recorded_at, writes, together)
), locked AS MATERIALIZED (
  ${lockedIn(only)}
), found AS MATERIALIZED (
  SELECT partition, revision FROM locked
  UNION ALL
  SELECT partition, revision FROM partitions WHERE partition = ANY ($1::smallint[]) AND partition <> ALL ($18::smallint[])${andPartition('partitions', only)}
), recorded AS MATERIALIZED (
  SELECT * FROM json_to_recordset($15::json) AS r(
    partition smallint, command_id text, type text, fingerprint text, status text, created boolean, result json,
    first_position bigint, last_position bigint)
), known AS MATERIALIZED (
  SELECT c.partition, c.command_id, c.fingerprint, c.status, c.created, c.result, c.last_position
  FROM recorded r CROSS JOIN LATERAL (
    SELECT * FROM commands WHERE partition = r.partition AND command_id = r.command_id${andPartition('commands', only)} OFFSET 0) c
  WHERE c.status IN ('executed', 'refused') OR c.fingerprint <> r.fingerprint
), held AS MATERIALIZED (
  SELECT w.partition, w.together, f.revision = w.revision AS is_current,
    f.revision = w.revision AND NOT EXISTS (SELECT FROM known k WHERE k.partition = w.partition) AS holds
  FROM wanted w JOIN found f USING (partition)
), won AS MATERIALIZED (
  SELECT * FROM wanted w WHERE NOT EXISTS (SELECT FROM held h WHERE h.together = w.together AND NOT h.holds)
), moved AS (
  UPDATE partitions p SET head = w.head, revision = p.revision + 1, recorded_at = w.recorded_at
  FROM won w WHERE p.partition = w.partition AND w.writes${andPartition('p', only)}
), appended AS (
  INSERT INTO events (partition, position, stream, version, type, data, metadata, recorded_at)
  SELECT ${partitionOr('e.partition', only)}, e.position, e.stream, e.version, e.type, e.data, e.metadata, w.recorded_at
  FROM ROWS FROM (
    unnest($6::smallint[], $7::bigint[], $8::integer[]),
    json_array_elements_text($9::json), json_array_elements_text($10::json), jsonb_array_elements($11::jsonb),
    jsonb_array_elements($12::jsonb)
  ) AS e(partition, position, version, stream, type, data, metadata)
  JOIN won w ON w.partition = e.partition
), linked AS (
  INSERT INTO stream_links (partition, stream, version, position)
  SELECT ${partitionOr('l.partition', only)}, l.stream, l.version, l.position
  FROM ROWS FROM (unnest($16::smallint[], $17::integer[], $13::bigint[]), json_array_elements_text($14::json))
    AS l(partition, version, position, stream)
  JOIN won w ON w.partition = l.partition
), commands_done AS (
  INSERT INTO commands (partition, command_id, type, fingerprint, status, created, result, first_position,
    last_position, accepted_at, completed_at)
  SELECT ${partitionOr('r.partition', only)}, r.command_id, r.type, r.fingerprint, r.status, r.created, r.result, r.first_position,
    r.last_position, w.recorded_at, w.recorded_at
  FROM recorded r JOIN won w ON w.partition = r.partition ORDER BY r.partition, r.command_id
  ON CONFLICT (partition, command_id) DO UPDATE
  SET status = CASE WHEN commands.fingerprint <> excluded.fingerprint THEN NULL ELSE excluded.status END,
    created = excluded.created, result = excluded.result, due_at = NULL, error = NULL,
    first_position = excluded.first_position, last_position = excluded.last_position,
    completed_at = excluded.completed_at
), snapshots_taken AS (
  INSERT INTO snapshots (partition, stream, version, state_version, state)
  SELECT ${partitionOr('s.partition', only)}, s.stream, s.version, s.state_version, s.state
  FROM json_to_recordset($20::json) AS s(
    partition smallint, stream text, version integer, state_version smallint, state jsonb)
  JOIN won w ON w.partition = s.partition
  ON CONFLICT (partition, stream) DO UPDATE
  SET version = excluded.version, state_version = excluded.state_version, state = excluded.state
)${hasDeadlines ? deadlines(only) : ''}
SELECT h.partition, won.partition IS NOT NULL AS won, h.is_current, clock_timestamp() AS database_time,
  (SELECT json_agg(k) FROM known k WHERE k.partition = h.partition) AS known
FROM held h LEFT JOIN won USING (partition)`;
export const appendSql = appendSqlFor(true);
export const appendWithoutDeadlinesSql = appendSqlFor(false);

/** Commands that are to run later, and those that need not any more. */
const deadlines = (only: number | undefined): string => `, commands_scheduled AS (
  INSERT INTO commands (partition, command_id, type, payload, metadata, status, due_at, accepted_at)
  SELECT ${partitionOr('s.partition', only)}, s.command_id, s.type, s.payload, s.metadata, 'scheduled', s.due_at, w.recorded_at
  FROM json_to_recordset($21::json) AS s(
    partition smallint, command_id text, type text, payload json, metadata json, due_at timestamptz)
  JOIN won w ON w.partition = s.partition ORDER BY s.partition, s.command_id
  ON CONFLICT (partition, command_id) DO NOTHING
), commands_unscheduled AS (
${deleteUnscheduled(only)}
)`;

/**
 * Where several partitions are written to, they are locked by a function (migration 0008), whose query has a plan of its
 * own. In this one's, a wait for a lock brings PostgreSQL 18 down: the plan is then checked again against the row as it
 * has become (EvalPlanQual), which leaves the other CTEs, whose partitions are chosen while they run, with memory that
 * has been freed. 24 crashes of 18.4 in 5,800 contended appends before, none in 18,000 since. With one partition, it is
 * chosen when the statement is planned. The rule holds for any statement that locks: no other CTE may choose partitions.
 */
const lockedIn = (only: number | undefined): string =>
  only === undefined
    ? 'SELECT partition, revision FROM lock_partitions($18::smallint[])'
    : `SELECT partition, revision FROM partitions WHERE partition = ANY ($18::smallint[]) AND partition = ${only} FOR UPDATE`;

/** Both forms leave the planner no other way than to look rows up by their keys, see refresh.ts. */
const deleteUnscheduled = (only: number | undefined): string => {
  const given = `
    FROM ROWS FROM (unnest($22::smallint[]), json_array_elements_text($23::json)) AS u(partition, command_id)
    JOIN won w ON w.partition = u.partition`;
  const isScheduled = `status || '' = 'scheduled'`;
  return only === undefined
    ? `
  DELETE FROM commands c USING (SELECT u.partition, u.command_id ${given} OFFSET 0) u
  WHERE c.partition = u.partition AND c.command_id = u.command_id AND c.${isScheduled}`
    : `
  DELETE FROM commands
  WHERE partition = ${only} AND command_id = ANY (ARRAY (SELECT u.command_id ${given})) AND ${isScheduled}`;
};

/**
 * For a batch that writes nothing: whether what was decided still holds. A tenth of what an append of nothing costs.
 * Its rows are an append's.
 */
export const checkSqlFor = (only?: number): string => `
SELECT w.partition, bool_and(p.revision = w.revision) OVER (PARTITION BY w.together) AS won,
  p.revision = w.revision AS is_current, clock_timestamp() AS database_time, NULL AS known
FROM unnest($1::smallint[], $2::bigint[], $3::smallint[]) AS w(partition, revision, together)
JOIN partitions p ON p.partition = w.partition${andPartition('p', only)}`;
export const checkSql = checkSqlFor();

export interface AppendResultRow {
  partition: number;
  won: boolean;
  /** Nobody else has written to it. It may have lost all the same, by a command that was done before or by its group. */
  is_current: boolean;
  database_time: Date;
  known: KnownCommand[] | null;
}

/** A command that was done before: what a retry gets. */
export interface KnownCommand {
  command_id: string;
  fingerprint: string | null;
  status: 'executed' | 'refused' | 'accepted' | 'scheduled' | 'failed';
  created: boolean | null;
  result: unknown;
  last_position: number | null;
}

/** Everything a batch wants to append, gathered column by column in the order of the statement's parameters. */
export class AppendRows {
  readonly heads = { partition: [], revision: [], head: [], recordedAt: [], writes: [], group: [] } as {
    partition: number[];
    revision: number[];
    head: number[];
    recordedAt: string[];
    writes: boolean[];
    /** The same number for partitions that take part together or not at all. */
    group: number[];
  };
  readonly events = { partition: [], position: [], version: [], stream: [], type: [], data: [], metadata: [] } as {
    partition: number[];
    position: number[];
    version: number[];
    stream: string[];
    type: string[];
    data: object[];
    metadata: object[];
  };
  readonly links = { partition: [], position: [], version: [], stream: [] } as {
    partition: number[];
    position: number[];
    version: number[];
    stream: string[];
  };
  /** JSON texts, already encoded: results and states are encoded once. */
  readonly commands: string[] = [];
  readonly scheduled: string[] = [];
  readonly snapshots: string[] = [];
  readonly unscheduled = { partition: [], commandId: [] } as { partition: number[]; commandId: string[] };

  get isEmpty(): boolean {
    return !this.heads.writes.includes(true);
  }

  /** The form of the statement that these rows need, with them. */
  statement(only: Scope): { name: string; text: string; values: string[] } {
    const { scheduled, unscheduled } = this;
    const values = this.parameters();
    if (scheduled.length === 0 && unscheduled.partition.length === 0) {
      return { ...scoped('append-without-deadlines', appendWithoutDeadlinesSql, only), values };
    }
    values.push(`[${scheduled.join()}]`, numbers(unscheduled.partition), JSON.stringify(unscheduled.commandId));
    return { ...scoped('append', appendSql, only), values };
  }

  /** What both forms take. */
  private parameters(): string[] {
    const { heads, events, links } = this;
    return [
      numbers(heads.partition),
      numbers(heads.revision),
      numbers(heads.head),
      numbers(heads.recordedAt.map((time) => `"${time}"`)),
      numbers(heads.writes),
      numbers(events.partition),
      numbers(events.position),
      numbers(events.version),
      JSON.stringify(events.stream),
      JSON.stringify(events.type),
      JSON.stringify(events.data),
      JSON.stringify(events.metadata),
      numbers(links.position),
      JSON.stringify(links.stream),
      `[${this.commands.join()}]`,
      numbers(links.partition),
      numbers(links.version),
      numbers(heads.partition.filter((_, index) => heads.writes[index])),
      numbers(heads.group),
      `[${this.snapshots.join()}]`,
    ];
  }
}

/** What a batch wants to append, by the statement that does it: one for all partitions, or one for each of them. */
export class AppendStatements {
  private readonly rows = new Map<Scope, AppendRows>();

  constructor(private readonly areApart: boolean) {}

  of(partition: number): AppendRows {
    const scope = this.areApart ? partition : undefined;
    let rows = this.rows.get(scope);
    if (!rows) this.rows.set(scope, (rows = new AppendRows()));
    return rows;
  }

  /** In the order of partitions, which is that of locks, also of commands' rows. */
  inOrder(): AppendRows[] {
    return [...this.rows].sort(([a = 0], [b = 0]) => a - b).map(([, rows]) => rows);
  }
}

/** A Postgres array literal of values that need no escaping. */
const numbers = (values: readonly unknown[]): string => `{${values.join()}}`;
