import { createPools } from '../../src/platform/database/pools.js';
import { appendSql, appendWithoutDeadlinesSql } from '../../src/platform/log/append.js';
import { refreshSql } from '../../src/platform/log/refresh.js';
import { latestSql, versionsSql } from '../../src/platform/log/stream-reader.js';
import { readEventsSql } from '../../src/platform/consumers/checkpoints.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

interface PlanNode {
  'Relation Name'?: string;
  'Index Cond'?: string;
  'Node Type': string;
  Plans?: PlanNode[];
}

/**
 * The log's connections plan each statement once, and that may be while the tables are empty: the plan is kept until
 * autovacuum has counted them, and by then there may be a million events.
 */
describe('Planned while the log is empty', () => {
  let database: TestDatabase;
  let pools: ReturnType<typeof createPools>;

  beforeAll(async () => {
    database = await createTestDatabase();
    pools = createPools(database.url, 1, () => undefined);
  });

  afterAll(async () => {
    await Promise.all(Object.values(pools ?? {}).map((pool) => pool.end()));
    await database?.drop();
  });

  /** What is read of the log's big tables, and by which conditions. */
  async function lookUps(text: string): Promise<string[]> {
    const client = await pools.writer.connect();
    try {
      await client.query(`PREPARE statement AS ${text}`);
      const count = Math.max(...[...text.matchAll(/\$(\d+)/g)].map((match) => Number(match[1])));
      const values = Array.from({ length: count }, () => 'NULL').join();
      const { rows } = await client.query(`EXPLAIN (FORMAT JSON) EXECUTE statement(${values})`);
      const found: string[] = [];
      const walk = (node: PlanNode): void => {
        const table = /^(events|stream_links|commands|snapshots)_\d+$/.exec(node['Relation Name'] ?? '')?.[1];
        if (table && node['Node Type'].includes('Scan')) found.push(`${table}: ${node['Index Cond'] ?? 'no condition'}`);
        node.Plans?.forEach(walk);
      };
      walk(rows[0]['QUERY PLAN'][0].Plan);
      return found;
    } finally {
      await client.query('DEALLOCATE ALL');
      client.release();
    }
  }

  test.each([
    ['refresh', refreshSql(), ['events', 'snapshots', 'stream_links']],
    ['append', appendSql(), ['commands']],
    ['append without deadlines', appendWithoutDeadlinesSql(), ['commands']],
    ['refresh of one partition', refreshSql(3), ['events', 'snapshots', 'stream_links']],
    ['append to one partition', appendSql(3), ['commands']],
    ['append without deadlines to one partition', appendWithoutDeadlinesSql(3), ['commands']],
    ['the reading of events', readEventsSql, ['events']],
    ['the reading of a stream', latestSql(3), ['events', 'stream_links']],
    ['the search for a time in a stream', versionsSql(3), ['events', 'stream_links']],
  ])('%s finds rows by their keys, never all of a partition', async (_name, text, tables) => {
    const found = await lookUps(text);
    expect([...new Set(found.map((one) => one.split(':')[0]))].sort()).toEqual(tables);
    const byKey = /\(\(partition = .*\) AND \(\(?("?position"?|stream|command_id)\)? [=>]/;
    expect(found.filter((one) => !byKey.test(one))).toEqual([]);
  });
});
