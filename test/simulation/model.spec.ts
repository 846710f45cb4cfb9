import pg from 'pg';
import { readEventsSql } from '../../src/platform/consumers/checkpoints.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { partitions } from './domain.js';
import { withSimulatedTime } from './scheduler.js';
import { type Answer, type Row, type SimulatedPostgres } from './simulated-postgres.js';
import { World } from './world.js';

/** What the simulated server did, in its order, and when. */
interface Deed {
  readonly session: number;
  readonly did: 'start' | 'block' | 'answer' | 'fail' | 'commit' | 'close';
  readonly nowMs: number;
  readonly text?: string;
  readonly values?: readonly unknown[];
  readonly answer?: Answer;
}

async function record(seed: number): Promise<{ deeds: Deed[]; postgres: SimulatedPostgres }> {
  const deeds: Deed[] = [];
  const world = new World(seed);
  const { postgres } = world;
  const note = (session: { id: number }, did: Deed['did'], rest: Partial<Deed> = {}) =>
    deeds.push({ session: session.id, did, nowMs: postgres.now(), ...rest });
  postgres.witness = {
    started: (session, text, values) => note(session, 'start', { text, values }),
    blocked: (session) => note(session, 'block'),
    answered: (session, answer) => note(session, 'answer', { answer: structuredCloneOf(answer) }),
    refused: (session) => note(session, 'fail'),
    committed: (session) => note(session, 'commit'),
    rolledBack: (session) => note(session, 'close'),
  };
  await world.run();
  expect(world.violations).toEqual([]);
  return { deeds, postgres };
}

/** As it is now: the product goes on with these rows. */
function structuredCloneOf({ rows, error }: Answer): Answer {
  return error ? { error } : { rows: rows!.map((row) => ({ ...row })) };
}

const patienceMs = 30_000;

async function withinReason<T>(result: Promise<T>, asked: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`PostgreSQL waits where the simulation does not: ${asked}`)), patienceMs);
  });
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

/** One session of the simulation, as a connection to the real server. */
class RealSession {
  isInTransaction = false;
  /** BEGIN was the client's own. */
  isExplicit = false;
  wasBlocked = false;
  underWay: { text: string; result: Promise<Answer> } | undefined;

  constructor(
    readonly client: pg.Client,
    readonly pid: number,
  ) {}

  async send(text: string, values: readonly unknown[], nowMs: number): Promise<void> {
    if (!this.isExplicit) await this.end('COMMIT');
    await this.client.query(`SET simulated.now = '${new Date(nowMs).toISOString()}'`).catch(() => undefined);
    if (text === 'BEGIN') this.isExplicit = this.isInTransaction = true;
    else if (!this.isExplicit) {
      // So that what the statement does can be committed when the simulation does so.
      await this.client.query('BEGIN');
      this.isInTransaction = true;
    }
    if (text === 'COMMIT' || text === 'ROLLBACK') this.isExplicit = this.isInTransaction = false;
    const answer = this.client.query({ text, values: [...values] }).then(
      ({ rows }): Answer => ({ rows: rows as Row[] }),
      (error: Error): Answer => ({ error }),
    );
    this.wasBlocked = false;
    this.underWay = { text, result: answer };
  }

  async end(how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    if (this.isInTransaction) await this.client.query(how);
    this.isInTransaction = this.isExplicit = false;
  }
}

const fakeClock = `
CREATE SCHEMA simulated;
CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT current_setting('simulated.now')::timestamptz $$;
CREATE FUNCTION simulated.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT current_setting('simulated.now')::timestamptz $$;
CREATE TABLE simulated_applied (ordinal bigint GENERATED ALWAYS AS IDENTITY, consumer text, partition smallint, position bigint);
DELETE FROM partitions WHERE partition >= ${partitions}`;

const numbers = (oid: number, format?: 'text' | 'binary') => (oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text'));

describe('What the simulated PostgreSQL does with the statements of the product,', () => {
  let database: TestDatabase;
  let idle: RealSession[];
  let sessions: Map<number, RealSession>;

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.pool.query(fakeClock);
    idle = [];
    sessions = new Map();
  });

  afterAll(async () => {
    await Promise.all([...idle, ...sessions.values()].map(({ client }) => client.end()));
    await database.drop();
  });

  async function connect(): Promise<RealSession> {
    const free = idle.pop();
    if (free) return free;
    const client = new pg.Client({
      connectionString: database.url,
      types: { getTypeParser: numbers as pg.CustomTypesConfig['getTypeParser'] },
      // The clock of these sessions is the simulation's.
      options: '-c search_path=simulated,pg_catalog,public',
    });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return new RealSession(client, rows[0]!.pid);
  }

  async function sessionOf(id: number): Promise<RealSession> {
    const session = sessions.get(id) ?? (await connect());
    sessions.set(id, session);
    return session;
  }

  /** PostgreSQL waits where the simulation does: a statement that is not answered at once has to be seen waiting. */
  async function untilItWaits({ pid }: RealSession): Promise<void> {
    for (const until = performance.now() + patienceMs; performance.now() < until; ) {
      const { rows } = await database.pool.query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`, [pid]);
      if (rows.length > 0) return;
    }
    throw new Error('PostgreSQL does not wait where the simulation does');
  }

  async function close(session: RealSession): Promise<void> {
    if (session.underWay) {
      await database.pool.query('SELECT pg_terminate_backend($1, 5000)', [session.pid]);
      await session.underWay.result;
      await session.client.end();
      return;
    }
    await session.end('ROLLBACK');
    idle.push(session);
  }

  async function replay(deeds: readonly Deed[]): Promise<{ blocked: number; failed: number }> {
    const seen = { blocked: 0, failed: 0 };
    for (const [index, { session: id, did, nowMs, text, values, answer }] of deeds.entries()) {
      const session = await sessionOf(id);
      if (did === 'start') {
        const next = deeds.slice(index + 1).find((deed) => deed.session === id)?.answer?.error as { code?: string } | undefined;
        // Where the simulation has a projection fail.
        await session.send(next?.code === '22000' ? 'SELECT 1/0' : text!, next?.code === '22000' ? [] : values!, nowMs);
      } else if (did === 'block') {
        seen.blocked++;
        session.wasBlocked = true;
        await untilItWaits(session);
      } else if (did === 'answer') {
        const { text: asked, result } = session.underWay!;
        const real = await withinReason(result, asked);
        session.underWay = undefined;
        if (answer!.error) seen.failed++;
        expect({ asked, answer: comparable(asked, real, session.wasBlocked) }).toEqual({ asked, answer: comparable(asked, answer!, session.wasBlocked) });
        if (real.error && !session.isExplicit) await session.end('ROLLBACK');
      } else if (did === 'fail') {
        await expect(session.client.query('SELECT 1/0')).rejects.toThrow();
      } else if (did === 'commit') {
        await session.end('COMMIT');
      } else {
        sessions.delete(id);
        await close(session);
      }
    }
    return seen;
  }

  /** What is committed, of every table, in a fixed order. */
  async function realTables(): Promise<Record<string, unknown[]>> {
    const rows = async (sql: string) => (await database.pool.query({ text: sql, types: { getTypeParser: numbers as never } })).rows;
    return {
      partitions: await rows('SELECT head, revision, recorded_at FROM partitions ORDER BY partition'),
      events: await rows('SELECT partition, position, stream, version, type, data, metadata, recorded_at FROM events ORDER BY partition, position'),
      links: await rows('SELECT partition, stream, version, position FROM stream_links ORDER BY partition, position, stream'),
      commands: await rows('SELECT * FROM commands ORDER BY partition, command_id'),
      snapshots: await rows('SELECT partition, stream, version, state_version, state FROM snapshots ORDER BY partition, stream'),
      checkpoints: await rows('SELECT * FROM checkpoints ORDER BY consumer, partition'),
      applied: await rows('SELECT consumer, partition, position FROM simulated_applied ORDER BY consumer, partition, ordinal'),
    };
  }

  async function clear(): Promise<void> {
    for (const session of sessions.values()) await close(session);
    sessions.clear();
    for (const table of ['events', 'stream_links', 'commands', 'snapshots', 'checkpoints', 'simulated_applied']) {
      await database.pool.query(`DELETE FROM ${table}`);
    }
    await database.pool.query(`UPDATE partitions SET head = 0, revision = 0, recorded_at = '1970-01-01Z'`);
  }

  test('is what the real one does: answers, waits and tables of the same sequences agree', async () => {
    const total = { blocked: 0, failed: 0, statements: 0 };
    const until = performance.now() + Number(process.env.RIALTO_SIMULATION_SECONDS ?? 8) * 1_000;
    for (let runs = 0, seed = 1; runs < 10 || performance.now() < until; seed++) {
      // In the large ones every statement occurs.
      if (new World(seed).isSmall) continue;
      runs++;
      const { deeds, postgres } = await withSimulatedTime(() => record(seed));
      try {
        const { blocked, failed } = await replay(deeds);
        expect(plain(await realTables())).toEqual(plain(tablesOf(postgres)));
        total.blocked += blocked;
        total.failed += failed;
        total.statements += deeds.filter(({ did }) => did === 'start').length;
      } catch (error) {
        throw Object.assign(error as Error, { message: `seed ${seed}: ${(error as Error).message}` });
      }
      await clear();
    }
    expect(total.statements).toBeGreaterThan(100);
    expect(total.blocked).toBeGreaterThan(0);
  }, 120_000);
});

function tablesOf({ partitions, events, links, commands, snapshots, checkpoints, applied }: SimulatedPostgres): Record<string, unknown[]> {
  const byText = <T>(rows: readonly T[], textOf: (row: T) => string): T[] =>
    rows.map((row) => ({ row, text: textOf(row) })).sort((a, b) => (a.text < b.text ? -1 : 1)).map(({ row }) => row);
  const time = (ms: number | null) => (ms === null ? null : new Date(ms));
  return {
    partitions: partitions.map(({ head, revision, recordedAt }) => ({ head, revision, recorded_at: time(recordedAt) })),
    events: events.flat().map(({ recordedAt, ...event }) => ({ ...event, recorded_at: time(recordedAt) })),
    links: byText(links, ({ partition, position, stream }) => `${partition}/${String(position).padStart(9)}/${stream}`),
    commands: byText([...commands.values()], ({ partition, command_id }) => `${partition}/${command_id}`).map((command) => ({
      ...command,
      due_at: time(command.due_at),
      accepted_at: time(command.accepted_at),
      completed_at: time(command.completed_at),
    })),
    snapshots: byText([...snapshots], ([key]) => key).map(([key, { version, state_version, state }]) => {
      const [partition] = key.split('/', 1) as [string];
      return { partition: Number(partition), stream: key.slice(partition.length + 1), version, state_version, state };
    }),
    checkpoints: byText([...checkpoints.values()], ({ consumer, partition }) => `${consumer}/${partition}`).map((one) => ({ ...one, retry_at: time(one.retry_at) })),
    applied: byText([...applied], ([key]) => `${key.slice(2)}/${key[0]}`).flatMap(([key, positions]) =>
      positions.map((position) => ({ consumer: key.slice(2), partition: Number(key[0]), position })),
    ),
  };
}

/** As JSON has it: times as texts, nothing undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** An answer without what may differ: the text of JSON, the order of rows that have none, the time after a wait. */
function comparable(asked: string, { rows, error }: Answer, wasBlocked: boolean): unknown {
  if (error) {
    const { code } = error as { code?: string };
    return { error: code === '22012' ? '22000' : code };
  }
  const same = rows!.map((row) => {
    const copy = plain(row) as Row;
    for (const column of ['data', 'metadata']) if (typeof copy[column] === 'string') copy[column] = JSON.parse(copy[column]) as unknown;
    if (wasBlocked) delete copy.database_time;
    if (Array.isArray(copy.known)) copy.known = copy.known.map((one) => JSON.stringify(sortedKeys(one))).sort();
    return sortedKeys(copy);
  });
  return asked === readEventsSql ? same : same.map((row) => JSON.stringify(row)).sort();
}

/** jsonb has an order of its own for the keys of an object. */
function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sortedKeys(inner)]));
}
