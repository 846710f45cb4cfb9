import type DataLoader from 'dataloader';
import type pg from 'pg';
import type { Statement } from '../consumers/consumer.js';
import { batchLoader } from '../database/batch-loader.js';
import { andPartition, partitionOr, scoped, type Scope } from '../log/partition.js';
import type { EventMetadata } from '../log/recorded-event.js';
import { lateMs } from '../queue/wake-ups.js';

/** A command that is stored before it runs. */
export interface AcceptedCommand {
  readonly partition: number;
  readonly commandId: string;
  readonly type: string;
  readonly payload: object;
  readonly metadata: Omit<EventMetadata, 'commandId'>;
  readonly fingerprint: string;
}

export interface Acceptance {
  /** False: a command with this id was there already. */
  readonly isNew: boolean;
  /** Of the command that is there. */
  readonly fingerprint: string | null;
}

export type CommandStatus = 'accepted' | 'scheduled' | 'executed' | 'refused' | 'failed';

export interface CommandRow {
  partition: number;
  command_id: string;
  type: string;
  status: CommandStatus;
  result: unknown;
  attempts: number;
  error: string | null;
  accepted_at: Date;
  completed_at: Date | null;
  due_at: Date | null;
}

export interface ClaimedCommand {
  partition: number;
  command_id: string;
  type: string;
  payload: object;
  metadata: Omit<EventMetadata, 'commandId'>;
  fingerprint: string | null;
  attempts: number;
}

interface WaitingCommand extends ClaimedCommand {
  /** Accepted a while ago and never tried: whoever accepted it could not tell anybody. */
  is_late: boolean;
}

/**
 * Cut to the columns' milliseconds. Rounded up, what is due at once was not due yet for whoever was woken for it. The
 * statement's time, here and below: engines that distribute tables refuse updates by what is different at every look
 * (clock_timestamp).
 */
const now = `date_trunc('milliseconds', statement_timestamp())`;

/**
 * Stores accepted commands. The ones that arrive together share a statement, so accepting is cheaper than running.
 * Rows go in in the order of their ids, as the writer's do: two statements with the same ids can not deadlock.
 */
export const acceptSqlFor = (only?: number): string => `
WITH given AS (
  SELECT * FROM json_to_recordset($1::json) AS g(
    partition smallint, command_id text, type text, payload json, metadata json, fingerprint text)
), inserted AS (
  INSERT INTO commands (partition, command_id, type, payload, metadata, fingerprint, status, due_at, accepted_at)
  SELECT ${partitionOr('partition', only)}, command_id, type, payload, metadata, fingerprint, 'accepted', ${now}, ${now}
  FROM given ORDER BY partition, command_id
  ON CONFLICT DO NOTHING RETURNING command_id
)
SELECT g.command_id, i.command_id IS NOT NULL AS is_new, c.fingerprint, c.command_id IS NOT NULL AS is_seen
FROM given g LEFT JOIN inserted i USING (command_id)
LEFT JOIN commands c ON c.partition = g.partition AND c.command_id = g.command_id${andPartition('c', only)}`;
export const acceptSql = acceptSqlFor();

/**
 * Takes due commands for a while: another worker finds them again when this one has not finished them by then. The
 * attempt counts at once, so that a command that kills its process is parked in the end too. The statement's time, not
 * clock_timestamp(): that one is volatile, so the index would be walked over every deadline of the future.
 */
export const claimSqlFor = (only?: number): string => `
WITH due AS (
  SELECT partition, command_id, due_at FROM commands
  WHERE status IN ('accepted', 'scheduled') AND due_at <= statement_timestamp()${andPartition('commands', only)}
  ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE commands c SET due_at = statement_timestamp() + $2 * interval '1 millisecond', attempts = c.attempts + 1
FROM due d WHERE c.partition = d.partition AND c.command_id = d.command_id${andPartition('c', only)}
RETURNING c.partition, c.command_id, c.type, c.payload, c.metadata, c.fingerprint, c.attempts,
  c.status = 'accepted' AND c.attempts = 1 AND d.due_at < statement_timestamp() - $3 * interval '1 millisecond' AS is_late`;
export const claimSql = claimSqlFor();

/** Milliseconds until the first waiting command falls due, rounded up: a timer that fires too early finds nothing. */
export const nextDueSql = `
SELECT ceil(extract(epoch FROM min(due_at) - statement_timestamp()) * 1000)::float8 AS due_in_ms FROM commands
WHERE status IN ('accepted', 'scheduled')`;

/** After a failed attempt: again later, or parked. One that was completed in the meantime stays as it is. */
export const retryLaterSql = `
UPDATE commands SET
  status = CASE WHEN $4::bigint IS NULL THEN 'failed' ELSE status END,
  due_at = statement_timestamp() + coalesce($4::bigint, 0) * interval '1 millisecond',
  error = $3
WHERE partition = $1 AND command_id = $2 AND status IN ('accepted', 'scheduled')`;

/** An attempt that was turned away, not made: soon again, and not counted. */
export const giveBackSql = `
UPDATE commands SET due_at = statement_timestamp() + interval '1 second', attempts = greatest(attempts - 1, 0)
WHERE partition = $1 AND command_id = $2 AND status IN ('accepted', 'scheduled')`;

const columns = 'partition, command_id, type, status, result, attempts, error, accepted_at, completed_at, due_at';

/** Of two who ask for it at once, one gets the row. A command that is done, or waits, stays as it is. */
export const redriveSql = `
UPDATE commands SET status = 'accepted', due_at = ${now}, attempts = 0, error = NULL
WHERE partition = $1 AND command_id = $2 AND status = 'failed' RETURNING ${columns}`;

const listSql = `
SELECT ${columns} FROM commands
WHERE status = $1 AND (accepted_at, command_id) > ($2::timestamptz, $3) ORDER BY accepted_at, command_id LIMIT $4`;

/**
 * Commands that are done and older than the retention, a few at a time. Bounded by accepted_at, which is indexed; a
 * command that was done later than that is kept until it is old itself. The statement's time, not clock_timestamp():
 * that one is volatile, so no index can be asked with it, and every purge read all the commands there are (50 ms for
 * 80,000 of them, every ten seconds).
 */
export const purgeSqlFor = (only?: number): string => `
DELETE FROM commands c USING (
  SELECT partition, command_id FROM commands
  WHERE accepted_at < statement_timestamp() - $1 * interval '1 millisecond' AND status IN ('executed', 'refused')
    AND completed_at < statement_timestamp() - $1 * interval '1 millisecond'${andPartition('commands', only)}
  LIMIT $2 FOR UPDATE SKIP LOCKED) old
WHERE c.partition = old.partition AND c.command_id = old.command_id${andPartition('c', only)}`;

/** What a saga asks for. A position that is mapped again, after a restored checkpoint, finds its commands there. */
export const storeSqlFor = (only?: number): string => `
INSERT INTO commands (partition, command_id, type, payload, metadata, status, attempts, due_at, accepted_at)
SELECT ${partitionOr('partition', only)}, command_id, type, payload, metadata, 'accepted', $2::int,
  ${now} + $3 * interval '1 millisecond', ${now}
FROM json_to_recordset($1::json) AS g(partition smallint, command_id text, type text, payload json, metadata json)
ORDER BY partition, command_id
ON CONFLICT DO NOTHING`;
export const storeSql = storeSqlFor();

const maxAttempts = 8;

/**
 * While one commits, what is to be accepted gathers for the next. With a statement for every turn of the event loop the
 * same orders took PostgreSQL 690 µs each instead of 490, with what was worked off meanwhile.
 */
const acceptancesAtOnce = 1;

/** The `commands` table as inbox and as list of dead letters. The log writer completes its rows. */
export class Inbox {
  private readonly acceptor: DataLoader<AcceptedCommand, Acceptance>;

  constructor(
    private readonly pool: pg.Pool,
    private readonly claimMs: number,
    /** What its statements are about: all partitions, or one of these. */
    private readonly scopes: readonly Scope[] = [undefined],
  ) {
    // Of several scopes one may be away: what is about the others does not wait for it.
    this.acceptor = batchLoader((commands) => this.acceptAll(commands), scopes.length > 1 ? Infinity : acceptancesAtOnce);
  }

  private waitingAcceptances = 0;

  /** How many commands this process is about to accept. */
  get accepting(): number {
    return this.waitingAcceptances;
  }

  /** Resolves when the command is durable. */
  accept(command: AcceptedCommand): Promise<Acceptance> {
    this.waitingAcceptances++;
    return this.acceptor.load(command).finally(() => this.waitingAcceptances--);
  }

  /**
   * Stores commands, claimed for this process already, or for whoever looks first. In the order of partitions: as in one
   * statement, two who store the same can not deadlock.
   */
  storing(commands: readonly ClaimedCommand[], isClaimed: boolean): Statement[] {
    return this.byScope(commands).map(([only, own]) => {
      const values = [JSON.stringify(own), isClaimed ? 1 : 0, isClaimed ? this.claimMs : 0];
      return { ...scoped('store-commands', storeSqlFor, only), values };
    });
  }

  async claim(limit: number): Promise<WaitingCommand[]> {
    const claimed: WaitingCommand[] = [];
    for (const only of this.inTurn()) {
      const values = [limit - claimed.length, this.claimMs, lateMs];
      try {
        claimed.push(...(await this.pool.query<WaitingCommand>({ ...scoped('claim-commands', claimSqlFor, only), values })).rows);
      } catch (error) {
        // What is claimed has to be run: nobody else will, until the claim has run out.
        if (claimed.length > 0) break;
        throw error;
      }
      if (claimed.length === limit) break;
    }
    return claimed;
  }

  /** Not above zero when a command is due; undefined when none waits. */
  async nextDueInMs(): Promise<number | undefined> {
    const { rows } = await this.pool.query<{ due_in_ms: number | null }>({ name: 'next-due-command', text: nextDueSql });
    return rows[0]!.due_in_ms ?? undefined;
  }

  /** Notes a failed attempt. After the last one the command is parked as `failed`. */
  async retryLater(command: ClaimedCommand, error: string): Promise<'retried' | 'parked'> {
    const backOffMs = Math.round(Math.min(300_000, 200 * 2 ** command.attempts) * (0.75 + Math.random() / 2));
    const isLast = command.attempts >= maxAttempts;
    const values = [command.partition, command.command_id, error, isLast ? null : backOffMs];
    await this.pool.query(retryLaterSql, values);
    return isLast ? 'parked' : 'retried';
  }

  /** The node is overloaded or stopping: the command waits a second, for this worker or another. */
  async giveBack({ partition, command_id }: ClaimedCommand): Promise<void> {
    await this.pool.query(giveBackSql, [partition, command_id]);
  }

  /** The command, ready to run again, or undefined when it is not a failed one. */
  async redrive(partition: number, commandId: string): Promise<CommandRow | undefined> {
    return (await this.pool.query<CommandRow>(redriveSql, [partition, commandId])).rows[0];
  }

  async find(partition: number, commandId: string): Promise<CommandRow | undefined> {
    const text = `SELECT ${columns} FROM commands WHERE partition = $1 AND command_id = $2`;
    return (await this.pool.query<CommandRow>(text, [partition, commandId])).rows[0];
  }

  /** Oldest first, after a place in the list. */
  async list(
    status: 'accepted' | 'scheduled' | 'failed',
    after: { acceptedAt: string; commandId: string },
    limit: number,
  ): Promise<CommandRow[]> {
    return (await this.pool.query<CommandRow>(listSql, [status, after.acceptedAt, after.commandId, limit])).rows;
  }

  async purge(retentionMs: number, limit: number): Promise<number> {
    let purged = 0;
    for (const only of this.inTurn()) {
      purged += (await this.pool.query(purgeSqlFor(only), [retentionMs, limit - purged])).rowCount ?? 0;
      if (purged === limit) break;
    }
    return purged;
  }

  private turns = 0;

  /** All scopes, beginning with another one each time: what is full does not keep the others waiting. */
  private inTurn(): readonly Scope[] {
    const first = this.turns++ % this.scopes.length;
    return [...this.scopes.slice(first), ...this.scopes.slice(0, first)];
  }

  /** In the order of partitions. */
  private byScope<Row extends { readonly partition: number }>(rows: readonly Row[]): (readonly [Scope, readonly Row[]])[] {
    return this.scopes
      .map((only) => [only, only === undefined ? rows : rows.filter(({ partition }) => partition === only)] as const)
      .filter(([, own]) => own.length > 0);
  }

  private async acceptAll(commands: readonly AcceptedCommand[]): Promise<Acceptance[]> {
    const byId = new Map<string, Acceptance>();
    // Of several with the same id the first counts.
    const given = new Map([...commands].reverse().map((command) => [command.commandId, command]));
    while (given.size > 0) {
      const results = await Promise.all(
        this.byScope([...given.values()]).map(([only, own]) => {
          const rows = own.map(({ commandId, ...row }) => ({ command_id: commandId, ...row }));
          return this.pool.query<AcceptedRow>({ ...scoped('accept-commands', acceptSqlFor, only), values: [JSON.stringify(rows)] });
        }),
      );
      for (const row of results.flatMap(({ rows }) => rows)) {
        // Neither made by this statement nor seen by its snapshot: another one made it meanwhile. Look again.
        if (!row.is_new && !row.is_seen) continue;
        const fingerprint = row.is_new ? given.get(row.command_id)!.fingerprint : row.fingerprint;
        byId.set(row.command_id, { isNew: row.is_new, fingerprint });
        given.delete(row.command_id);
      }
    }
    const seen = new Set<string>();
    return commands.map(({ commandId }) => {
      const { isNew, fingerprint } = byId.get(commandId)!;
      const isFirst = !seen.has(commandId);
      seen.add(commandId);
      return { isNew: isNew && isFirst, fingerprint };
    });
  }
}

interface AcceptedRow {
  command_id: string;
  is_new: boolean;
  is_seen: boolean;
  fingerprint: string | null;
}
