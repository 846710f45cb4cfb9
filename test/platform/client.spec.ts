import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { Client } from '../../src/platform/database/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';

describe('A connection of the pools', () => {
  let database: TestDatabase;
  let pools: pg.Pool[];

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  beforeEach(() => {
    pools = [];
  });

  afterEach(() => Promise.all(pools.map((pool) => pool.end())));
  afterAll(() => database.drop());

  /** Of one connection, and so long a limit that no busy machine meets it. */
  const createPool = (options: pg.PoolConfig & { pipeline?: boolean } = {}) => {
    const pool = new pg.Pool({ Client, connectionString: database.url, max: 1, query_timeout: 60_000, ...options });
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    pools.push(pool);
    return pool;
  };
  const backend = async (pool: pg.Pool) => (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
  const forEver = 'SELECT pg_sleep(3600)';

  test('takes statements as pg does: as texts and as objects, with values and without', async () => {
    const pool = createPool();
    const client = await pool.connect();
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }]);
    expect((await client.query('SELECT $1::int AS n', [2])).rows).toEqual([{ n: 2 }]);
    expect((await client.query({ name: 'three', text: 'SELECT $1::int AS n', values: [3] })).rows).toEqual([{ n: 3 }]);
    client.release();
    expect((await pool.query('SELECT $1::int AS n', [4])).rows).toEqual([{ n: 4 }]);
  });

  test("a statement's error names who asked, and the connection lives on", async () => {
    const pool = createPool();
    const before = await backend(pool);
    async function whoAsks() {
      const client = await pool.connect();
      try {
        await client.query('SELECT 1 / 0');
      } finally {
        client.release();
      }
    }
    const error = await whoAsks().catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: '22012', stack: expect.stringContaining('whoAsks') as string });
    expect(await backend(pool)).toBe(before);
  });

  test('a statement that is not answered in time fails, and what is asked next is asked over another connection', async () => {
    const pool = createPool();
    const before = await backend(pool);
    await expect(pool.query({ text: forEver, query_timeout: 50 } as pg.QueryConfig)).rejects.toThrow('Query read timeout');
    expect(await backend(pool)).not.toBe(before);
  });

  test('a statement that was answered in time is taken for that by a process that stood still meanwhile', async () => {
    const pool = createPool({ query_timeout: 50 });
    const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    // Half a second is enough for the answer to come, nearly always.
    await untilPasses(async () => {
      const client = await pool.connect();
      try {
        const answer = client.query('SELECT 1 AS n');
        standStill(500);
        expect((await answer).rows).toEqual([{ n: 1 }]);
      } finally {
        client.release(true);
      }
    });
  });

  test.each([false, true])('what is sent over a connection after such a statement fails with it (pipelined: %p)', async (pipeline) => {
    const client = await createPool({ pipeline, query_timeout: 50 }).connect();
    const late = client.query(forEver);
    const behind = client.query({ text: 'SELECT 1', query_timeout: 60_000 } as pg.QueryConfig);
    const answers = await Promise.allSettled([late, behind]);
    client.release(new Error('broken'));
    expect(answers).toMatchObject([
      { status: 'rejected', reason: { message: 'Query read timeout' } },
      { status: 'rejected', reason: { message: 'Connection terminated unexpectedly' } },
    ]);
  });

  test('statements that are done are gone with the next collection of what is young', async () => {
    // Full collections in the middle of statements, and between them 8 kB each. What has grown since is old and dead.
    const program = `
      import { getHeapSpaceStatistics } from 'node:v8';
      import { Client } from ${JSON.stringify(new URL('../../dist/platform/database/client.js', `file://${__filename}`).href)};
      const client = new Client({ connectionString: ${JSON.stringify(database.url)}, query_timeout: 30_000 });
      await client.connect();
      const oldBytes = () => getHeapSpaceStatistics().find((space) => space.space_name === 'old_space').space_used_size;
      let grownBytes = 0;
      for (let round = 0; round < 20; round++) {
        const between = setImmediate(globalThis.gc);
        await client.query({ name: 'length', text: 'SELECT length($1::text)', values: ['x'.repeat(8_000) + round] });
        clearImmediate(between);
        const beforeBytes = oldBytes();
        for (let n = 0; n < 500; n++) {
          await client.query({ name: 'length', text: 'SELECT length($1::text)', values: ['x'.repeat(8_000) + n] });
        }
        grownBytes += oldBytes() - beforeBytes;
      }
      await client.end();
      console.log(grownBytes);`;
    const flags = ['--expose-gc', '--max-semi-space-size=1', '--no-allocation-site-pretenuring', '--input-type=module'];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--eval', program], { maxBuffer: 1e8 });
    expect(Number(stdout)).toBeLessThan(8_000_000); // Of 80 MB that were sent; pg's own client keeps 30 to 88 of them.
  });
});
