import type pg from 'pg';
import type { EventCatalogue } from '../log/catalogue.js';
import type { Projection } from './projection.js';
import { compareTables, replayBatch, type Parity } from './replay.js';

export interface RebuildProgress {
  readonly applied: number;
  readonly total: number;
}

type Positions = Map<number, number>;

/**
 * Fills a read table anew from the log while the old one serves, and puts it in the old one's place.
 *
 * 1. fill     a table of the same shape, from the first event, in batches, each committed with a checkpoint of its
 *             own (`<view>#rebuild`): killed half-way, the next run goes on from there;
 * 2. compare  the live projection is held for a moment, both tables are brought to the same positions, and a
 *             snapshot is taken of both; the comparison reads that snapshot while the projection runs on;
 * 3. swap     with both checkpoints locked the last events are applied, and the tables change places in one
 *             transaction. Queries wait for that moment; one that holds the table longer than the lock timeout makes
 *             the swap step back and try again.
 */
export class Rebuild {
  private readonly consumer: string;
  private readonly table: string;

  constructor(
    private readonly pool: pg.Pool,
    private readonly catalogue: EventCatalogue,
    private readonly projection: Projection,
    private readonly onProgress: (progress: RebuildProgress) => void = () => undefined,
  ) {
    this.consumer = `${projection.name}#rebuild`;
    this.table = `${projection.table}_rebuild`;
  }

  /** The comparison of the old table with the new one. */
  async run(): Promise<Parity> {
    const guard = await this.pool.connect();
    try {
      const lock = await guard.query<{ taken: boolean }>('SELECT pg_try_advisory_lock(hashtext($1)) AS taken', [this.consumer]);
      if (!lock.rows[0]!.taken) throw new Error(`${this.projection.name} is being rebuilt by another process`);
      await this.prepare();
      await this.fill();
      const parity = await this.compare();
      await this.swap();
      return parity;
    } finally {
      // Closes the session, and with it gives the lock back.
      guard.release(true);
    }
  }

  private async prepare(): Promise<void> {
    await this.transaction(async (client) => {
      // Without its table or without its checkpoints a former attempt can not be gone on with.
      const { rows } = await client.query<{ resumable: boolean }>(
        `SELECT to_regclass($1) IS NOT NULL AND EXISTS (SELECT FROM checkpoints WHERE consumer = $2) AS resumable`,
        [this.table, this.consumer],
      );
      if (rows[0]!.resumable) return;
      await client.query(`DROP TABLE IF EXISTS ${this.table}`);
      await client.query(`CREATE TABLE ${this.table} (LIKE ${this.projection.table} INCLUDING ALL)`);
      await client.query('DELETE FROM checkpoints WHERE consumer = $1', [this.consumer]);
      const create = 'INSERT INTO checkpoints (consumer, partition) SELECT $1, partition FROM partitions';
      await client.query(create, [this.consumer]);
    });
  }

  /** Until it is about as far as the live projection, which goes on meanwhile; never further. */
  private async fill(): Promise<void> {
    while ((await this.advance(await this.positions(this.projection.name))) > 1_000);
  }

  /** Applies what is missing up to the given positions, batch by batch, and returns how many events that were. */
  private async advance(upTo: Positions): Promise<number> {
    const total = sum(upTo.values());
    const from = await this.positions(this.consumer);
    let applied = 0;
    for (const [partition, position] of upTo) {
      let after = from.get(partition) ?? 0;
      while (after < position) {
        const reached = await this.transaction((client) => this.applyBatch(client, partition, after, position));
        applied += reached - after;
        after = reached;
        from.set(partition, after);
        this.onProgress({ applied: sum(from.values()), total: Math.max(total, sum(from.values())) });
      }
    }
    return applied;
  }

  private async applyBatch(client: pg.ClientBase, partition: number, after: number, upTo: number): Promise<number> {
    const range = { partition, after, upTo };
    const reached = await replayBatch(client, this.catalogue, this.projection, this.table, range);
    const move = 'UPDATE checkpoints SET position = $3 WHERE consumer = $1 AND partition = $2';
    await client.query(move, [this.consumer, partition, reached]);
    return reached;
  }

  private async compare(): Promise<Parity> {
    const holder = await this.pool.connect();
    const reader = await this.pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(lockCheckpointsSql, [[this.projection.name]]);
      await this.advance(await this.positions(this.projection.name));
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await reader.query('SELECT 1'); // The snapshot is taken by the first statement.
      await holder.query('COMMIT');
      const parity = await compareTables(reader, this.projection, this.projection.table, this.table);
      await reader.query('COMMIT');
      return parity;
    } finally {
      // Should anything have failed, closing the sessions rolls back and lets go of the locks.
      holder.release(true);
      reader.release(true);
    }
  }

  private async swap(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.advance(await this.positions(this.projection.name));
      try {
        return await this.transaction((client) => this.swapOnce(client));
      } catch (error) {
        const lockTimeout = '55P03';
        if ((error as { code?: string }).code !== lockTimeout || attempt === 20) throw error;
        await new Promise((resume) => setTimeout(resume, 250));
      }
    }
  }

  private async swapOnce(client: pg.ClientBase): Promise<void> {
    const { name, table } = this.projection;
    await client.query(`SET LOCAL lock_timeout = '2s'`);
    await client.query(lockCheckpointsSql, [[name, this.consumer]]);
    const live = await positionsOf(client, name);
    for (const [partition, position] of await positionsOf(client, this.consumer)) {
      let after = position;
      while (after < live.get(partition)!) after = await this.applyBatch(client, partition, after, live.get(partition)!);
    }
    const oldIndexes = await indexesOf(client, table);
    const newIndexes = await indexesOf(client, this.table);
    await client.query(`DROP TABLE ${table}`);
    await client.query(`ALTER TABLE ${this.table} RENAME TO ${table}`);
    for (const [definition, index] of newIndexes) {
      await client.query(`ALTER INDEX ${index} RENAME TO ${oldIndexes.get(definition)!}`);
    }
    await client.query(
      `UPDATE checkpoints c SET position = r.position, failed_position = NULL, failed_type = NULL, error = NULL,
         attempts = 0, retry_at = NULL
       FROM checkpoints r WHERE c.consumer = $1 AND r.consumer = $2 AND r.partition = c.partition`,
      [name, this.consumer],
    );
    await client.query('DELETE FROM checkpoints WHERE consumer = $1', [this.consumer]);
  }

  private positions(consumer: string): Promise<Positions> {
    return positionsOf(this.pool, consumer);
  }

  private async transaction<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let failure: Error | undefined;
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      client.release(failure);
    }
  }
}

/** In the same order as the projector claims them. */
const lockCheckpointsSql =
  'SELECT FROM checkpoints WHERE consumer = ANY ($1::text[]) ORDER BY consumer, partition FOR UPDATE';

interface PositionRow {
  partition: number;
  position: number;
}

async function positionsOf(client: pg.ClientBase | pg.Pool, consumer: string): Promise<Positions> {
  const select = 'SELECT partition, position FROM checkpoints WHERE consumer = $1';
  return toPositions((await (client as pg.Pool).query<PositionRow>(select, [consumer])).rows);
}

function toPositions(rows: readonly PositionRow[]): Positions {
  return new Map(rows.map(({ partition, position }) => [partition, position]));
}

/** Names of a table's indexes by what they are: their definition without the names of index and table. */
async function indexesOf(client: pg.ClientBase, table: string): Promise<Map<string, string>> {
  const { rows } = await client.query<{ index: string; definition: string }>(
    `SELECT indexrelid::regclass::text AS index, pg_get_indexdef(indexrelid) AS definition
     FROM pg_index WHERE indrelid = $1::regclass`,
    [table],
  );
  return new Map(rows.map(({ index, definition }) => [definition.replace(/INDEX \S+ ON \S+/, 'INDEX ON'), index]));
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
