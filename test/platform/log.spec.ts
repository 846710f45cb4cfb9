import type pg from 'pg';
import { createPools } from '../../src/platform/database/pools.js';
import { OverloadedError, UnavailableError } from '../../src/platform/errors.js';
import { UnknownEventError } from '../../src/platform/log/catalogue.js';
import { loopsOf } from '../../src/platform/log/lanes.js';
import { refreshSql } from '../../src/platform/log/refresh.js';
import type { Write } from '../../src/platform/log/writer.js';
import { readLog } from '../chaos/log-contents.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { answerOf, count, counter, endWith, look, modes, move, newCommandId, startWriter, type TestWriter } from './counters.js';

describe.each(modes)('The log writer, with %s', (_name, lanes) => {
  let database: TestDatabase;
  let writers: TestWriter[];

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
  });

  afterEach(() => endWith(database, writers));

  const start = (options?: Parameters<typeof startWriter>[1], url = database.url) => {
    const writer = startWriter(url, { lanes, ...options });
    writers.push(writer);
    return writer;
  };
  const one = async <Row>(sql: string, values: unknown[] = []): Promise<Row> => (await database.pool.query(sql, values)).rows[0];
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`);

  test('commits what comes at the same time together, over all partitions of a lane', async () => {
    const { execute, metric, committed } = start();
    const outcomes = await Promise.all([...names, ...names].map((name) => execute(count(name))));
    expect(outcomes.map(answerOf)).toEqual([...names.map(() => 1), ...names.map(() => 2)]);
    const partitions = new Set(outcomes.map(({ partition }) => partition)).size;
    expect(partitions).toBeGreaterThan(10);
    const commits = lanes === 1 ? 1 : partitions;
    expect(await metric('rialto_writer_batch_commands')).toBe(commits);
    expect(committed).toHaveLength(commits);
    const { times } = await one<{ times: number }>('SELECT count(DISTINCT xmin::text)::int AS times FROM events');
    expect(times).toBe(commits);
  });

  test('lets a decision that throws fail alone', async () => {
    const { execute } = start();
    const broken: Write = { ...count('a'), decide: () => { throw new Error('a bug'); } };
    const [before, failed, after] = await Promise.allSettled([execute(count('a')), execute(broken), execute(count('a'))]);
    expect([before.status, failed.status, after.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((failed as PromiseRejectedResult).reason).toEqual(new Error('a bug'));
    expect(await start().value('a')).toBe(2);
  });

  test('lets an event that can not be folded fail its command alone', async () => {
    const { execute } = start();
    const unknown: Write = { ...count('a'), decide: () => ({ events: [{ type: 'test.unknown.v1', data: {} }], answer: null }) };
    const [ok, failed] = await Promise.allSettled([execute(count('a')), execute(unknown)]);
    expect(ok.status).toBe('fulfilled');
    expect((failed as PromiseRejectedResult).reason).toBeInstanceOf(UnknownEventError);
  });

  test('lets what the database will not take fail alone', async () => {
    const { execute } = start();
    const poison: Write = {
      ...count('a'),
      decide: () => ({ events: [{ type: 'test.counted.v2', data: { counter: 'a', by: 1, text: '\u0000' } }], answer: null }),
    };
    const results = await Promise.allSettled([execute(count('a')), execute(poison), execute(count('a')), execute(count('b'))]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(await start().value('a')).toBe(2);
    expect(await execute(count('a')).then(answerOf)).toBe(3);
  });

  test('takes back a deadline in the commit that makes it pointless, and no command that has run', async () => {
    const { execute } = start();
    const schedule = ['one', 'two'].map((key) => ({ key, type: 'test.remind', payload: {}, dueAt: '2100-01-01T00:00:00.000Z' }));
    const { partition } = await execute({ ...count('a'), decide: () => ({ events: [], answer: null, schedule }) });
    await database.pool.query(`UPDATE commands SET status = 'executed' WHERE command_id LIKE '%two'`);
    await execute({ ...count('a'), decide: () => ({ events: [], answer: null, unschedule: ['one', 'two', 'three'] }) });
    const { rows } = await database.pool.query('SELECT command_id, status FROM commands');
    expect(rows).toEqual([{ command_id: `${partition}.two`, status: 'executed' }]);
  });

  test('lets a refusal leave nothing behind', async () => {
    const { execute } = start();
    const [refused, done] = await Promise.all([execute(count('a', -1)), execute(count('a', 2))]);
    expect([answerOf(refused), answerOf(done)]).toEqual(['below-zero', 2]);
    expect((await readLog(database.pool)).events).toHaveLength(1);
  });

  test('decides a refusal again when it was decided on what is no longer so', async () => {
    const [here, there] = [start(), start()];
    await here.value('a');
    await there.execute(count('a', 5));
    // By what `here` knows, the counter is at zero.
    expect(answerOf(await here.execute(count('a', -5)))).toBe(0);
    await there.execute(count('a', 1));
    expect(answerOf(await here.execute(count('a', -2)))).toBe('below-zero');
    expect(await here.metric('rialto_writer_conflicts_total')).toBeGreaterThan(0);
  });

  test('loses no update when two of them count the same things', async () => {
    const both = [start(), start()];
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, (_, index) => both[index % 2]!.execute(count(names[index % 10]!))),
    );
    expect(outcomes.every(({ status }) => status === 'executed')).toBe(true);
    for (const name of names.slice(0, 10)) {
      expect([await both[0]!.value(name), await both[1]!.value(name)]).toEqual([40, 40]);
    }
    expect(new Set(outcomes.map(({ partition, position }) => `${partition}@${position}`)).size).toBe(400);
  });

  test('does once what two of them are told with one key, and answers both alike', async () => {
    const both = [start(), start()];
    for (let round = 0; round < 20; round++) {
      const key = newCommandId();
      const outcomes = await Promise.all(both.map(({ execute }) => execute(count('a', 1, { key }))));
      expect(outcomes.map(answerOf)).toEqual([round + 1, round + 1]);
      expect(outcomes.map(({ replayed }) => replayed).sort()).toEqual([false, true]);
    }
  });

  test('answers a retry as before, and does not wait for it to be possible again', async () => {
    const key = newCommandId();
    expect(answerOf(await start().execute(count('a', -1, { key })))).toBe('below-zero');
    const later = start();
    await later.execute(count('a', 10));
    const retried = await later.execute(count('a', -1, { key }));
    expect([answerOf(retried), retried.replayed]).toEqual(['below-zero', true]);
    await expect(later.execute(count('a', -1, { key, record: { fingerprint: 'other' } }))).rejects.toMatchObject({ code: 'idempotency-key-reused' });
  });

  test('folds an event of two streams into both', async () => {
    const { execute, value } = start();
    await execute(count('a', 10));
    await execute(move('a', 'b', 4, 'a'));
    expect([await value('a'), await value('b', 'a')]).toEqual([6, 4]);
    const fresh = start();
    expect([await fresh.value('a'), await fresh.value('b', 'a')]).toEqual([6, 4]);
    expect(answerOf(await fresh.execute(move('b', 'a', 5, 'a')))).toBe('below-zero');
  });

  test('loads a stream of thousands of events from its snapshot and fewer than a hundred more', async () => {
    const { execute } = start();
    for (let batch = 0; batch < 7; batch++) {
      await Promise.all(Array.from({ length: 350 }, () => execute(count('long'))));
    }
    const snapshot = await one<{ version: number; state: object }>(`SELECT version, state FROM snapshots WHERE stream = 'counter/long'`);
    expect(snapshot.version).toBeGreaterThan(2_450 - 100);
    expect(snapshot.state).toEqual({ name: 'long', value: snapshot.version });
    // What is older is not looked at: were it read, this would be an event that nobody knows.
    await database.pool.query(`UPDATE events SET type = 'test.gone.v1' WHERE version <= $1`, [snapshot.version]);
    expect(await start().value('long')).toBe(2_450);
    await database.pool.query(`UPDATE events SET type = 'test.counted.v2'`);
  });

  test('does not believe a snapshot of another shape', async () => {
    const { execute } = start();
    await Promise.all(Array.from({ length: 150 }, () => execute(count('a'))));
    await database.pool.query(`UPDATE snapshots SET state_version = 2, state = '{}'`);
    expect(await start().value('a')).toBe(150);
  });

  test('is right with a cache that holds next to nothing', async () => {
    const { execute } = start({ stateCacheBytes: 1_000 });
    for (let round = 1; round <= 5; round++) {
      const outcomes = await Promise.all([...names, ...names].map((name) => execute(count(name))));
      expect(outcomes.map(answerOf)).toEqual([...names.map(() => round * 2 - 1), ...names.map(() => round * 2)]);
    }
  });

  test('keeps the states used last, in the memory that it was given, however many there are', async () => {
    const stateCacheBytes = 20_000;
    // Of several loops each has its share; with one key, all of it is one lane's.
    const { execute, writer, metric } = start({ stateCacheBytes: stateCacheBytes * loopsOf(lanes) });
    const keyOf = (name: string) => (lanes === 1 ? name : 'a');
    const held = (some: readonly string[]) => some.filter((name) => writer.held(keyOf(name), counter(name)) !== undefined);
    const used = Array.from({ length: 2_000 }, (_, index) => `used-${index}`);
    for (let from = 0; from < used.length; from += 50) {
      await Promise.all(used.slice(from, from + 50).map((name) => execute(count(name, 1, { partitionKey: keyOf(name) }))));
      expect(await metric('rialto_state_cache_bytes')).toBeLessThanOrEqual(stateCacheBytes);
    }
    // It is full, of the last: the others had to go.
    expect(await metric('rialto_state_cache_bytes')).toBeGreaterThan(stateCacheBytes * 0.9);
    expect(held(used.slice(0, 1_900))).toEqual([]);
    expect(held(used.slice(-20))).toHaveLength(20);
    // Nothing is lost with them.
    expect(await execute(count('used-0', 1, { partitionKey: keyOf('used-0') })).then(answerOf)).toBe(2);
    expect(held(['used-0'])).toHaveLength(1);
  });

  test('catches up with more than it cares to read', async () => {
    const [here, there] = [start(), start()];
    await here.execute(count('a'));
    for (let batch = 0; batch < 6; batch++) {
      await Promise.all(Array.from({ length: 400 }, () => there.execute(count('a'))));
    }
    expect(answerOf(await here.execute(count('a')))).toBe(2_402);
    expect(answerOf(await there.execute(count('a')))).toBe(2_403);
  });

  test('reads an event of a former version as what it means today', async () => {
    await start().execute(count('a', 5));
    await database.pool.query(`UPDATE events SET type = 'test.counted.v1', data = '{"name": "a", "amount": "7"}'`);
    expect(await start().value('a')).toBe(7);
  });

  test('stops at an event that no module knows, and at nothing else', async () => {
    await start().execute(count('a'));
    await start().execute(count('b'));
    await database.pool.query(`UPDATE events SET type = 'test.of-the-future.v1' WHERE stream = 'counter/a'`);
    const { execute } = start();
    const [a, b] = await Promise.allSettled([execute(count('a')), execute(count('b'))]);
    expect((a as PromiseRejectedResult).reason).toEqual(new UnknownEventError('test.of-the-future.v1'));
    expect(b.status).toBe('fulfilled');
  });

  /** It takes a counter for new. */
  const mistaken = (): Write => ({
    ...count('a'),
    streams: () => [counter('a', true)],
    decide: (states) => ({ events: [{ type: 'test.counted.v2', data: { counter: 'a', by: 1 } }], answer: states.of(counter('a', true)).value }),
  });

  test('finds out that an id it took for new is not', async () => {
    const { execute } = start();
    await execute(count('a', 3));
    expect(answerOf(await start().execute(mistaken()))).toBe(3);
    expect(await start().value('a')).toBe(4);
  });

  test('finds that out also when the connection was lost before', async () => {
    await start().execute(count('a', 3));
    const { writer, pools } = start();
    const connect = pools.writer.connect.bind(pools.writer) as (...back: unknown[]) => Promise<never>;
    let lost = 0;
    // What is waited for by a promise is a round; by a callback, a look whether the database is back.
    pools.writer.connect = ((...back: unknown[]) =>
      back.length === 0 && ++lost <= 3 ? Promise.reject(Object.assign(new Error('reset'), { code: 'ECONNRESET' })) : connect(...back)) as pg.Pool['connect'];
    expect(answerOf(await writer.execute(mistaken()))).toBe(3);
    expect(lost).toBeGreaterThan(3);
  });

  test('looks up each event of a stream, also by a plan that was made when there was none', async () => {
    const empty = await createTestDatabase();
    const pools = createPools(empty.url, 2, () => undefined);
    const client = await pools.writer.connect();
    try {
      await client.query(`PREPARE refresh AS ${refreshSql()}`);
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (COSTS OFF) EXECUTE refresh ('{3}', '{0}', '{3}', '{counter/a}', '{1}', 100)`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toContain('Index Cond: ((partition = w.partition) AND ("position" = l."position"))');
      expect(plan).not.toContain('Index Cond: (partition = w.partition)');
    } finally {
      client.release();
      for (const pool of Object.values(pools)) await pool.end();
      await empty.drop();
    }
  });

  test('loads what a decision turns out to need', async () => {
    await start().execute(count('hidden', 9, { partitionKey: 'a' }));
    const surprising: Write = {
      ...look('a'),
      decide: (states) => ({ events: [], answer: states.of(counter('hidden')).value }),
    };
    expect(answerOf(await start().execute(surprising))).toBe(9);
  });

  test('turns away what its queue has no room for, and nothing it has taken', async () => {
    const { execute } = start({ queueLimit: 10 * loopsOf(lanes) });
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => execute(count('a'))));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(OverloadedError);
    expect(await start().value('a')).toBe(10);
  });

  test('finishes what it has when it is closed, and takes nothing more', async () => {
    const { execute, writer } = start();
    const last = execute(count('a'));
    await writer.close();
    expect(answerOf(await last)).toBe(1);
    await expect(execute(count('a'))).rejects.toBeInstanceOf(UnavailableError);
  });

  describe('behind a network that loses things', () => {
    let proxy: TcpProxy;

    beforeEach(async () => {
      proxy = await TcpProxy.to(database.url);
    });

    afterEach(() => proxy.close());

    test.each(['answer', 'fate', 'message'] as const)('does once what an append was for whose %s was lost', async (lost) => {
      const { execute, metric } = start({}, proxy.urlOf(database.url));
      await execute(count('a'));
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'append', lost });
      const batch = Promise.all([...names, 'a', 'a'].map((name) => execute(count(name))));
      await cut;
      expect((await batch).map(answerOf)).toEqual([...names.map(() => 1), 2, 3]);
      expect(await metric('rialto_writer_failures_total')).toBeGreaterThan(0);
      for (const name of ['a', 'n0', 'n39']) expect(await start().value(name)).toBe(name === 'a' ? 3 : 1);
    });

    test.each(['answer', 'fate', 'message'] as const)('nor does the %s of a COMMIT that is lost, while others write there', async (lost) => {
      const other = start();
      const { execute } = start({}, proxy.urlOf(database.url));
      await execute(count('a'));
      await other.execute(count('a'));
      // Having met the other one it locks first, and so commits by itself.
      await execute(count('a'));
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'COMMIT', lost });
      const mine = Promise.all(Array.from({ length: 5 }, () => execute(count('a'))));
      await cut;
      const theirs = Promise.all(Array.from({ length: 5 }, () => other.execute(count('a'))));
      const values = [...(await mine), ...(await theirs)].map(answerOf) as number[];
      expect(values.sort((a, b) => a - b)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    });

    test.each(['answer', 'message'] as const)('takes no command for done because another process did one with the same key in its place (the %s is lost)', async (lost) => {
      const other = start();
      const { execute } = start({}, proxy.urlOf(database.url));
      await execute(count('a'));
      const key = newCommandId();
      expect(answerOf(await other.execute(count('a', 1, { key })))).toBe(2);
      // As it knows the log, the first of these goes to where the other one has put the same command.
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'append', lost });
      const both = Promise.all([execute(count('a', 1, { key })), execute(count('a'))]);
      await cut;
      expect((await both).map(answerOf)).toEqual([2, 3]);
      expect(await start().value('a')).toBe(3);
    });

    test('says that it does not know when the database does not come back, and a key tells later', async () => {
      const { execute } = start({}, proxy.urlOf(database.url));
      await execute(count('a'));
      const key = newCommandId();
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'append', lost: 'answer' });
      const lost = execute(count('a', 1, { key }));
      void cut.then(() => proxy.refuse());
      await expect(lost).rejects.toMatchObject({ code: 'database-unavailable' });
      proxy.allow();
      const again = await execute(count('a', 1, { key }));
      expect([answerOf(again), again.replayed]).toEqual([2, true]);
      expect(answerOf(await execute(count('a')))).toBe(3);
    });
  });

});
