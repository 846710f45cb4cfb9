import { HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { tool } from '../support/tool.js';

describe('npm run seed', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  const seed = (...options: string[]) => tool(database, 'seed', '--url', server.url, ...options).ended;
  const events = async () =>
    (await database.pool.query('SELECT type, data FROM events ORDER BY partition, position')).rows as { type: string; data: Record<string, unknown> }[];
  const contentOf = async (seedNumber: number) =>
    (await events())
      .filter(({ type, data }) => type === 'catalog.product-created.v1' && String(data.productId).startsWith(`seed-${seedNumber}-`))
      .map(({ data: { name, description, attributes } }) => JSON.stringify({ name, description, attributes }))
      .toSorted();

  test('makes a shop, the same from the same seed: again changes nothing, larger adds, another seed is another shop', async () => {
    const first = await seed('--products', '60', '--customers', '40');
    expect(first.output).toContain('60 products (60 of them new) and 40 customers.');
    expect(first.code).toBe(0);
    const made = await events();
    const count = (type: string) => made.filter((event) => event.type === type).length;
    expect([count('catalog.product-created.v1'), count('ledger.account-opened.v1'), count('ledger.transaction-posted.v1')]).toEqual([60, 42, 40]);
    const variants = made.filter(({ type }) => type === 'catalog.product-created.v1').map(({ data }) => (data.variants as unknown[]).length);
    expect([Math.min(...variants), Math.max(...variants)]).toEqual([1, 5]);

    const again = await seed('--products', '60', '--customers', '40');
    expect(again.output).toContain('(0 of them new)');
    expect(again.code).toBe(0);
    expect(await events()).toEqual(made);

    // The keys of the receipts are kept for a week only.
    await database.pool.query(`DELETE FROM commands WHERE status IN ('executed', 'refused')`);
    expect((await seed('--products', '60', '--customers', '40')).code).toBe(0);
    expect(await events()).toEqual(made);

    expect((await seed('--products', '70', '--customers', '40')).output).toContain('70 products (10 of them new)');
    expect((await seed('--products', '60', '--customers', '0', '--seed', '2')).output).toContain('60 products (60 of them new)');
    const [one, two] = [await contentOf(1), await contentOf(2)];
    expect(two.filter((content) => one.includes(content))).toEqual([]);
  });

  test('says what is wrong with its arguments', async () => {
    for (const options of [['--products', 'many'], ['--nothing'], ['ten']]) {
      const { code, output } = await seed(...options);
      expect(output).toContain('Usage: npm run seed');
      expect(code).toBe(1);
    }
  });
});
