import pg from 'pg';
import { ProjectionCatalogue } from '../../src/platform/consumers/projection-catalogue.js';
import type { Statement } from '../../src/platform/consumers/consumer.js';
import type { Projection } from '../../src/platform/consumers/projection.js';
import { ConsumerRunner } from '../../src/platform/consumers/consumer-runner.js';
import { Visibility } from '../../src/platform/consumers/visibility.js';
import { ConsumerMetrics } from '../../src/platform/observability/metrics.js';
import type { RecordedEvent } from '../../src/platform/log/recorded-event.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Counted, count, modes, startWriter, type TestWriter } from './counters.js';

interface Checkpoint {
  consumer: string;
  partition: number;
  position: number;
  failed_position: number | null;
  failed_type: string | null;
  error: string | null;
  attempts: number;
}

/** A table of sums, one row per counter; `onBatch` may object to what it is to apply. */
function sums(name: string, onBatch: (events: readonly RecordedEvent<Counted>[]) => void = () => undefined): Projection {
  return {
    name,
    table: name,
    key: ['counter'],
    project(events, table) {
      const counted = events as readonly RecordedEvent<Counted>[];
      onBatch(counted);
      const text = `INSERT INTO ${table} AS t (counter, value) SELECT counter, sum(by) FROM json_to_recordset($1::json) AS r(counter text, by bigint)
        GROUP BY counter ON CONFLICT (counter) DO UPDATE SET value = t.value + excluded.value`;
      return [{ name: `${table}-add`, text, values: [JSON.stringify(counted.map(({ data }) => data))] }];
    },
  };
}

/** Has a row per event; the same `by` twice violates a unique key, which only the database knows. */
const distinct: Projection = {
  name: 'distinct_counts',
  table: 'distinct_counts',
  key: ['value'],
  project(events, table) {
    const rows = JSON.stringify((events as readonly RecordedEvent<Counted>[]).map(({ data }) => data));
    const text = `INSERT INTO ${table} (counter, value) SELECT counter, by FROM json_to_recordset($1::json) AS r(counter text, by bigint)`;
    return [{ name: `${table}-add`, text, values: [rows] }];
  },
};

describe.each(modes)('The projector, with %s', (_name, lanes) => {
  let database: TestDatabase;
  let writers: TestWriter[];

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
    for (const table of ['sums', 'other_sums']) {
      await database.pool.query(`CREATE TABLE ${table} (counter text PRIMARY KEY, value bigint NOT NULL)`);
    }
    await database.pool.query('CREATE TABLE distinct_counts (counter text, value bigint, UNIQUE (value))');
    // However long a run takes, what failed in it is not due again before the test says so: it waits an hour longer.
    await database.pool.query(`
      CREATE FUNCTION wait_longer() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.retry_at = NEW.retry_at + interval '1 hour'; RETURN NEW; END $$;
      CREATE TRIGGER wait_longer BEFORE UPDATE ON checkpoints FOR EACH ROW
        WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION wait_longer()`);
  });

  afterEach(async () => {
    await Promise.all(writers.map((writer) => writer.close()));
    await database.drop();
  });

  /** A process that has these projections. */
  const start = async (projections: Projection[], { url = database.url, writer = startWriter(url, { lanes }) } = {}) => {
    writers.push(writer);
    const catalogue = new ProjectionCatalogue();
    catalogue.add(...projections);
    const statement = () => ({ name: 'announce', text: `SELECT pg_notify('news', 'moved')`, values: [] });
    const visibility = Object.assign(new Visibility(writer.pools.log, () => undefined), { statement });
    const poison: string[] = [];
    const metrics = new ConsumerMetrics(writer.registry, writer.pools.log);
    const projector = new ConsumerRunner(
      writer.pools.projections,
      writer.catalogue,
      writer.newEvents,
      visibility,
      metrics,
      () => catalogue.consumers(),
      ({ consumer, position }) => poison.push(`${consumer} ${position}`),
      writer.following,
    );
    await projector.prepare();
    return { ...writer, projector, visibility, poison };
  };
  const runAll = async ({ projector }: { projector: ConsumerRunner }) => {
    let runs = 0;
    do runs++;
    while ((await projector.run()) !== 'nothing');
    return runs;
  };
  const valuesOf = async (table: string) =>
    Object.fromEntries((await database.pool.query(`SELECT counter, value::int FROM ${table}`)).rows.map(({ counter, value }) => [counter, value]));
  const checkpoints = async (where = 'true'): Promise<Checkpoint[]> =>
    (await database.pool.query(`SELECT consumer, partition, position::int, failed_position::int, failed_type, error, attempts FROM checkpoints WHERE ${where} ORDER BY consumer, partition`)).rows;
  const lag = async (consumer: string) =>
    (await database.pool.query('SELECT sum(head - position)::int AS lag FROM checkpoints JOIN partitions USING (partition) WHERE consumer = $1', [consumer])).rows[0].lag;
  /** Ten partitions, at least. */
  const names = Array.from({ length: 30 }, (_, index) => `n${index}`);
  const ones = Object.fromEntries(names.map((name) => [name, 1]));

  test('applies what was written, once, whether it finds it in memory or in the log', async () => {
    const here = await start([sums('sums')]);
    await Promise.all(names.map((name) => here.execute(count(name))));
    await runAll(here);
    expect(await valuesOf('sums')).toEqual(ones);
    const elsewhere = await start([sums('sums'), sums('other_sums')]);
    await runAll(elsewhere);
    await runAll(here);
    expect([await valuesOf('sums'), await valuesOf('other_sums')]).toEqual([ones, ones]);
    expect([await lag('sums'), await lag('other_sums')]).toEqual([0, 0]);
  });

  test('goes on at once while there is more than one run takes, over all partitions', async () => {
    const writer = startWriter(database.url, { lanes });
    for (let batch = 0; batch < 24; batch++) {
      await Promise.all(Array.from({ length: 300 }, (_, index) => writer.execute(count(names[index % 30]!))));
    }
    const elsewhere = await start([sums('sums')]);
    expect(await runAll(elsewhere)).toBeGreaterThan(1);
    expect(await lag('sums')).toBe(0);
    expect(await valuesOf('sums')).toEqual(Object.fromEntries(names.map((name) => [name, 240])));
    await writer.close();
  });

  test('shares the work between processes without doing any of it twice', async () => {
    const processes = await Promise.all([start([sums('sums'), sums('other_sums')]), start([sums('sums'), sums('other_sums')])]);
    for (let round = 0; round < 10; round++) {
      await Promise.all([
        ...names.map((name, index) => processes[index % 2]!.execute(count(name))),
        ...processes.map(({ projector }) => projector.run()),
      ]);
    }
    for (const one of processes) await runAll(one);
    expect(await valuesOf('sums')).toEqual(Object.fromEntries(names.map((name) => [name, 10])));
    expect(await valuesOf('other_sums')).toEqual(await valuesOf('sums'));
  });

  test('goes on from where it left the checkpoints without claiming them, until somebody else has moved them', async () => {
    const [one, other] = [await start([sums('sums')]), await start([sums('sums')])];
    const sent = jest.spyOn(pg.Client.prototype, 'query');
    const claimsOf = async (work: () => Promise<unknown>) => {
      sent.mockClear();
      await work();
      return sent.mock.calls.filter(([statement]) => String((statement as { name?: string } | undefined)?.name).startsWith('claim-checkpoints')).length;
    };
    let counted = 0;
    const countAll = async () => {
      counted++;
      await Promise.all(names.map((name) => one.execute(count(name))));
    };
    const round = async () => {
      await countAll();
      expect(await one.projector.run()).toBe('some');
    };
    // The first claim finds out where they are, eight find them there.
    for (let claims = 0; claims < 9; claims++) expect(await claimsOf(round)).toBe(1);
    for (let run = 0; run < 4; run++) expect(await claimsOf(round)).toBe(0);
    expect(await claimsOf(round)).toBe(1);

    await countAll();
    await runAll(other);
    await countAll();
    expect(await claimsOf(() => one.projector.run())).toBe(1);
    sent.mockRestore();
    expect(await lag('sums')).toBe(0);
    expect(await valuesOf('sums')).toEqual(Object.fromEntries(names.map((name) => [name, counted])));
  });

  test('applies again what comes after a checkpoint that was set back by hand', async () => {
    const one = await start([sums('sums')]);
    for (let round = 0; round < 12; round++) {
      await Promise.all(names.map((name) => one.execute(count(name))));
      await one.projector.run();
    }
    await database.pool.query(`UPDATE checkpoints SET position = 0; TRUNCATE sums`);
    await one.execute(count('n0'));
    await runAll(one);
    expect(await valuesOf('sums')).toEqual({ ...Object.fromEntries(names.map((name) => [name, 12])), n0: 13 });
  });

  describe('at an event that it can not get past', () => {
    /** 13 is what nobody likes. */
    const dislikes = (events: readonly RecordedEvent<Counted>[]) => {
      if (events.some(({ data }) => data.by === 13)) throw new Error('13 is unlucky \u0000');
    };

    const history = async (writer: TestWriter) => {
      await Promise.all(names.map((name) => writer.execute(count(name))));
      for (const by of [2, 3, 13, 4, 5]) await writer.execute(count('n0', by));
    };

    test('stops there, and says so, and nobody else stops', async () => {
      const one = await start([sums('sums', dislikes), sums('other_sums')]);
      await history(one);
      await runAll(one);
      expect(await valuesOf('other_sums')).toEqual({ ...ones, n0: 28 });
      expect(await valuesOf('sums')).toEqual({ ...ones, n0: 6 });
      const [degraded, ...others] = await checkpoints('failed_position IS NOT NULL');
      expect(others).toEqual([]);
      expect(degraded).toMatchObject({ consumer: 'sums', failed_type: 'test.counted.v2', attempts: 1, error: '13 is unlucky \uFFFD' });
      expect(degraded!.failed_position).toBe(degraded!.position + 1);
      expect(one.poison).toEqual([`sums ${degraded!.failed_position}`]);

      // What comes behind it in its partition waits; no other partition does.
      const held = names.filter((name) => one.writer.partitionOf(name) === degraded!.partition);
      await Promise.all(names.map((name) => one.execute(count(name))));
      await runAll(one);
      const expected = Object.fromEntries(names.map((name) => [name, held.includes(name) ? 1 : 2]));
      expect(await valuesOf('sums')).toEqual({ ...expected, n0: 6 });
      expect(held.length).toBeLessThan(names.length);
    });

    test('tries again when it is due, never skips it, and goes on once it can', async () => {
      let fixed = false;
      const one = await start([sums('sums', (events) => fixed || dislikes(events))]);
      await history(one);
      await runAll(one);
      const due = `UPDATE checkpoints SET retry_at = now() - interval '1 ms' WHERE failed_position IS NOT NULL`;
      const waits = `SELECT retry_at >= $1::timestamptz + interval '1 hour' + $2 * interval '1 second' AS long_enough FROM checkpoints WHERE failed_position IS NOT NULL`;
      for (let attempts = 2; attempts <= 3; attempts++) {
        const { rows: [before] } = await database.pool.query<{ now: Date }>('SELECT clock_timestamp() AS now');
        await database.pool.query(due);
        await runAll(one);
        expect(await checkpoints('failed_position IS NOT NULL')).toMatchObject([{ attempts }]);
        expect((await database.pool.query(waits, [before!.now, 2 ** (attempts - 1)])).rows).toEqual([{ long_enough: true }]);
        expect((await valuesOf('sums')).n0).toBe(6);
      }
      fixed = true;
      await runAll(one);
      expect((await valuesOf('sums')).n0).toBe(6);
      await database.pool.query(due);
      await runAll(one);
      expect(await valuesOf('sums')).toEqual({ ...ones, n0: 28 });
      expect(await checkpoints('failed_position IS NOT NULL OR attempts > 0 OR error IS NOT NULL')).toEqual([]);
    });

    test('that only the database refuses, does the same', async () => {
      const one = await start([distinct, sums('sums')]);
      for (const [index, name] of names.entries()) await one.execute(count(name, index + 100));
      await one.execute(count('n0', 7));
      await one.execute(count('n0', 7));
      await one.execute(count('n0', 8));
      await runAll(one);
      expect((await valuesOf('sums')).n0).toBe(122);
      expect(Object.keys(await valuesOf('distinct_counts'))).toHaveLength(30);
      expect(await checkpoints('failed_position IS NOT NULL')).toMatchObject([
        { consumer: 'distinct_counts', error: expect.stringContaining('duplicate key'), attempts: 1 },
      ]);
    });

    const unlucky = (events: readonly RecordedEvent[]) => (events as readonly RecordedEvent<Counted>[]).some(({ data }) => data.by === 13);
    const withoutText: object = { toPostgres: () => { throw new Error('has no text'); } };
    const unsendable: [why: string, change: (statement: Statement) => Partial<Statement>, message: string][] = [
      ['its name has another text', ({ text }) => ({ text: `${text} RETURNING 13` }), 'must be unique'],
      ['a value has no text', () => ({ values: [withoutText] }), 'has no text'],
    ];
    test.each(unsendable)('whose statement can not even be sent, for %s, does the same, and no checkpoint passes it', async (_why, change, message) => {
      const view: Projection = {
        ...sums('sums'),
        project(events, table, found) {
          const [statement] = sums('sums').project(events, table, found);
          return unlucky(events) ? [statement!, { ...statement!, ...change(statement!) }] : [statement!];
        },
      };
      const one = await start([view, sums('other_sums')]);
      await one.execute(count('n0'));
      await runAll(one);
      await history(one);
      await runAll(one);
      expect((await valuesOf('sums')).n0).toBe(7);
      expect((await valuesOf('other_sums')).n0).toBe(29);
      expect(await checkpoints('failed_position IS NOT NULL')).toMatchObject([{ consumer: 'sums', attempts: 1, error: expect.stringContaining(message) }]);
    });

    test('that no module knows, does the same', async () => {
      const writer = startWriter(database.url, { lanes });
      await history(writer);
      await writer.close();
      await database.pool.query(`UPDATE events SET type = 'test.of-the-future.v1' WHERE data->>'by' = '13'`);
      const one = await start([sums('sums'), sums('other_sums')]);
      await runAll(one);
      expect(await valuesOf('sums')).toEqual({ ...ones, n0: 6 });
      expect(await checkpoints('failed_position IS NOT NULL')).toMatchObject([
        { consumer: 'other_sums', failed_type: 'test.of-the-future.v1' },
        { consumer: 'sums', failed_type: 'test.of-the-future.v1' },
      ]);
    });

    test('reads one of a former version as what it means today', async () => {
      const writer = startWriter(database.url, { lanes });
      await writer.execute(count('a', 5));
      await writer.close();
      await database.pool.query(`UPDATE events SET type = 'test.counted.v1', data = '{"name": "a", "amount": "7"}'`);
      await runAll(await start([sums('sums')]));
      expect(await valuesOf('sums')).toEqual({ a: 7 });
    });
  });

  test.each(['answer', 'fate', 'message'] as const)('applies nothing twice when the %s of its commit is lost', async (lost) => {
    const proxy = await TcpProxy.to(database.url);
    const one = await start([sums('sums')], { url: proxy.urlOf(database.url) });
    await Promise.all(names.map((name) => one.execute(count(name))));
    const cut = proxy.cutOnce({ connection: 'rialto projections', sent: 'COMMIT', lost });
    await expect(one.projector.run()).rejects.toThrow();
    await cut;
    // Not in the first run, mostly: the server has yet to notice that nobody is there, and its locks are passed over.
    await untilPasses(async () => {
      await runAll(one);
      expect(await lag('sums')).toBe(0);
    });
    expect(await valuesOf('sums')).toEqual(ones);
    await Promise.all(writers.splice(0).map((writer) => writer.close()));
    await proxy.close();
  });

  describe('tells who waits for a position', () => {
    test('as soon as it is there, whoever got there', async () => {
      const [here, there] = [await start([sums('sums')]), await start([sums('sums')])];
      const outcome = await here.execute(count('a'));
      const both = Promise.all([here, there].map(({ visibility }) => visibility.waitFor(['sums'], [outcome], 30_000)));
      await here.projector.run();
      await both;
    });

    test('or that it did not get there', async () => {
      const { visibility, execute } = await start([sums('sums')]);
      const outcome = await execute(count('a'));
      await expect(visibility.waitFor(['sums'], [outcome], 50)).rejects.toMatchObject({ code: 'projection-behind' });
    });
  });
});
