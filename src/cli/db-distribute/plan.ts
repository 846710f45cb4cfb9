/**
 * How the tables of the write side come onto a Citus cluster, as the statements that bring them there.
 * Why so, and what else it takes: docs/adr/0016-outgrowing-one-postgres.md and docs/SCALING.md.
 */

/**
 * Distributed by `partition`, the first with the others beside it: what a command touches is on one node. Everything
 * else stays where it is, on the coordinator: the read tables, and the checkpoints, which move in one transaction with
 * them and would else make each of a projection's transactions one of several nodes.
 */
export const distributedTables = ['partitions', 'events', 'stream_links', 'commands', 'snapshots'] as const;

export interface TableFacts {
  readonly name: string;
  /** By PostgreSQL's own means, with a table for each partition. */
  readonly isPartitioned: boolean;
  readonly comment: string | null;
  readonly indexes: readonly IndexFacts[];
  /** Of columns that have a target of their own: CREATE TABLE … LIKE leaves it behind. */
  readonly statistics: readonly { readonly column: string; readonly target: number }[];
}

export interface IndexFacts {
  readonly name: string;
  /** As pg_get_indexdef says it. */
  readonly definition: string;
  /** As pg_get_constraintdef says it, when the index is there for a constraint. */
  readonly constraint: string | null;
}

export interface Step {
  readonly sql: string;
  /** Rows that the statement must have written. */
  readonly copies?: string;
}

/**
 * The steps in order, for one transaction. A table that PostgreSQL has partitioned becomes a plain one: each of its
 * parts would be distributed over all shards, 16 × 4 tables with so many shards each, and of those of a part only the
 * one shard that its number hashes to would ever hold a row.
 */
export function distributionSteps(tables: readonly TableFacts[], shardCount: number): Step[] {
  const [root, ...others] = distributedTables;
  const facts = new Map(tables.map((table) => [table.name, table]));
  const missing = distributedTables.filter((name) => !facts.has(name));
  if (missing.length > 0) throw new Error(`the database has no ${missing.join(', ')}`);
  return [
    { sql: `SELECT create_distributed_table('${root}', 'partition', colocate_with => 'none', shard_count => ${shardCount})` },
    ...others.flatMap((name) => tableSteps(facts.get(name)!, `SELECT create_distributed_table('${name}', 'partition', colocate_with => '${root}')`)),
  ];
}

function tableSteps({ name, isPartitioned, comment, indexes, statistics }: TableFacts, distribute: string): Step[] {
  // Citus takes the rows of a plain table along by itself.
  if (!isPartitioned) return [{ sql: distribute }];
  const old = `${name}_undistributed`;
  const targets = statistics.map(({ column, target }) => `ALTER COLUMN ${column} SET STATISTICS ${target}`);
  return [
    { sql: `ALTER TABLE ${name} RENAME TO ${old}` },
    // Their names are needed for the new table's.
    ...indexes.map((index) => ({ sql: `ALTER INDEX ${index.name} RENAME TO undistributed_${index.name}` })),
    { sql: `CREATE TABLE ${name} (LIKE ${old} INCLUDING ALL EXCLUDING INDEXES)` },
    ...indexes.map((index) => ({
      sql: index.constraint
        ? `ALTER TABLE ${name} ADD CONSTRAINT ${index.name} ${index.constraint}`
        : index.definition.replace(/ ON ONLY /, ' ON '),
    })),
    ...(targets.length === 0 ? [] : [{ sql: `ALTER TABLE ${name} ${targets.join(', ')}` }]),
    ...(comment === null ? [] : [{ sql: `COMMENT ON TABLE ${name} IS '${comment.replaceAll("'", "''")}'` }]),
    // While it is empty, so that the rows go straight to where they belong.
    { sql: distribute },
    { sql: `INSERT INTO ${name} SELECT * FROM ${old}`, copies: old },
    { sql: `DROP TABLE ${old}` },
  ];
}

export interface Placement {
  readonly shardCount: number;
  /** The partitions on each node. */
  readonly nodes: readonly (readonly number[])[];
}

const mostShards = 1_024;

/**
 * How many shards spread the partitions most evenly. Citus cuts the range of hash values into equal shards and deals
 * them to the nodes in turn, so a few partitions fall as chance will have it: with 16 shards on four nodes one node may
 * get 7 of 16 partitions and another 1. The hashes of the partitions' numbers are known (hashint2), so the smallest number
 * of shards is taken for which no node gets more than its part, or the number that comes closest.
 */
export function placePartitions(hashes: ReadonlyMap<number, number>, nodeCount: number): Placement {
  const fair = Math.ceil(hashes.size / nodeCount);
  let best: Placement | undefined;
  let bestMost = Infinity;
  for (let shardCount = nodeCount; shardCount <= mostShards; shardCount++) {
    const nodes: number[][] = Array.from({ length: nodeCount }, () => []);
    for (const [partition, hash] of hashes) nodes[shardOf(hash, shardCount) % nodeCount]!.push(partition);
    const most = Math.max(...nodes.map(({ length }) => length));
    if (most < bestMost) [best, bestMost] = [{ shardCount, nodes }, most];
    if (most === fair) break;
  }
  return best!;
}

/** The shard of a 32-bit hash value, as Citus' CalculateUniformHashRangeIndex has it. */
function shardOf(hash: number, shardCount: number): number {
  const width = Math.floor(2 ** 32 / shardCount);
  return Math.min(shardCount - 1, Math.floor((hash + 2 ** 31) / width));
}
