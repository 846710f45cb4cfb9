import fc from 'fast-check';
import { HttpClient, type Answer } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { startRialto } from '../support/server.js';
import { Shop } from '../support/shop.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { tool } from '../support/tool.js';
import { answerOf, count, countAll, counter, endWith, newCommandId, startWriter, type TestWriter } from './counters.js';

// Two servers and a tool are started, on a machine that may be busy.
jest.setTimeout(180_000);

// What holds with lanes as it does without is in log.spec.ts and joint-commands.spec.ts, for both.
describe('Lanes', () => {
  let database: TestDatabase;
  let writers: TestWriter[];

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
  });

  afterEach(() => endWith(database, writers));

  const start = (lanes: number, url = database.url) => {
    const writer = startWriter(url, { lanes });
    writers.push(writer);
    return writer;
  };

  /** A counter of each partition, in their order. */
  const byPartition = (): string[] => {
    const found = new Map<number, string>();
    for (let n = 0; found.size < 16; n++) found.set(writers[0]!.writer.partitionOf(`n${n}`), `n${n}`);
    return Array.from({ length: 16 }, (_, partition) => found.get(partition)!);
  };

  test('do not wait for each other: what holds up one partition holds up no other', async () => {
    const { execute } = start(16);
    const [held, ...others] = byPartition();
    const holder = await database.pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT FROM partitions WHERE partition = 0 FOR UPDATE');
      const waiting = execute(count(held!));
      expect((await Promise.all(others.map((name) => execute(count(name))))).map(answerOf)).toEqual(others.map(() => 1));
      await holder.query('COMMIT');
      expect(answerOf(await waiting)).toBe(1);
    } finally {
      holder.release();
    }
  });

  test('are as many as asked for: a few of them write several partitions each, and several of them together', async () => {
    const { execute, value } = start(4);
    const names = byPartition();
    // Partitions 0 and 4 are of one lane, 0 and 1 are not.
    const outcomes = await Promise.all([...names.map((name) => count(name)), countAll(names[0]!, [[names[4]!, 1]]), countAll(names[0]!, [[names[1]!, 1]])].map(execute));
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 'executed'));
    expect(await Promise.all([0, 1, 4, 5].map((partition) => value(names[partition]!)))).toEqual([3, 2, 2, 1]);
  });

  test('know of a stream what the later of those knows who may have it', async () => {
    const { execute, writer } = start(16);
    const [a, b] = byPartition() as [string, string];
    const held = () => writer.held(a, counter(a))?.state.value;
    expect(held()).toBeUndefined();
    await execute(countAll(a, [[b, 1]]));
    expect(held()).toBe(1);
    await execute(count(a));
    expect(held()).toBe(2);
    await execute(countAll(a, [[b, 1]]));
    expect(held()).toBe(3);
  });

  test('do a command of several of them once, also where others of its batch are new', async () => {
    const { execute, value } = start(16);
    const [a, b, c] = byPartition() as [string, string, string];
    // Its record is in a partition of its own.
    const key = '7.k';
    const known = () => execute(countAll(a, [[b, 1]], { key }));
    expect(answerOf(await known())).toBe(1);
    const outcomes = await Promise.all([execute(countAll(a, [[c, 1]])), known(), execute(countAll(b, [[c, 1]])), execute(count(c))]);
    expect(outcomes.map(({ replayed }) => replayed)).toEqual([false, true, false, false]);
    expect(answerOf(outcomes[1]!)).toBe(1);
    expect(await Promise.all([a, b, c].map((name) => value(name)))).toEqual([2, 2, 3]);
    await expect(execute(countAll(a, [[b, 1]], { key, record: { fingerprint: 'other' } }))).rejects.toMatchObject({ code: 'idempotency-key-reused' });
  });

  test.each(['answer', 'fate', 'message'] as const)('do a command of several of them once when the %s of its COMMIT is lost', async (lost) => {
    const proxy = await TcpProxy.to(database.url);
    try {
      const { execute, value } = start(16, proxy.urlOf(database.url));
      const [a, b, c] = byPartition() as [string, string, string];
      await execute(countAll(a, [[b, 50], [c, 0]]));
      const cut = proxy.cutOnce({ connection: 'rialto writer', sent: 'COMMIT', lost });
      const recorded = execute(countAll(a, [[b, -1], [c, 1]], { key: newCommandId() }));
      const batch = Promise.all([recorded, ...Array.from({ length: 9 }, () => execute(countAll(a, [[b, -1], [c, 1]])))]);
      await cut;
      // Meanwhile the lanes go on.
      await Promise.all([a, b, c].map((name) => execute(count(name))));
      expect((await batch).every(({ status }) => status === 'executed')).toBe(true);
      expect(await Promise.all([a, b, c].map((name) => value(name)))).toEqual([12, 41, 11]);
    } finally {
      await proxy.close();
    }
  });

  test('write beside processes that have one, or a few: the sums are those of a model', async () => {
    const names = ['p', 'q', 'r', 's', 't'];
    const taking = fc.record({
      own: fc.constantFrom('x', 'y', 'z'),
      process: fc.nat(2),
      takes: fc.array(fc.tuple(fc.constantFrom(...names), fc.integer({ min: -3, max: 3 })), { maxLength: 4 }),
    });
    const processes = [start(16), start(1), start(4)];
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(taking, { minLength: 1, maxLength: 16 }), async (all) => {
        const scope = `${++round}-`;
        const outcomes = await Promise.all(
          all.map(({ own, process, takes }) =>
            processes[process]!.execute(countAll(scope + own, takes.map(([name, by]) => [scope + name, by] as const), process === 0 ? { key: newCommandId() } : {})),
          ),
        );
        const sums = new Map<string, number>();
        outcomes.forEach((outcome, index) => {
          if (answerOf(outcome) === 'below-zero') return;
          const { own, takes } = all[index]!;
          for (const [name, by] of [[own, 1] as const, ...takes]) sums.set(name, (sums.get(name) ?? 0) + by);
        });
        for (const name of [...names, 'x', 'y', 'z']) {
          for (const { value } of processes) expect([name, await value(scope + name)]).toEqual([name, sums.get(name) ?? 0]);
        }
      }),
      { numRuns: 30, seed: 20_261_128 },
    );
  });

  test('of one process and the one lane of another sell the same goods for the same money, and the audit finds nothing', async () => {
    const servers = await Promise.all([startRialto(database.url, { WRITER_LANES: '16' }), startRialto(database.url)]);
    const https = servers.map((server) => new HttpClient(server));
    try {
      const shops = https.map((http) => new Shop(http, 'shop'));
      await shops[0]!.open();
      const skus = ['a', 'b', 'c', 'd'];
      for (const sku of skus) await shops[0]!.sells(sku, 30, '100');
      await shops[0]!.customer('ann', '1000000');
      const until503 = async (send: () => Promise<Answer>): Promise<Answer> => {
        for (;;) {
          const answer = await send();
          if (answer.status !== 503) return answer;
        }
      };
      const answers = await Promise.all(
        Array.from({ length: 80 }, async (_, n) => {
          const [shop, other] = [shops[n % 2]!, shops[(n + 1) % 2]!];
          const lines = [{ sku: skus[n % 4]!, quantity: 1 }, { sku: skus[(n + 1) % 4]!, quantity: 1 }];
          const headers = { 'idempotency-key': `order-${n}` };
          const [bought, again, , accepted] = await Promise.all([
            until503(() => shop.buy(lines, { headers })),
            // Every other one is asked for at both.
            n % 2 === 0 ? until503(() => other.buy(lines, { headers })) : undefined,
            until503(() => shop.ledger.transfer('ann', 'merchant', '1')),
            until503(() => other.ledger.transfer('ann', 'merchant', '1', { headers: { prefer: 'respond-async' } })),
          ]);
          expect(accepted!.status).toBe(202);
          if (again) expect([again.status, again.text]).toEqual([bought!.status, bought!.text]);
          return bought!;
        }),
      );
      // 120 units, two an order: some are left over when an order wants what is gone beside what is not.
      const sold = answers.filter(({ status }) => status === 201).length;
      expect(sold).toBeGreaterThan(50);
      expect(answers.filter(({ status }) => status !== 201).every(({ body }) => body.code === 'insufficient-stock')).toBe(true);
      await untilPasses(async () => {
        const left = await Promise.all(skus.map((sku) => shops[1]!.stock(sku)));
        expect(left.reduce((sum, { available }) => sum + available, 0)).toBe(120 - 2 * sold);
      });
    } finally {
      for (const http of https) http.close();
      await Promise.all(servers.map((server) => server.stop()));
    }
    const { code, output } = await tool(database, 'audit').ended;
    expect([code, output]).toEqual([0, output]);
  });
});
