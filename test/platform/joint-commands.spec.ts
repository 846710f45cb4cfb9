import fc from 'fast-check';
import type { DecideParts } from '../../src/platform/log/decision.js';
import type { Write } from '../../src/platform/log/writer.js';
import { readLog } from '../chaos/log-contents.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { answerOf, count, countAll, endWith, look, modes, newCommandId, startWriter, type TestWriter } from './counters.js';

describe.each(modes)('A command that takes others along, with %s', (_name, lanes) => {
  let database: TestDatabase;
  let writers: TestWriter[];

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
  });

  afterEach(() => endWith(database, writers));

  const start = (url = database.url) => {
    const writer = startWriter(url, { lanes });
    writers.push(writer);
    return writer;
  };
  const valuesOf = async (...names: string[]) => {
    const { value } = start();
    return Promise.all(names.map((name) => value(name)));
  };
  const elsewhere = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7'];

  test('does all of it in one commit, wherever the partitions are', async () => {
    const { execute } = start();
    const outcome = await execute(countAll('a', elsewhere.map((name) => [name, 2] as const)));
    expect(answerOf(outcome)).toBe(1);
    expect(await valuesOf('a', ...elsewhere)).toEqual([1, ...elsewhere.map(() => 2)]);
    const { rows } = await database.pool.query('SELECT count(DISTINCT xmin::text)::int AS commits, count(DISTINCT partition)::int AS partitions FROM events');
    expect(rows[0].commits).toBe(1);
    expect(rows[0].partitions).toBeGreaterThan(3);
  });

  test('does none of it when one part is refused, and goes on as it sees fit', async () => {
    const { execute } = start();
    const outcome = await execute(countAll('a', [['n0', 5], ['n1', -1], ['n2', 5]]));
    expect(answerOf(outcome)).toBe('below-zero');
    expect(await valuesOf('a', 'n0', 'n1', 'n2')).toEqual([0, 0, 0, 0]);
    expect((await readLog(database.pool)).events).toEqual([]);
  });

  test('does none of it when it is refused itself, or throws', async () => {
    const { execute } = start();
    const parts = [count('n0')];
    const refused = { ...count('a', -1), parts };
    const alone = refused.decide;
    const takes = { ...refused, decide: (...all: Parameters<typeof alone>) => (all[2](parts), alone(...all)) };
    const broken = { ...count('a'), parts, decide: (_states: unknown, _context: unknown, decideParts: DecideParts) => { decideParts(parts); throw new Error('a bug'); } };
    const [no, bug, fine] = await Promise.allSettled([execute(takes), execute(broken), execute(count('n0'))]);
    expect([no.status === 'fulfilled' && answerOf(no.value), bug.status, fine.status === 'fulfilled' && answerOf(fine.value)]).toEqual(['below-zero', 'rejected', 1]);
    expect(await valuesOf('a', 'n0')).toEqual([0, 1]);
  });

  test('decides each part on what those before it, and the rest of the batch, have left', async () => {
    const { execute } = start();
    const outcomes = await Promise.all([
      execute(countAll('first', [['stock', 3]])),
      execute(countAll('a', [['stock', -2], ['stock', -1]])),
      execute(countAll('b', [['stock', -1]])),
    ]);
    expect(outcomes.map(answerOf)).toEqual([1, 1, 'below-zero']);
  });

  test('may take its time to know what: what it takes depends on what it found', async () => {
    const { execute } = start();
    await execute(count('price', 7));
    const wanted = count('paid', 0);
    const order: Write = {
      ...count('order'),
      parts: [look('price'), wanted],
      decide: (states, context, decideParts) => {
        const found = decideParts([look('price')]);
        const price = found.refusal ? 0 : (found.answers[0] as number);
        decideParts([count('paid', price)]);
        return count('order').decide(states, context, decideParts);
      },
    };
    await execute(order);
    expect(await valuesOf('order', 'paid')).toEqual([1, 7]);
  });

  test('says how far it got wherever it wrote, and not where it only looked', async () => {
    const { execute } = start();
    const outcome = await execute({ ...countAll('a', [['n0', 1], ['n1', 0]]), parts: [count('n0'), look('n1')], decide: (states, context, decideParts) => (decideParts([count('n0'), look('n1')]), count('a').decide(states, context, decideParts)) });
    const { rows } = await database.pool.query('SELECT partition, head::int AS position FROM partitions WHERE head > 0 ORDER BY partition');
    const { partition, position, also = [] } = outcome;
    expect([{ partition, position }, ...also].sort((a, b) => a.partition - b.partition)).toEqual(rows);
    expect(rows).toHaveLength(2);
  });

  test('and any other keeps its record where its id says, so that one id is one command in whatever partition', async () => {
    const [one, other] = [start(), start()];
    const asked = Array.from({ length: 16 }, (_, partition) => {
      const named = (name: string, writer: TestWriter) => writer.execute(count(name, 1, { key: `${partition}.k`, record: { fingerprint: name } }));
      return Promise.allSettled([named('a', one), named('b', other), named('c', one), named('d', other)]);
    });
    for (const results of await Promise.all(asked)) {
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      expect(refused.map(({ code }) => code)).toEqual(Array(3).fill('idempotency-key-reused'));
    }
    const { rows } = await database.pool.query('SELECT partition, command_id AS id FROM commands ORDER BY partition');
    expect(rows).toEqual(Array.from({ length: 16 }, (_, partition) => ({ partition, id: `${partition}.k` })));
    expect((await readLog(database.pool)).events).toHaveLength(16);
  });

  test('fails alone when it takes along what it has not named', async () => {
    const { execute } = start();
    const unnamed: Write = { ...count('a'), parts: [count('n0')], decide: (_states, _context, decideParts) => (decideParts([count('n1')]), { events: [], answer: null }) };
    // Also where the partition is known, and only the stream is not.
    await execute(count('n2', 1, { partitionKey: 'n1' }));
    const [failed, other] = await Promise.allSettled([execute(unnamed), execute(count('n0'))]);
    expect([failed.status, other.status]).toEqual(['rejected', 'fulfilled']);
    expect(await valuesOf('a', 'n0', 'n1')).toEqual([0, 1, 0]);
  });

  test('is decided anew as a whole when another process has written to one of its partitions', async () => {
    const [here, there] = [start(), start()];
    await here.execute(countAll('a', [['stock', 5], ['money', 5]]));
    // By what `here` knows there are five.
    await there.execute(count('stock', -5));
    expect(answerOf(await here.execute(countAll('a', [['money', -1], ['stock', -1]])))).toBe('below-zero');
    expect(await valuesOf('a', 'stock', 'money')).toEqual([1, 0, 5]);
    // Apart, it locks before it decides, and has nothing to lose.
    expect((await here.metric('rialto_writer_conflicts_total')) > 0).toBe(lanes === 1);
  });

  test('depends on what it only looks at, too', async () => {
    const [here, there] = [start(), start()];
    await here.execute(count('price', 7));
    await there.execute(count('price', 1));
    const order: Write = {
      ...count('order'),
      parts: [look('price')],
      decide: (_states, _context, decideParts) => {
        const found = decideParts([look('price')]);
        return { events: [], answer: found.refusal ? 0 : found.answers[0] };
      },
    };
    expect(answerOf(await here.execute(order))).toBe(8);
  });

  test('keeps sums when several processes take from the same few, and retries', async () => {
    const both = [start(), start()];
    const stock = ['s0', 's1', 's2'];
    await Promise.all(stock.map((name) => both[0]!.execute(count(name, 60))));
    const orders = Array.from({ length: 240 }, (_, index) => ({ key: newCommandId(), own: `o${index}`, takes: [[stock[index % 3]!, -1], [stock[(index + 1) % 3]!, -1], ['money', 2]] as const }));
    const outcomes = await Promise.all(
      orders.flatMap(({ key, own, takes }, index) => [
        both[index % 2]!.execute(countAll(own, takes, { key })),
        // The same order again, from elsewhere.
        ...(index % 4 === 0 ? [both[(index + 1) % 2]!.execute(countAll(own, takes, { key }))] : []),
      ]),
    );
    const confirmed = new Set(outcomes.filter((outcome) => answerOf(outcome) === 1).map(({ partition, position }) => `${partition}@${position}`));
    const left = await valuesOf(...stock);
    expect((left as number[]).reduce((sum, value) => sum + value, 0)).toBe(180 - 2 * confirmed.size);
    expect(Math.min(...(left as number[]))).toBeGreaterThanOrEqual(0);
    expect(await valuesOf('money')).toEqual([2 * confirmed.size]);
    // Two units an order: nearly all of it is sold.
    expect(confirmed.size).toBeGreaterThan(85);
  });

  test.each(['answer', 'fate', 'message'] as const)('happens once when the %s of its commit is lost', async (lost) => {
    const proxy = await TcpProxy.to(database.url);
    try {
      const { execute } = start(proxy.urlOf(database.url));
      await execute(countAll('a', [['stock', 50]]));
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'append', lost });
      const batch = Promise.all(Array.from({ length: 10 }, (_, index) => execute(countAll(`o${index}`, [['stock', -1], ['money', 3]]))));
      await cut;
      expect((await batch).map(answerOf)).toEqual(Array.from({ length: 10 }, () => 1));
      expect(await valuesOf('stock', 'money')).toEqual([40, 30]);
    } finally {
      await proxy.close();
    }
  });

  test('whatever is taken from whatever, by whom and when: the sums are those of a model', async () => {
    const names = ['p', 'q', 'r', 's'];
    const taking = fc.record({
      own: fc.constantFrom('x', 'y', 'z'),
      writer: fc.nat(1),
      takes: fc.array(fc.tuple(fc.constantFrom(...names), fc.integer({ min: -3, max: 3 })), { maxLength: 4 }),
    });
    let round = 0;
    const both = [start(), start()];
    await fc.assert(
      fc.asyncProperty(fc.array(taking, { minLength: 1, maxLength: 12 }), async (all) => {
        const scope = `${++round}-`;
        const outcomes = await Promise.all(
          all.map(({ own, writer, takes }) => both[writer]!.execute(countAll(scope + own, takes.map(([name, by]) => [scope + name, by] as const)))),
        );
        const sums = new Map<string, number>();
        outcomes.forEach((outcome, index) => {
          if (answerOf(outcome) === 'below-zero') return;
          const { own, takes } = all[index]!;
          for (const [name, by] of [[own, 1] as const, ...takes]) sums.set(name, (sums.get(name) ?? 0) + by);
        });
        for (const name of [...names, 'x', 'y', 'z']) {
          const value = await both[0]!.value(scope + name);
          expect([name, value]).toEqual([name, sums.get(name) ?? 0]);
          expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 40, seed: 20_260_131 },
    );
  });
});
