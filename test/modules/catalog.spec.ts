import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { QueryRunner } from 'typeorm';
import { CatalogLists1700000000006 } from '../../src/migrations/0006-catalog-lists.js';
import { ListProductsHandler, ListProducts, type ProductFilter } from '../../src/modules/catalog/views/products.js';
import { createPools } from '../../src/platform/database/pools.js';
import { QueryPool } from '../../src/platform/database/query-pool.js';
import type { Page } from '../../src/platform/http/paging.js';
import { after, type Answer, CatalogClient, HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { tool } from '../support/tool.js';

const largest = '9223372036854775807';
type Query = Readonly<Record<string, string | number>>;

const euros = (amount: string) => ({ amount, currency: 'EUR' });

describe('The catalogue over HTTP', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let catalog: CatalogClient;
  let names = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
    catalog = new CatalogClient(http);
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  const shirt = (differences: object = {}) => ({ name: 'Shirt', variants: [{ sku: `${id}-m`, price: euros('4900') }], ...differences });
  /** Of the test's own product; its SKUs begin with it. */
  let id: string;
  beforeEach(() => void (id = `product-${++names}`));

  const refusalOf = ({ status, body, headers }: Answer) => {
    if (!String(headers['content-type']).startsWith('application/problem+json')) throw new Error(JSON.stringify(body));
    return [status, body.code];
  };
  const events = async () => (await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n as number;

  describe('A product', () => {
    test('is created with all it has, and read as it was created', async () => {
      const content = {
        productId: id,
        name: 'Shirt “Älmhult” 😀',
        description: 'Linen.\n\tWashed.',
        categories: ['Clothes', "Men's clothes"],
        attributes: { care: { wash: 40 }, tags: ['a', null, true, 1.5], '': '' },
        variants: [
          { sku: `${id}-m`, name: 'M', price: { amount: 4900, currency: 'EUR' } },
          { sku: `${id}-l`, price: { amount: largest, currency: 'JPY' } },
          { sku: `${id}-gift`, price: { amount: '0', currency: 'EUR' } },
        ],
      };
      const created = await catalog.create(content);
      expect(created.status).toBe(201);
      expect(created.body).toEqual({
        ...content,
        status: 'active',
        variants: [
          { sku: `${id}-m`, name: 'M', price: euros('4900') },
          { sku: `${id}-l`, name: null, price: { amount: largest, currency: 'JPY' } },
          { sku: `${id}-gift`, name: null, price: euros('0') },
        ],
        version: 1,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      });
      expect((await catalog.product(id, after(created))).body).toEqual(created.body);
      expect((await catalog.sku(`${id}-l`, after(created))).body).toEqual({
        sku: `${id}-l`,
        name: null,
        price: { amount: largest, currency: 'JPY' },
        productId: id,
        productName: content.name,
        status: 'active',
        available: 0,
      });
    });

    test('gets an id when it is given none, and nothing where nothing is said', async () => {
      const created = await catalog.create(shirt());
      expect(created.body).toMatchObject({ productId: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/), description: '', categories: [], attributes: {} });
      expect((await catalog.product(created.body.productId, after(created))).body).toEqual(created.body);
      expect(refusalOf(await catalog.create(shirt()))).toEqual([409, 'sku-exists']);
    });

    test('of an id that exists with the same content is answered as it is', async () => {
      const first = await catalog.create(shirt({ productId: id, attributes: { a: 1, b: [2] } }));
      const again = await catalog.create({ ...shirt({ attributes: { b: [2], a: 1 }, categories: [], description: '' }), productId: id });
      expect([first.status, again.status]).toEqual([201, 200]);
      expect(again.body).toEqual(first.body);
      const changed = await catalog.change(id, { name: 'Other' });
      expect((await catalog.create(shirt({ productId: id, attributes: { a: 1, b: [2] } }))).body).toEqual(changed.body);
      expect(refusalOf(await catalog.create(shirt({ productId: id, name: 'Other', attributes: { a: 1, b: [2] } })))).toEqual([409, 'product-exists']);
    });

    test('is changed in what is said, and not in what is not', async () => {
      const created = await catalog.create(shirt({ productId: id, description: 'x', categories: ['a'], attributes: { a: 1 } }));
      const changed = await catalog.change(id, { name: 'Linen shirt', categories: [] });
      expect([changed.status, changed.body]).toEqual([200, { ...created.body, name: 'Linen shirt', categories: [], version: 2 }]);
      const again = await catalog.change(id, { description: '', attributes: { b: { c: 2 } } });
      expect(again.body).toMatchObject({ name: 'Linen shirt', description: '', attributes: { b: { c: 2 } }, version: 3 });
      expect((await catalog.product(id, after(again))).body).toEqual(again.body);
      expect((await catalog.sku(`${id}-m`)).body.productName).toBe('Linen shirt');
    });

    test('that is changed into what it is, stays as it is', async () => {
      const created = await catalog.create(shirt({ productId: id, attributes: { a: [1] } }));
      const before = await events();
      for (const body of [{}, { name: 'Shirt' }, { attributes: { a: [1] }, categories: [], description: '' }]) {
        const answer = await catalog.change(id, body);
        expect([answer.status, answer.body]).toEqual([200, created.body]);
      }
      expect((await catalog.putVariant(id, `${id}-m`, { price: euros('4900') })).body).toEqual(created.body);
      expect((await catalog.restore(id)).body).toEqual(created.body);
      expect(await events()).toBe(before);
    });

    test('is archived and restored, as often as one likes', async () => {
      await catalog.create(shirt({ productId: id }));
      const archived = await catalog.archive(id);
      expect([archived.status, archived.body.status, archived.body.version]).toEqual([200, 'archived', 2]);
      const before = await events();
      expect((await catalog.archive(id)).body).toEqual(archived.body);
      expect(await events()).toBe(before);
      expect((await catalog.product(id, after(archived))).body).toEqual(archived.body);
      expect((await catalog.sku(`${id}-m`, after(archived))).body.status).toBe('archived');
      const restored = await catalog.restore(id);
      expect([restored.status, restored.body.status]).toEqual([200, 'active']);
      expect((await catalog.sku(`${id}-m`, after(restored))).body.status).toBe('active');
    });

    test('that is not there is said to be missing', async () => {
      const answers = [await catalog.product(id), await catalog.change(id, { name: 'x' }), await catalog.archive(id), await catalog.restore(id), await catalog.putVariant(id, 'free', { price: euros('1') })];
      for (const answer of answers) expect(refusalOf(answer)).toEqual([404, 'product-not-found']);
      expect(refusalOf(await catalog.sku(id))).toEqual([404, 'sku-not-found']);
    });

    test.each(['__proto__', 'constructor', '0', '-', '.', 'a'.repeat(128)])('and its SKU may be called %s', async (name) => {
      const created = await catalog.create({ productId: name, name, variants: [{ sku: name, price: euros('1') }] });
      expect(created.status).toBe(201);
      if (name === '.') return; // No path can say it.
      expect((await catalog.product(name, after(created))).body).toEqual(created.body);
      expect((await catalog.sku(name, after(created))).body).toMatchObject({ sku: name, productId: name });
    });
  });

  describe('A variant', () => {
    test('is added, and changed as a whole', async () => {
      await catalog.create(shirt({ productId: id }));
      const added = await catalog.putVariant(id, `${id}-l`, { name: 'L', price: euros('5200') });
      expect([added.status, added.body.version]).toEqual([201, 2]);
      const changed = await catalog.putVariant(id, `${id}-m`, { name: 'M', price: { amount: 1, currency: 'USD' } });
      expect([changed.status, changed.body.variants]).toEqual([200, [
        { sku: `${id}-m`, name: 'M', price: { amount: '1', currency: 'USD' } },
        { sku: `${id}-l`, name: 'L', price: euros('5200') },
      ]]);
      const unnamed = await catalog.putVariant(id, `${id}-l`, { price: euros('5200') });
      expect(unnamed.body.variants[1]).toEqual({ sku: `${id}-l`, name: null, price: euros('5200') });
      expect((await catalog.product(id, after(unnamed))).body).toEqual(unnamed.body);
      expect((await catalog.sku(`${id}-m`)).body).toMatchObject({ name: 'M', price: { amount: '1', currency: 'USD' } });
      expect((await catalog.sku(`${id}-l`)).body).toMatchObject({ name: null, price: euros('5200') });
    });

    test('keeps what it cost in the log', async () => {
      await catalog.create(shirt({ productId: id }));
      await catalog.putVariant(id, `${id}-m`, { price: euros('4500') });
      const { rows } = await database.pool.query('SELECT type, data FROM events WHERE stream = $1 ORDER BY version', [`product/${id}`]);
      expect(rows[1]).toEqual({ type: 'catalog.variant-changed.v1', data: { productId: id, sku: `${id}-m`, price: euros('4500'), formerPrice: euros('4900') } });
    });

    test('added to an archived product can be ordered when that is back', async () => {
      await catalog.create(shirt({ productId: id }));
      await catalog.archive(id);
      const added = await catalog.putVariant(id, `${id}-l`, { price: euros('1') });
      expect((await catalog.sku(`${id}-l`, after(added))).body.status).toBe('archived');
      const orderable = async () => (await database.pool.query('SELECT orderable FROM catalog_skus WHERE product_id = $1', [id])).rows.map((row) => row.orderable as boolean);
      expect(await orderable()).toEqual([false, false]);
      await catalog.product(id, after(await catalog.restore(id)));
      expect(await orderable()).toEqual([true, true]);
    });

    test('of another product is not taken over, and a hundred are enough', async () => {
      await catalog.create(shirt({ productId: id }));
      const sku = (index: number) => ({ sku: `${id}-${index}`, price: euros('1') });
      const other = await catalog.create({ productId: `${id}-other`, name: 'x', variants: Array.from({ length: 100 }, (_, index) => sku(index)) });
      expect(other.status).toBe(201);
      expect(refusalOf(await catalog.putVariant(`${id}-other`, `${id}-m`, { price: euros('1') }))).toEqual([409, 'sku-exists']);
      expect(refusalOf(await catalog.putVariant(`${id}-other`, `${id}-100`, { price: euros('1') }))).toEqual([409, 'too-many-variants']);
      expect((await catalog.putVariant(`${id}-other`, `${id}-99`, { price: euros('2') })).status).toBe(200);
      expect((await catalog.archive(`${id}-other`)).status).toBe(200);
      expect(refusalOf(await catalog.create({ name: 'x', variants: [sku(7)] }))).toEqual([409, 'sku-exists']);
    });
  });

  describe('A SKU', () => {
    test('that many products claim at once goes to exactly one of them', async () => {
      for (let round = 0; round < 5; round++) {
        const contested = `${id}-contested-${round}`;
        const answers = await Promise.all(Array.from({ length: 40 }, (_, index) =>
          catalog.create({ productId: `${id}-${round}-${index}`, name: 'x', variants: [{ sku: `${id}-${round}-own-${index}`, price: euros('1') }, { sku: contested, price: euros(String(index)) }] }),
        ));
        const winners = answers.filter(({ status }) => status === 201);
        expect(winners).toHaveLength(1);
        for (const answer of answers) if (answer !== winners[0]) expect(refusalOf(answer)).toEqual([409, 'sku-exists']);
        const owner = winners[0]!.body.productId;
        expect((await catalog.sku(contested, after(...answers))).body.productId).toBe(owner);
        // Whoever lost has claimed nothing at all.
        const { rows } = await database.pool.query('SELECT product_id FROM catalog_skus WHERE sku LIKE $1', [`${id}-${round}-own-%`]);
        expect(rows).toEqual([{ product_id: owner }]);
      }
    });

    test('that is created and put at once, by two processes, belongs to one product', async () => {
      const second = await startRialto(database.url);
      const elsewhere = new CatalogClient(new HttpClient(second));
      try {
        await catalog.create(shirt({ productId: id }));
        for (let round = 0; round < 10; round++) {
          const sku = `${id}-both-${round}`;
          const answers = await Promise.all([
            catalog.create({ productId: `${id}-new-${round}`, name: 'x', variants: [{ sku, price: euros('1') }] }),
            elsewhere.putVariant(id, sku, { price: euros('2') }),
          ]);
          expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
        }
      } finally {
        elsewhere.http.close();
        await second.stop();
      }
    });
  });

  describe('A list of products', () => {
    /** Made once for all tests: what they look for is in the category of the list alone. */
    const category = `list-${randomUUID()}`;
    let made: Answer[];
    const product = (productId: string, name: string, ...prices: (string | { amount: string; currency: string })[]) => ({
      productId,
      name,
      categories: [category],
      variants: prices.map((price, index) => ({ sku: `${productId}-${index}`, price: typeof price === 'string' ? euros(price) : price })),
    });
    const dollars = (amount: string) => ({ amount, currency: 'USD' });

    beforeAll(async () => {
      const bodies = [
        { ...product('l-zebra', 'Zebra', '300', dollars('900')), description: 'A striped animal of the savanna' },
        { ...product('l-apple', 'apple', '100', '5000'), categories: [category, "Men's fruit"] },
        { ...product('l-apple-2', 'Apple', '200', '200'), description: 'A red apple; the best of all' },
        product('l-aerger', 'Ärger', dollars('100')),
        { ...product('l-cafe', 'CAFÉ au lait', '150'), variants: [{ sku: 'l-BEAN-7', name: 'Große Tasse', price: euros('150') }] },
        product('l-old', 'Old apple', '1'),
      ];
      made = [];
      for (const body of bodies) made.push(await catalog.create(body));
      made.push(await catalog.archive('l-old'));
      expect(made.map(({ status }) => status)).toEqual([...bodies.map(() => 201), 200]);
    });

    const ids = async (query: Query) => {
      const answer = await catalog.products({ category, ...query }, after(...made));
      expect(answer.status).toBe(200);
      return answer.body.items.map(({ productId }: { productId: string }) => productId.slice(2)) as string[];
    };

    test('shows products as they are read one by one', async () => {
      const { body } = await catalog.products({ category, limit: 1 }, after(...made));
      expect(body.items).toEqual([(await catalog.product('l-cafe')).body]);
      expect(await catalog.products({ category: 'nothing has it' })).toMatchObject({ body: { items: [], nextCursor: null } });
    });

    test('is newest first, or by name, or by price', async () => {
      expect(await ids({})).toEqual(['cafe', 'aerger', 'apple-2', 'apple', 'zebra']);
      expect(await ids({ sort: 'newest' })).toEqual(['cafe', 'aerger', 'apple-2', 'apple', 'zebra']);
      expect(await ids({ sort: 'name' })).toEqual(['apple', 'apple-2', 'aerger', 'cafe', 'zebra']);
      expect(await ids({ sort: 'price', currency: 'EUR' })).toEqual(['apple', 'cafe', 'apple-2', 'zebra']);
      expect(await ids({ sort: 'price', currency: 'USD' })).toEqual(['aerger', 'zebra']);
      expect(await ids({ sort: 'price', currency: 'JPY' })).toEqual([]);
    });

    test('has a price in the range, whichever variant it is of', async () => {
      for (const sort of ['newest', 'price', 'name'] as const) {
        const inRange = async (minPrice: string, maxPrice: string, currency = 'EUR') => (await ids({ minPrice, maxPrice, currency, sort })).sort();
        expect(await inRange('150', '200')).toEqual(['apple-2', 'cafe']);
        expect(await inRange('201', '5000')).toEqual(['apple', 'zebra']);
        expect(await inRange('5001', largest)).toEqual([]);
        expect(await inRange('200', '150')).toEqual([]);
        expect(await inRange('0', '100', 'USD')).toEqual(['aerger']);
      }
      expect(await ids({ maxPrice: 150, currency: 'EUR' })).toEqual(['cafe', 'apple']);
      expect(await ids({ currency: 'USD' })).toEqual(['aerger', 'zebra']);
      // By its price in the range: the cheap apple is not in it.
      expect(await ids({ sort: 'price', minPrice: 201, currency: 'EUR' })).toEqual(['zebra', 'apple']);
    });

    test.each([
      ['apple', ['apple-2', 'apple']],
      ['APPLE red', ['apple-2']],
      ['"best of all"', ['apple-2']],
      ['"best all"', []],
      ['apple -red', ['apple']],
      ['zebra or café', ['cafe', 'zebra']],
      ['café', ['cafe']],
      ['große', ['cafe']],
      ['l-BEAN-7', ['cafe']],
      ['savanna nothing', []],
      ['the savanna', ['zebra']],
      ["men's", ['apple']],
      ['!!!', []],
      [`'); DROP TABLE catalog_products; --`, []],
      ['apple & | ! :* <-> \\', ['apple-2', 'apple']],
    ])('has the words of %p', async (q, expected) => {
      expect(await ids({ q })).toEqual(expected);
    });

    test('of a category is of that one exactly', async () => {
      expect(await ids({ category: "Men's fruit" })).toEqual(['apple']);
      expect(await ids({ category: "men's fruit" })).toEqual([]);
    });

    test('has the archived ones when it is asked for them, and no others', async () => {
      expect(await ids({ status: 'archived' })).toEqual(['old']);
      expect(await ids({ status: 'archived', sort: 'price', currency: 'EUR', q: 'apple' })).toEqual(['old']);
      expect(await ids({ status: 'active', q: 'old' })).toEqual([]);
    });

    test('follows every change', async () => {
      const words = `w${randomUUID().slice(0, 8)}`;
      await catalog.create({ productId: id, name: 'x', variants: [{ sku: `${id}-1`, price: euros('70') }] });
      const found = async (write: Answer, query: Query) =>
        (await catalog.products({ sort: 'price', currency: 'EUR', ...query }, after(write))).body.items.map(({ productId }: { productId: string }) => productId);
      expect(await found(await catalog.change(id, { categories: [words] }), { category: words })).toEqual([id]);
      expect(await found(await catalog.change(id, { description: words }), { q: words })).toEqual([id]);
      expect(await found(await catalog.putVariant(id, `${id}-2`, { name: `${words}v`, price: euros('50') }), { q: `${words}v`, maxPrice: 50 })).toEqual([id]);
      expect(await found(await catalog.putVariant(id, `${id}-2`, { price: euros('60') }), { q: words, maxPrice: 50 })).toEqual([]);
      expect(await found(await catalog.change(id, { description: '' }), { q: `${words}v` })).toEqual([]);
      expect(await found(await catalog.archive(id), { category: words })).toEqual([]);
    });

    test('of a category by price follows every change of what it is of and what it costs', async () => {
      const [shoes, sale] = [`shoes-${id}`, `sale-${id}`];
      const [cheap, dear] = [`${id}-cheap`, `${id}-dear`];
      const other = await catalog.create({ productId: `${id}-other`, name: 'x', categories: [shoes, sale], variants: [{ sku: `${id}-other`, price: euros('65') }] });
      let last = await catalog.create({ productId: id, name: 'x', categories: [shoes], variants: [{ sku: cheap, price: euros('50') }, { sku: dear, price: euros('70') }] });
      const listed = async (of: string, range: Query = {}) => {
        const query = { category: of, sort: 'price', currency: 'EUR', ...range };
        const { body } = await catalog.products(query, after(other, last));
        return body.items.map(({ productId }: { productId: string }) => (productId === id ? 'it' : 'other')) as string[];
      };
      expect([await listed(shoes), await listed(shoes, { minPrice: 51 }), await listed(sale)]).toEqual([['it', 'other'], ['other', 'it'], ['other']]);
      last = await catalog.change(id, { categories: [sale] });
      expect([await listed(shoes), await listed(sale)]).toEqual([['other'], ['it', 'other']]);
      last = await catalog.putVariant(id, cheap, { price: euros('66') });
      expect([await listed(sale), await listed(sale, { maxPrice: 65 }), await listed(sale, { minPrice: 66, maxPrice: 69 })]).toEqual([['other', 'it'], ['other'], ['it']]);
      last = await catalog.putVariant(id, `${id}-new`, { price: euros('60') });
      last = await catalog.putVariant(id, dear, { price: euros('60') });
      expect([await listed(sale), await listed(sale, { minPrice: 60 }), await listed(sale, { minPrice: 61 })]).toEqual([['it', 'other'], ['it', 'other'], ['other', 'it']]);
      last = await catalog.putVariant(id, dear, { name: 'dear', price: { amount: '1', currency: 'USD' } });
      expect([await listed(sale), await listed(sale, { currency: 'USD' })]).toEqual([['it', 'other'], ['it']]);
      last = await catalog.archive(id);
      expect([await listed(sale), await listed(sale, { status: 'archived' })]).toEqual([['other'], ['it']]);
      last = await catalog.change(id, { categories: [] });
      last = await catalog.restore(id);
      expect([await listed(sale), await listed(shoes)]).toEqual([['other'], ['other']]);
      last = await catalog.change(id, { categories: [shoes, sale] });
      expect([await listed(sale), await listed(shoes, { minPrice: 61 })]).toEqual([['it', 'other'], ['other', 'it']]);
    });

    test.each<Query>([{ sort: 'newest' }, { sort: 'name' }, { sort: 'price', currency: 'EUR' }, { sort: 'name', q: 'paged', currency: 'EUR', minPrice: 3 }])(
      'is the same page by page: %p',
      async (query) => {
        const paged = 'paged-by-page';
        const writes = await Promise.all(Array.from({ length: 23 }, (_, index) => {
          const price = euros(String(index % 5));
          const body = { productId: `paged-${index}`, name: `Paged ${index % 4}`, categories: [paged], variants: [{ sku: `paged-${index}-a`, price }, { sku: `paged-${index}-b`, price }] };
          return catalog.create(body);
        }));
        const all = await catalog.products({ category: paged, limit: 500, ...query }, after(...writes));
        expect(all.body.items.length).toBe('minPrice' in query ? 8 : 23);
        expect(all.body.nextCursor).toBeNull();
        for (const limit of [1, 4, 7, 23]) {
          const items: unknown[] = [];
          let cursor: string | null = null;
          do {
            const page: Answer = await catalog.products({ category: paged, limit, ...query, ...(cursor !== null && { cursor }) });
            expect(page.status).toBe(200);
            items.push(...page.body.items);
            cursor = page.body.nextCursor;
          } while (cursor !== null);
          expect(items).toEqual(all.body.items);
        }
      },
    );

    test('goes on after names of any length and kind', async () => {
      const long = `cursor-${randomUUID()}`;
      const writes = [];
      for (const name of ['한'.repeat(200), '\u0001'.repeat(200), '"\\'.repeat(100), '😀'.repeat(100), '\u0301'.repeat(200), 'İ'.repeat(200)]) {
        writes.push(await catalog.create({ name, categories: [long], variants: [{ sku: `${id}-${writes.length}`, price: euros('1') }] }));
      }
      let seen = 0;
      let cursor: string | null = null;
      do {
        const q = { category: long, sort: 'name', limit: 1, ...(cursor !== null && { cursor }) };
        const page: Answer = await catalog.products(q, after(...writes));
        expect(page.status).toBe(200);
        seen += page.body.items.length;
        cursor = page.body.nextCursor;
      } while (cursor !== null);
      expect(seen).toBe(6);
    });

    test('does not take the cursor of another one', async () => {
      const { body } = await catalog.products({ category, limit: 1, sort: 'name' }, after(...made));
      const cursor = String(body.nextCursor);
      expect((await catalog.products({ category, limit: 2, sort: 'name', cursor })).status).toBe(200);
      const forge = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');
      const [list, filter] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[];
      const others: Query[] = [
        { category, sort: 'newest', cursor },
        { sort: 'name', cursor },
        { category, sort: 'name', status: 'archived', cursor },
        { category, sort: 'name', q: 'x', cursor },
        { category, sort: 'name', cursor: 'x' },
        { category, sort: 'name', cursor: forge(list, filter, 'a') },
        { category, sort: 'name', cursor: forge(list, filter, 1, 2) },
        { category, sort: 'name', cursor: forge(list, filter, '\u0000', 'x') },
      ];
      for (const query of others) expect(refusalOf(await catalog.products(query))).toEqual([400, 'bad-cursor']);
      const { body: byPrice } = await catalog.products({ category, limit: 1, sort: 'price', currency: 'EUR' });
      const [priceList, priceFilter] = JSON.parse(Buffer.from(String(byPrice.nextCursor), 'base64url').toString()) as string[];
      for (const amount of ['x', '', '-1', '9223372036854775808', 1.5, null]) {
        const forged = { category, sort: 'price', currency: 'EUR', cursor: forge(priceList, priceFilter, amount, 'x') };
        expect(refusalOf(await catalog.products(forged))).toEqual([400, 'bad-cursor']);
      }
    });

    test.each([
      'sort=price', 'minPrice=1', 'maxPrice=1', 'minPrice=-1&currency=EUR', 'maxPrice=9223372036854775808&currency=EUR', 'maxPrice=1.5&currency=EUR', 'currency=EURO',
      'sort=size', 'sort=', 'status=gone', 'status=', 'q=', 'q=%00', 'category=', 'limit=0', 'limit=501', 'q=a&q=b', 'search=x', `q=${'x'.repeat(201)}`,
    ])('does not take ?%s', async (query) => {
      expect(refusalOf(await http.get(`/v1/products?${query}`))).toEqual([400, 'validation-failed']);
    });
  });

  describe('What is no product', () => {
    const valid = () => ({ name: 'x', variants: [{ sku: `${id}-1`, price: euros('1') }] });
    const one = (differences: object) => ({ ...valid(), variants: [{ ...valid().variants[0]!, ...differences }] });
    test.each<[string, () => unknown]>([
      ['no name', () => ({ variants: valid().variants })],
      ['an empty name', () => ({ ...valid(), name: '' })],
      ['too long a name', () => ({ ...valid(), name: 'x'.repeat(201) })],
      ['NUL in a name', () => ({ ...valid(), name: 'a\u0000' })],
      ['too long a description', () => ({ ...valid(), description: 'x'.repeat(10_001) })],
      ['21 categories', () => ({ ...valid(), categories: Array.from({ length: 21 }, (_, index) => `${index}`) })],
      ['an empty category', () => ({ ...valid(), categories: [''] })],
      ['too long a category', () => ({ ...valid(), categories: ['x'.repeat(101)] })],
      ['a category twice', () => ({ ...valid(), categories: ['a', 'a'] })],
      ['attributes that are none', () => ({ ...valid(), attributes: [] })],
      ['too many attributes', () => ({ ...valid(), attributes: { a: 'x'.repeat(8_192) } })],
      ['a number nobody can keep', () => ({ ...valid(), attributes: { a: 2 ** 60 } })],
      ['no variants', () => ({ ...valid(), variants: [] })],
      ['101 variants', () => ({ ...valid(), variants: Array.from({ length: 101 }, (_, index) => ({ sku: `${id}-${index}`, price: euros('1') })) })],
      ['a SKU twice', () => ({ ...valid(), variants: [...valid().variants, ...valid().variants] })],
      ['a SKU that is none', () => one({ sku: 'a b' })],
      ['an empty name of a variant', () => one({ name: '' })],
      ['no price', () => one({ price: undefined })],
      ['a negative price', () => one({ price: euros('-1') })],
      ['a price beyond 64 bits', () => one({ price: euros('9223372036854775808') })],
      ['a price with a fraction', () => one({ price: { amount: 1.5, currency: 'EUR' } })],
      ['no currency', () => one({ price: { amount: '1' } })],
      ['no currency that there is', () => one({ price: { amount: '1', currency: 'XXZ' } })],
      ['a field too many', () => ({ ...valid(), status: 'archived' })],
      ['a field too many in a variant', () => one({ stock: 1 })],
      ['a field too many in a price', () => one({ price: { ...euros('1'), tax: 1 } })],
      ['an id that is none', () => ({ ...valid(), productId: 'a/b' })],
    ])('is refused: %s', async (_what, body) => {
      const before = await events();
      expect(refusalOf(await catalog.create(body()))).toEqual([400, 'validation-failed']);
      expect(await events()).toBe(before);
    });

    test('may be as large as the contract has it', async () => {
      const variants = Array.from({ length: 100 }, (_, index) => ({ sku: `${id}-${index}`.padEnd(128, 'x'), name: '한'.repeat(200), price: euros(largest) }));
      const categories = Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(100, '한'));
      const words = Array.from({ length: 5_000 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join(' ');
      const body = { productId: id, name: '한'.repeat(200), description: words, categories, attributes: { a: 'x'.repeat(8_000) }, variants };
      const created = await catalog.create(body);
      expect(created.status).toBe(201);
      expect((await catalog.product(id, after(created))).body).toEqual(created.body);
      expect((await catalog.archive(id)).status).toBe(200);
      const word = { productId: id.padEnd(128, 'x'), name: '한'.repeat(200), description: 'x'.repeat(10_000), variants: [{ sku: id, price: euros('1') }] };
      const ofOneWord = await catalog.create(word);
      expect((await catalog.products({ q: id }, after(ofOneWord))).body.items).toEqual([ofOneWord.body]);
    });
  });

  describe('Every write', () => {
    test('is done once for a key, and answered the same', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const first = await catalog.create(shirt(), headers);
      const again = await catalog.create(shirt(), headers);
      expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(refusalOf(await catalog.create(shirt({ name: 'Other' }), headers))).toEqual([422, 'idempotency-key-reused']);
      const { productId } = first.body;
      const changed = await catalog.putVariant(productId, `${id}-m`, { price: euros('1') }, headers);
      const later = await catalog.putVariant(productId, `${id}-m`, { price: euros('2') });
      const replayed = await catalog.putVariant(productId, `${id}-m`, { price: euros('1') }, headers);
      expect([replayed.status, replayed.text]).toEqual([200, changed.text]);
      expect((await catalog.product(productId, after(later))).body.variants[0].price).toEqual(euros('2'));
    });

    test('may be accepted for later', async () => {
      const later = { prefer: 'respond-async' };
      await catalog.create(shirt({ productId: id }));
      const writes = [
        await catalog.create({ name: 'x', variants: [{ sku: `${id}-x`, price: euros('1') }] }, later),
        await catalog.change(id, { name: 'New' }, later),
        await catalog.putVariant(id, `${id}-l`, { price: euros('1') }, later),
        await catalog.archive(id, later),
        await catalog.restore(id, later),
      ];
      for (const accepted of writes) {
        expect(accepted.status).toBe(202);
        const { body } = await eventually(() => http.get(String(accepted.headers.location)), (answer) => answer.body.status !== 'accepted');
        expect(body).toMatchObject({ status: 'executed', result: { variants: expect.any(Array) } });
      }
    });
  });

  test('A token is never answered with something older', async () => {
    const created = await catalog.create(shirt({ productId: id }));
    await Promise.all(Array.from({ length: 4 }, async (_, reader) => {
      for (let i = 1; i <= 20; i++) {
        const sku = `${id}-${reader}`;
        const write = await catalog.putVariant(id, sku, { price: euros(String(i)) });
        const [product, single, list] = await Promise.all([
          catalog.product(id, after(created, write)),
          catalog.sku(sku, after(write)),
          catalog.products({ q: sku }, after(write)),
        ]);
        expect(product.body.variants.find((variant: { sku: string }) => variant.sku === sku).price).toEqual(euros(String(i)));
        expect(single.body.price).toEqual(euros(String(i)));
        expect(list.body.items).toHaveLength(1);
        expect(list.body.items[0].version).toBeGreaterThanOrEqual(write.body.version);
      }
    }));
    for (const path of [`/v1/products/${id}`, '/v1/products', `/v1/skus/${id}-m`]) {
      expect(refusalOf(await http.get(path, { 'consistency-token': '7@x' }))).toEqual([400, 'bad-consistency-token']);
    }
  });

  test('An ETag saves a client what it has', async () => {
    const created = await catalog.create(shirt({ productId: id }));
    for (const read of [(headers: Record<string, string>) => catalog.product(id, headers), (headers: Record<string, string>) => catalog.sku(`${id}-m`, headers)]) {
      const first = await read(after(created));
      const etag = String(first.headers.etag);
      const again = await read({ 'if-none-match': etag });
      expect([again.status, again.text, again.headers.etag]).toEqual([304, '', etag]);
      for (const write of [await catalog.change(id, { name: randomUUID() }), await catalog.putVariant(id, `${id}-m`, { name: randomUUID(), price: euros('1') }), await catalog.archive(id), await catalog.restore(id)]) {
        expect((await read({ ...after(write), 'if-none-match': etag })).status).toBe(200);
      }
    }
  });

  test('A catalogue of the version before is as a replay makes it, once it is migrated', async () => {
    const unsaid = { name: `“${id}”\n`, description: '\\', categories: ['a', 'b'], attributes: { a: 1.5 } };
    const created = await catalog.create({ productId: id, ...unsaid, variants: [{ sku: `${id}-1`, price: euros('7') }, { sku: `${id}-2`, price: euros('7') }, { sku: `${id}-3`, name: 'n', price: euros('5') }] });
    await catalog.products({}, after(created));
    const migration = new CatalogLists1700000000006();
    const client = await database.pool.connect();
    try {
      const runner = { query: (text: string) => client.query(text) } as unknown as QueryRunner;
      await client.query('BEGIN');
      await migration.down(runner);
      await migration.up(runner);
      await client.query('COMMIT');
    } finally {
      client.release();
    }
    const { output } = await tool(database, 'audit').ended;
    expect(output).toContain('All invariants hold.');
    const listed = await catalog.products({ q: `${id}-3`, category: 'a', sort: 'price', currency: 'EUR' });
    expect(listed.body.items).toEqual([created.body]);
  });

  test('The audit and rebuilds know the catalogue', async () => {
    await catalog.create(shirt({ productId: id, categories: ['a'] }));
    await catalog.putVariant(id, `${id}-l`, { name: 'L', price: euros('7') });
    await catalog.putVariant(id, `${id}-m`, { name: 'M', price: { amount: '8', currency: 'USD' } });
    const last = await catalog.change(id, { attributes: { a: { b: 1 } } });
    await catalog.products({}, after(last));
    const { output, code } = await tool(database, 'audit').ended;
    expect(output).toContain('All invariants hold.');
    expect(output).toMatch(/8 every SKU belongs to one product: \d+ claims of \d+ SKUs/);
    for (const table of ['products', 'prices', 'skus']) expect(output).toMatch(new RegExp(`7 catalog_${table} equals the replay`));
    expect(code).toBe(0);
    for (const view of ['catalog-products', 'catalog-prices', 'catalog-skus']) {
      expect((await tool(database, 'rebuild', view).ended).output).toContain('; 0 differed from the old table.');
    }
    expect((await catalog.product(id)).body.version).toBe(4);
    const copy = await createTestDatabase();
    try {
      // Of one partition, so that what is put in by hand is the only event there is.
      await copy.pool.query(`
        INSERT INTO events (partition, position, stream, version, type, data, metadata, recorded_at)
        SELECT 0, n, 'product/' || n, 1, 'catalog.product-created.v1', jsonb_build_object('productId', n::text, 'variants', '[{"sku":"one"}]'::jsonb), jsonb_build_object('commandId', '0.' || n), now()
        FROM generate_series(1, 2) AS n;
        UPDATE partitions SET head = 2, revision = 1 WHERE partition = 0`);
      const broken = await tool(copy, 'audit').ended;
      expect(broken.output).toMatch(/BROKEN {2}8 every SKU belongs to one product: 2 claims of 1 SKUs\n {10}SKU one: 1, 2\n/);
      expect(broken.code).toBe(1);
    } finally {
      await copy.drop();
    }
  });
});

describe('The catalogue’s statements', () => {
  const products = 20_000;
  let database: TestDatabase;
  let pools: ReturnType<typeof createPools>;

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.pool.query(`
      INSERT INTO catalog_products (product_id, status, name, sort_name, description, categories, attributes, variants, created_at, position, version)
      SELECT 'p' || n, CASE WHEN n % 10 = 0 THEN 'archived' ELSE 'active' END, 'Product ' || n % 997, 'product ' || n % 997, 'about ' || md5(n::text),
        jsonb_build_array('c' || n % 50), '{}', jsonb_build_array(jsonb_build_object('sku', 's' || n, 'name', 'red', 'price', '{"amount":"1","currency":"EUR"}'::jsonb)), now(), n, 1
      FROM generate_series(1, ${products}) AS n`);
    await database.pool.query(`
      INSERT INTO catalog_prices (sku, product_id, category, amount, currency, below, orderable)
      SELECT sku, product_id, category, amount, currency, coalesce(lag(amount) OVER (PARTITION BY product_id, category, currency ORDER BY amount), -1), orderable
      FROM (SELECT 's' || n || '-' || v AS sku, 'p' || n AS product_id, category, (n * 7919 + v) % 10000 AS amount, CASE WHEN v = 3 THEN 'USD' ELSE 'EUR' END AS currency, n % 10 <> 0 AS orderable
        FROM generate_series(1, ${products}) AS n CROSS JOIN generate_series(1, 3) AS v CROSS JOIN LATERAL unnest(ARRAY['', 'c' || n % 50]) AS category) prices`);
    await database.pool.query('VACUUM ANALYZE catalog_products, catalog_prices');
    pools = createPools(database.url, 2, () => undefined);
  });

  afterAll(async () => {
    for (const pool of Object.values(pools ?? {})) await (pool as pg.Pool).end();
    await database?.drop();
  });

  /** What a handler asks of Postgres, and how that goes about it: with the plan it makes once for all values. */
  class Explaining extends QueryPool {
    readonly plans: string[] = [];

    override async rows<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
      const client = await pools.queries.connect();
      try {
        await client.query(`PREPARE explained AS ${text}`);
        const literals = values.map((value) => client.escapeLiteral(String(value))).join();
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE explained (${literals})`);
        this.plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
        await client.query('DEALLOCATE explained');
      } finally {
        client.release();
      }
      return super.rows<Row>(name, text, values);
    }
  }

  const words = { q: 'product red', category: 'c7', minPrice: '100', maxPrice: '2000' };
  const filters = ['newest', 'name', 'price'].flatMap((sort) =>
    [{}, { q: words.q }, { category: words.category }, { minPrice: words.minPrice, maxPrice: words.maxPrice }, words, { status: 'archived' }].map((filter) => {
      const currency = sort === 'price' || 'minPrice' in filter ? { currency: 'EUR' } : {};
      return { sort, status: 'active', limit: 50, ...currency, ...filter } as ProductFilter;
    }),
  );

  test.each(filters)('read no table from end to end: %p', async (filter) => {
    const pool = new Explaining(pools.queries, 16);
    const handler = new ListProductsHandler(pool);
    const list = async (cursor?: string) => JSON.parse((await handler.execute(new ListProducts({ ...filter, ...(cursor !== undefined && { cursor }) }))).json) as Page<object>;
    const first = await list();
    expect(first.items.length).toBe(50);
    const second = await list(first.nextCursor!);
    expect(second.items.length).toBeGreaterThan(0);
    expect(pool.plans).toHaveLength(2);
    for (const plan of pool.plans) expect(plan).not.toContain('Seq Scan');
    // Words are looked up, and categories but for lists by price; else an order is followed, only as far as the page goes.
    for (const plan of pool.plans) {
      if (filter.q) expect(plan).toMatch(/Bitmap Index Scan on catalog_products_(search|categories)_idx/);
      const isFollowed = !filter.q && (!filter.category || filter.sort === 'price');
      if (!filter.q && !isFollowed) expect(plan).toContain('Bitmap Index Scan on catalog_products_categories_idx');
      if (!isFollowed) continue;
      const reads = [...plan.matchAll(/Scan (?:Backward )?using \S+ on catalog_[\w ]+\(actual rows=([\d.]+)/g)].map(([, rows]) => Number(rows));
      expect(reads.length).toBeGreaterThan(0);
      expect(Math.max(...reads)).toBeLessThan(1_000);
    }
  });
});
