import type pg from 'pg';

/** Where query handlers read: read tables, never the log. */
export class QueryPool {
  constructor(private readonly pool: pg.Pool) {}

  /** Rows of a statement. Named, so that the server parses and plans it once per connection. */
  async rows<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    return (await this.pool.query<Row>({ name, text, values })).rows;
  }
}
