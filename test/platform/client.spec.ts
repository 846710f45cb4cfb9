import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { Client } from '../../src/platform/database/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('A connection of the pools', () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  beforeEach(() => {
    pool = new pg.Pool({ Client, connectionString: database.url, max: 1, query_timeout: 300 });
    pool.on('error', () => undefined);
  });

  afterEach(() => pool.end());
  afterAll(() => database.drop());

  const backend = async () => (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;

  test('takes statements as pg does: as texts and as objects, with values and without', async () => {
    const client = await pool.connect();
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }]);
    expect((await client.query('SELECT $1::int AS n', [2])).rows).toEqual([{ n: 2 }]);
    expect((await client.query({ name: 'three', text: 'SELECT $1::int AS n', values: [3] })).rows).toEqual([{ n: 3 }]);
    client.release();
    expect((await pool.query('SELECT $1::int AS n', [4])).rows).toEqual([{ n: 4 }]);
  });

  test("a statement's error names who asked, and the connection lives on", async () => {
    const before = await backend();
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
    expect(await backend()).toBe(before);
  });

  test('a statement that is not answered in time fails, and what is asked next is asked over another connection', async () => {
    const before = await backend();
    await expect(pool.query('SELECT pg_sleep(20)')).rejects.toThrow('Query read timeout');
    expect(await backend()).not.toBe(before);
  });

  test('of statements that follow each other unanswered, those behind one that takes too long fail with it', async () => {
    const pipelined = new pg.Pool({ Client, connectionString: database.url, max: 1, pipeline: true, query_timeout: 300 } as pg.PoolConfig);
    pipelined.on('error', () => undefined);
    const client = await pipelined.connect();
    client.on('error', () => undefined);
    const answers = await Promise.allSettled([client.query('SELECT pg_sleep(20)'), client.query('SELECT 1')]);
    client.release(new Error('broken'));
    await pipelined.end();
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(answers[0]).toMatchObject({ reason: { message: 'Query read timeout' } });
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
