import { distribute, hotStatements, prepare, Refusal } from '../../src/cli/db-distribute/distribute.js';
import { distributedTables } from '../../src/cli/db-distribute/plan.js';
import { installCitusDouble } from '../support/citus-double.js';
import { HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { dumpSchema } from '../support/schema-dump.js';
import { startRialto } from '../support/server.js';
import { tool } from '../support/tool.js';

// Servers and tools are started one after the other, on a machine that may be busy.
jest.setTimeout(180_000);

describe('npm run db:distribute', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(() => database?.drop());

  const run = (...options: string[]) => tool(database, 'db-distribute', ...options).ended;

  /** A few events, links, commands and snapshots. */
  async function useIt(): Promise<void> {
    const server = await startRialto(database.url);
    const http = new HttpClient(server);
    try {
      await http.post('/v1/ledgers/demo/accounts', { accountId: 'world', currency: 'EUR', overdraft: 'unlimited' });
      await http.post('/v1/ledgers/demo/accounts', { accountId: 'alice', currency: 'EUR' });
      for (let n = 0; n < 25; n++) {
        const answer = await http.post('/v1/ledgers/demo/transactions', { postings: [{ source: 'world', destination: 'alice', amount: '1' }] });
        expect(answer.status).toBe(201);
      }
    } finally {
      http.close();
      await server.stop();
    }
  }

  async function contents(): Promise<Record<string, unknown>> {
    const all: Record<string, unknown> = {};
    for (const name of distributedTables) all[name] = (await database.pool.query(`SELECT * FROM ${name} t ORDER BY t::text`)).rows;
    return all;
  }

  test('says in one line that there is no Citus, and changes nothing', async () => {
    const before = await dumpSchema(database.pool);
    const { code, output } = await run();
    expect(code).toBe(1);
    expect(output).toMatch(/^This database has no Citus, [^\n]*\n$/);
    expect(await dumpSchema(database.pool)).toBe(before);
  });

  test('shows with --dry-run what it would do, where there is no Citus, and changes nothing', async () => {
    const before = await dumpSchema(database.pool);
    const { code, output } = await run('--dry-run', '--nodes', '4');
    expect(code).toBe(0);
    // Sixteen partitions, four to each node.
    expect([...output.matchAll(/^-- node \d: partitions (.*)$/gm)].map(([, list]) => list!.split(', ').length)).toEqual([4, 4, 4, 4]);
    for (const name of distributedTables) expect(output).toContain(`SELECT create_distributed_table('${name}', 'partition', `);
    expect(output).toMatch(/^BEGIN;$/m);
    expect(output).toMatch(/^COMMIT;\n-- Start the nodes with WRITER_LANES=16, one for each partition, and with REDIS_URL/m);
    expect(await dumpSchema(database.pool)).toBe(before);
  });

  test('says what is wrong with its arguments', async () => {
    for (const options of [['--nodes', '4'], ['--dry-run', '--nodes', 'many'], ['--nothing'], ['now']]) {
      const { code, output } = await run(...options);
      expect(output).toContain('Usage: npm run db:distribute');
      expect(code).toBe(1);
    }
  });

  describe('on a stand-in that records what Citus would be told', () => {
    const calls = async () =>
      (await database.pool.query('SELECT logicalrelid::text AS table, partition_column, colocated_with, is_empty FROM pg_dist_partition ORDER BY number')).rows;

    test('distributes the write tables beside each other and keeps every row, key, index and comment', async () => {
      await useIt();
      const before = await contents();
      const schemaBefore = await dumpSchema(database.pool);
      await installCitusDouble(database.pool, 4);
      const { code, output } = await run();
      expect(output).toContain('The write tables are distributed.\nStart the nodes with WRITER_LANES=16, one for each partition, and with REDIS_URL');
      expect(code).toBe(0);
      // Only the heads have rows when they are distributed; those of the others follow.
      expect(await calls()).toEqual(
        distributedTables.map((table) => ({ table, partition_column: 'partition', colocated_with: table === 'partitions' ? 'none' : 'partitions', is_empty: table !== 'partitions' })),
      );
      expect((await contents())).toEqual(before);
      expect((before.events as unknown[]).length).toBeGreaterThan(25);

      // The schema is what it was, but for the partitions that PostgreSQL made.
      await database.pool.query('DROP FUNCTION create_distributed_table, citus_get_active_worker_nodes; DROP TABLE pg_dist_partition');
      const withoutPartitions = schemaBefore.replaceAll(/ PARTITION BY LIST \(partition\)|^-- \d+ partitions\n/gm, '').replaceAll('ON ONLY ', 'ON ');
      expect(await dumpSchema(database.pool)).toBe(withoutPartitions);
      // And the product goes on with plain tables: it never names a table of one partition.
      await useItAgain('30', {});
      // Also as it then has to.
      await useItAgain('35', { WRITER_LANES: '16' });
    });

    async function useItAgain(balance: string, env: Record<string, string>): Promise<void> {
      const server = await startRialto(database.url, env);
      const http = new HttpClient(server);
      try {
        const answer = await http.post('/v1/ledgers/demo/transactions', { postings: [{ source: 'world', destination: 'alice', amount: '5' }] });
        expect(answer.status).toBe(201);
        expect(answer.body).toMatchObject({ balances: { alice: { balance } } });
      } finally {
        http.close();
        await server.stop();
      }
    }

    test('refuses to do it again', async () => {
      await installCitusDouble(database.pool, 2);
      expect((await run()).code).toBe(0);
      const again = await run();
      expect(again.output).toContain('The write tables are distributed already.');
      expect(again.code).toBe(1);
    });

    test('refuses while a node is connected', async () => {
      await installCitusDouble(database.pool, 2);
      const server = await startRialto(database.url);
      try {
        const { code, output } = await run();
        expect(output).toMatch(/Nodes are connected to this database \(.*rialto log.*\): stop them first\./);
        expect(code).toBe(1);
      } finally {
        await server.stop();
      }
      expect(await calls()).toEqual([]);
    });

    test('takes everything back when the engine can not plan a statement that the product needs', async () => {
      await useIt();
      const before = [await contents(), await dumpSchema(database.pool)];
      await installCitusDouble(database.pool, 2);
      const sql = await database.pool.connect();
      try {
        const statements = { ...hotStatements, impossible: 'SELECT nothing FROM nowhere WHERE partition = $1', another: 'SELECT' };
        const refused = distribute(sql, await prepare(sql, undefined), statements);
        await expect(refused).rejects.toThrow(Refusal);
        await expect(refused).rejects.toThrow(/can not plan 1 of \d+ hot statements[^]*impossible: relation "nowhere" does not exist/);
      } finally {
        sql.release();
      }
      expect(await calls()).toEqual([]);
      await database.pool.query('DROP FUNCTION create_distributed_table, citus_get_active_worker_nodes; DROP TABLE pg_dist_partition');
      expect([await contents(), await dumpSchema(database.pool)]).toEqual(before);
    });

    test('refuses a cluster without worker nodes', async () => {
      await installCitusDouble(database.pool, 0);
      const { code, output } = await run();
      expect(output).toContain('no worker nodes');
      expect(code).toBe(1);
    });
  });
});
