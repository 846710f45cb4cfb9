import type pg from 'pg';
import { partitionOf } from '../log/partition.js';

/** Where query handlers read: read tables, never the log. */
export class QueryPool {
  constructor(
    private readonly pool: pg.Pool,
    private readonly partitions: number,
  ) {}

  /** The partition of a partition key. */
  partitionOf(partitionKey: string): number {
    return partitionOf(partitionKey, this.partitions);
  }

  /** Rows of a statement. Named, so that the server parses and plans it once per connection. */
  async rows<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    return (await this.pool.query<Row>({ name, text, values })).rows;
  }
}
