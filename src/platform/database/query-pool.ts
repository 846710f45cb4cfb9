import type pg from 'pg';
import { partitionOf } from '../log/partition.js';
import type { ReadReplicas } from './read-replicas.js';

/** Where query handlers read: read tables, and single streams of the log (log/stream-reader.ts). On a replica, if there is one that is well. */
export class QueryPool {
  constructor(
    private readonly primary: pg.Pool,
    private readonly partitions: number,
    private readonly replicas?: ReadReplicas,
  ) {}

  /** The partition of a partition key. */
  partitionOf(partitionKey: string): number {
    return partitionOf(partitionKey, this.partitions);
  }

  /** Rows of a statement. Named, so that the server parses and plans it once per connection. */
  async rows<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    const statement = { name, text, values };
    const replica = this.replicas?.pool;
    if (!replica) return (await this.primary.query<Row>(statement)).rows;
    try {
      return (await replica.query<Row>(statement)).rows;
    } catch (error) {
      // Whatever it was: the replica broke, or replayed what the statement was reading (40001), or lacks a table
      // that is on its way. A read can be repeated, and what is wrong with the statement is wrong there too.
      if (!this.replicas!.shouldRepeat(replica, error as Error)) throw error;
      return (await this.primary.query<Row>(statement)).rows;
    }
  }
}
