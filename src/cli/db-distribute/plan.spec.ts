import fc from 'fast-check';
import { distributedTables, distributionSteps, placePartitions, type TableFacts } from './plan.js';

const table = (name: string, isPartitioned: boolean): TableFacts => ({
  name,
  isPartitioned,
  comment: `It's ${name}`,
  indexes: [
    { name: `${name}_pkey`, definition: `CREATE UNIQUE INDEX ${name}_pkey ON ONLY public.${name} USING btree (partition)`, constraint: 'PRIMARY KEY (partition)' },
    ...(isPartitioned ? [{ name: `${name}_due`, definition: `CREATE INDEX ${name}_due ON ONLY public.${name} USING btree (due_at)`, constraint: null }] : []),
  ],
  statistics: isPartitioned ? [{ column: 'partition', target: 10 }, { column: 'data', target: 0 }] : [],
});
const tables = distributedTables.map((name) => table(name, name !== 'partitions'));

describe('The steps', () => {
  test('distribute the heads first and everything else beside them, by partition', () => {
    const calls = distributionSteps(tables, 48).map(({ sql }) => sql).filter((sql) => sql.includes('create_distributed_table'));
    expect(calls).toEqual([
      `SELECT create_distributed_table('partitions', 'partition', colocate_with => 'none', shard_count => 48)`,
      ...['events', 'stream_links', 'commands', 'snapshots'].map((name) => `SELECT create_distributed_table('${name}', 'partition', colocate_with => 'partitions')`),
    ]);
  });

  test('make a plain table of one that PostgreSQL has partitioned, with its keys, indexes, targets of statistics and rows under their names', () => {
    const steps = distributionSteps(tables, 48).map(({ sql }) => sql);
    const from = steps.indexOf('ALTER TABLE commands RENAME TO commands_undistributed');
    expect(steps.slice(from, from + 11)).toEqual([
      'ALTER TABLE commands RENAME TO commands_undistributed',
      'ALTER INDEX commands_pkey RENAME TO undistributed_commands_pkey',
      'ALTER INDEX commands_due RENAME TO undistributed_commands_due',
      'CREATE TABLE commands (LIKE commands_undistributed INCLUDING ALL EXCLUDING INDEXES)',
      'ALTER TABLE commands ADD CONSTRAINT commands_pkey PRIMARY KEY (partition)',
      'CREATE INDEX commands_due ON public.commands USING btree (due_at)',
      'ALTER TABLE commands ALTER COLUMN partition SET STATISTICS 10, ALTER COLUMN data SET STATISTICS 0',
      `COMMENT ON TABLE commands IS 'It''s commands'`,
      `SELECT create_distributed_table('commands', 'partition', colocate_with => 'partitions')`,
      'INSERT INTO commands SELECT * FROM commands_undistributed',
      'DROP TABLE commands_undistributed',
    ]);
  });

  test('leave a table alone that is plain already', () => {
    const plain = distributedTables.map((name) => table(name, false));
    expect(distributionSteps(plain, 48)).toHaveLength(distributedTables.length);
  });

  test('are none when a table is missing', () => {
    expect(() => distributionSteps(tables.slice(1), 48)).toThrow('partitions');
  });
});

describe('The partitions\' places', () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const hashes = fc.uniqueArray(int32, { minLength: 1, maxLength: 64 }).map((all) => new Map(all.map((hash, partition) => [partition, hash])));

  test('are each on one node, and no node has more of them than with as many shards as nodes', () => {
    fc.assert(
      fc.property(hashes, fc.integer({ min: 1, max: 12 }), (given, nodeCount) => {
        const { nodes, shardCount } = placePartitions(given, nodeCount);
        expect(nodes.flat().sort((a, b) => a - b)).toEqual([...given.keys()]);
        expect(nodes).toHaveLength(nodeCount);
        expect(shardCount).toBeGreaterThanOrEqual(nodeCount);
        const width = Math.floor(2 ** 32 / nodeCount);
        const naive = new Array<number>(nodeCount).fill(0);
        for (const hash of given.values()) naive[Math.min(nodeCount - 1, Math.floor((hash + 2 ** 31) / width))]!++;
        expect(Math.max(...nodes.map(({ length }) => length))).toBeLessThanOrEqual(Math.max(...naive));
      }),
    );
  });

  test('take the whole range of hash values, its ends too', () => {
    const ends = new Map([[0, -(2 ** 31)], [1, 2 ** 31 - 1], [2, 0]]);
    expect(placePartitions(ends, 3).nodes.map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(placePartitions(ends, 1)).toEqual({ shardCount: 1, nodes: [[0, 1, 2]] });
  });
});
