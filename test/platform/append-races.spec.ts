import { randomInt, randomUUID } from 'node:crypto';
import { migrate } from '../../src/platform/database/migrate.js';
import { createPools } from '../../src/platform/database/pools.js';
import { AppendRows, type AppendResultRow } from '../../src/platform/log/append.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';

const partitions = 16;
const appendsEach = 500;

interface Head {
  partition: number;
  head: number;
  revision: number;
}

/** With a PostgreSQL of its own: what this is about brought it down, with everybody's connections. */
describe('Appends to many partitions that wait for each other', () => {
  let postgres: PostgresServer;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    await migrate(postgres.url, { partitions });
  });

  afterAll(() => postgres?.stop());

  /** Appends an event, a command's record and by lot a deadline to half of the partitions; says how many took part. */
  async function appendOnce(client: { query: ReturnType<typeof createPools>['writer']['query'] }): Promise<number> {
    const chosen = Array.from({ length: partitions }, (_, partition) => partition).filter(() => randomInt(2) === 0);
    const heads = 'SELECT partition, head, revision FROM partitions WHERE partition = ANY ($1) ORDER BY partition';
    const { rows } = await client.query<Head>({ name: 'heads', text: heads, values: [chosen] });
    const append = new AppendRows();
    const setsDeadlines = randomInt(2) === 0;
    for (const [group, { partition, head, revision }] of rows.entries()) {
      const position = head + 1;
      append.heads.partition.push(partition);
      append.heads.revision.push(revision);
      append.heads.head.push(position);
      append.heads.recordedAt.push(new Date().toISOString());
      append.heads.writes.push(true);
      append.heads.group.push(group);
      append.events.partition.push(partition);
      append.events.position.push(position);
      append.events.version.push(position);
      append.events.stream.push('stream');
      append.events.type.push('test.happened.v1');
      append.events.data.push({ by: 'lot' });
      append.events.metadata.push({});
      const place = { first_position: position, last_position: position };
      append.commands.push(JSON.stringify({ partition, command_id: `${partition}.${randomUUID()}`, type: 'test', fingerprint: '', status: 'executed', ...place }));
      if (!setsDeadlines) continue;
      const command_id = `${partition}.${randomUUID()}`;
      append.scheduled.push(JSON.stringify({ partition, command_id, type: 'test', payload: {}, metadata: {}, due_at: new Date().toISOString() }));
      append.unscheduled.partition.push(partition);
      append.unscheduled.commandId.push(`${partition}.${randomUUID()}`);
    }
    const result = await client.query<AppendResultRow>(append.statement(undefined));
    return result.rows.filter(({ won }) => won).length;
  }

  test('leave PostgreSQL standing, and a log without gaps of what took part', async () => {
    const all = [1, 2, 3].map(() => createPools(postgres.url, 2, () => undefined));
    const won = await Promise.all(
      all.map(async ({ writer }) => {
        let sum = 0;
        for (let append = 0; append < appendsEach; append++) sum += await appendOnce(writer);
        return sum;
      }),
    );
    const [pools] = all;
    const { rows } = await pools!.writer.query<{ events: number; heads: number }>(
      'SELECT (SELECT count(*) FROM events) AS events, (SELECT sum(head)::bigint FROM partitions) AS heads',
    );
    const sum = won.reduce((a, b) => a + b, 0);
    expect(rows).toEqual([{ events: sum, heads: sum }]);
    expect(sum).toBeGreaterThan(appendsEach);
    for (const each of all) for (const pool of Object.values(each)) await pool.end();
  });
});
