import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CatalogClient, HttpClient, StockClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually, untilPasses } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { tool } from '../support/tool.js';

const header = 'product_id,name,description,categories,sku,variant_name,amount,currency,stock,location';

describe('npm run import', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let catalog: CatalogClient;
  let directory: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
    catalog = new CatalogClient(http);
    directory = await mkdtemp(join(tmpdir(), 'rialto-import-'));
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
    if (directory) await rm(directory, { recursive: true });
  });

  async function write(name: string, lines: readonly string[]): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, lines.join('\n'));
    return path;
  }

  const begin = (path: string, ...options: string[]) => tool(database, 'import', path, '--url', server.url, ...options);
  const run = (path: string, ...options: string[]) => begin(path, ...options).ended;
  const badLines = (output: string) => output.split('\n').filter((line) => /^line \d+: /.test(line));
  const countEvents = async () => (await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n as number;
  /** Views follow within moments. */
  const onHand = (sku: string, expected: number) =>
    untilPasses(async () => expect((await new StockClient(http, sku).stock()).body.onHand).toBe(expected));
  const product = (productId: string) => eventually(() => catalog.product(productId), ({ status }) => status === 200);

  test('imports a CSV file, and names the lines that are wrong and why', async () => {
    const path = await write('shop.csv', [
      '\ufeff' + header,
      'shirt,Shirt,"A shirt, ""plain"",',
      "on two lines\",Men's shoes;Clothes,shirt-s,S,1999,EUR,10,main\r",
      'shirt,,,,shirt-m,M,1999,EUR,5,cellar',
      'shirt,,,,shirt-l,L,19.99,EUR,5,',
      'hose,"Never closed,,,hose-1,,100,EUR,1,',
      'pipe,Pipe 5",,,pipe-1,,100,EUR,1,',
      '',
      'fine,Fine,,,fine-1,,250,EUR,,',
      'fine,Other name,,,fine-2,,250,EUR,,',
      'nameless,,,,nameless-1,,250,EUR,,',
      'taken,Taken,,,shirt-s,,250,EUR,7,',
      'taken,,,,taken-2,,250,EUR,7,',
      'shirt,,,,shirt-xl,XL,1999,EUR,5,',
      'short,Short,,short-1',
      'bad,Bad,,,bad 1,,250,EURO,-1,x y',
      'fine-2,,,,',
      'mac,Mac,,,mac-1,,250,EUR,1,main\rmac,,,,mac-2,,250,EUR,1,main',
      'mac,,,,mac-3,"of\rold",250,EUR,1,main',
    ]);
    const { code, output } = await run(path);
    expect(badLines(output)).toEqual([
      'line 5: amount: an integer in minor units as a decimal string, within 64 bits',
      'line 6: name: a line break, as after a quote that is opened and not closed',
      expect.stringMatching(/^line 7: .*[Qq]uote/),
      "line 10: name: another one than on the product's first good line",
      'line 11: name: missing on the first good line of the product',
      'line 12: sku-exists: SKU shirt-s belongs to product shirt',
      'line 14: product_id: the lines of shirt stand together, and began on line 2',
      'line 15: 4 cells, but there are 10 columns',
      expect.stringMatching(/^line 16: sku: .*currency: an ISO 4217 code; stock: a whole number from 0 to 2147483647; location: /),
      'line 17: 5 cells, but there are 10 columns',
      'line 18: 19 cells, but there are 10 columns',
      'line 19: variant_name: a line break, as after a quote that is opened and not closed',
    ]);
    expect(output).toContain('3 products created, 0 were there; 3 receipts of stock, 0 were received before; 12 bad lines');
    expect(code).toBe(1);
    expect((await product('shirt')).body).toMatchObject({
      name: 'Shirt',
      description: 'A shirt, "plain",\non two lines',
      categories: ["Men's shoes", 'Clothes'],
      variants: [
        { sku: 'shirt-s', name: 'S', price: { amount: '1999', currency: 'EUR' } },
        { sku: 'shirt-m', name: 'M', price: { amount: '1999', currency: 'EUR' } },
      ],
    });
    expect((await product('taken')).body.variants).toMatchObject([{ sku: 'taken-2', name: null }]);
    expect((await product('fine')).body.variants).toMatchObject([{ sku: 'fine-1' }]);
    await onHand('shirt-s', 10);
    await onHand('taken-2', 7);
    expect((await new StockClient(http, 'shirt-m').stock()).body.locations).toMatchObject([{ location: 'cellar', onHand: 5 }]);
    expect((await new StockClient(http, 'fine-1').stock()).status).toBe(404);
  });

  test('imports NDJSON, and names the lines that are wrong and why', async () => {
    const good = { product_id: 'lamp', name: 'Lamp\u2028light', categories: ['Light', 'Home'], sku: 'lamp-1', amount: 4_500, currency: 'EUR', stock: 3 };
    const path = await write('shop.ndjson', [
      JSON.stringify(good),
      '{"product_id":"lamp"',
      '[1]',
      JSON.stringify({ ...good, sku: 'lamp-2', stok: 3 }),
      JSON.stringify({ ...good, sku: 'lamp-1' }),
      '',
      JSON.stringify({ product_id: 'lamp', sku: 'lamp-3', amount: '1', currency: 'EUR', stock: '2' }),
    ]);
    const { code, output } = await run(path);
    expect(badLines(output)).toEqual([
      expect.stringMatching(/^line 2: not JSON: /),
      'line 3: not a JSON object',
      expect.stringMatching(/^line 4: .*stok/),
      'line 5: sku: lamp-1 is there twice',
    ]);
    expect(code).toBe(1);
    expect((await product('lamp')).body).toMatchObject({
      name: 'Lamp\u2028light',
      categories: ['Light', 'Home'],
      variants: [{ sku: 'lamp-1', price: { amount: '4500' } }, { sku: 'lamp-3', price: { amount: '1' } }],
    });
    await onHand('lamp-3', 2);
  });

  test('does nothing the second time, and brings products to what another file says', async () => {
    const lines = ['product_id,name,sku,amount,currency,stock', 'cup,Cup,cup-1,500,EUR,4', 'jug,Jug,jug-1,900,EUR,0'];
    const path = await write('cups.csv', lines);
    expect((await run(path)).code).toBe(0);
    const events = await countEvents();
    const again = await run(path);
    expect(again.output).toContain('0 products created, 2 were there; 0 receipts of stock, 1 were received before; 0 bad lines');
    expect(again.code).toBe(0);
    expect(await countEvents()).toBe(events);

    const description = { description: 'Holds tea' };
    await catalog.change('cup', description);
    await catalog.putVariant('cup', 'cup-1', { name: 'Blue', price: { amount: '1', currency: 'EUR' } });
    const dearer = await write('cups-2.csv', ['product_id,name,sku,amount,currency', 'cup,Large cup,cup-1,600,EUR', 'cup,,cup-2,700,EUR']);
    expect((await run(dearer)).code).toBe(0);
    const changed = await eventually(() => catalog.product('cup'), ({ body }) => body.variants.length === 2);
    expect(changed.body).toMatchObject({
      name: 'Large cup',
      ...description,
      variants: [{ sku: 'cup-1', name: 'Blue', price: { amount: '600' } }, { sku: 'cup-2', price: { amount: '700' } }],
    });
    await run(path);
    await eventually(() => catalog.product('cup'), ({ body }) => body.name === 'Cup' && body.variants[0].price.amount === '500');
    await onHand('cup-1', 4);
    expect((await run(path, '--delivery', 'december')).output).toContain('1 receipts of stock, 0 were received before');
    await onHand('cup-1', 8);
  });

  test('that was killed is gone on with, and receives nothing twice', async () => {
    const products = 4_000;
    const lines = Array.from({ length: products }, (_, i) => `k${i},Thing ${i},k${i}-1,100,EUR,3`);
    const path = await write('many.csv', ['product_id,name,sku,amount,currency,stock', ...lines]);
    const received = async () => {
      const { rows } = await database.pool.query(
        `SELECT count(*)::int AS receipts, count(DISTINCT data->>'sku')::int AS skus FROM events
         WHERE type = 'inventory.stock-received.v1' AND data->>'sku' LIKE 'k%-1'`,
      );
      return rows[0] as { receipts: number; skus: number };
    };
    for (const part of [200, 900]) {
      const { child, ended } = begin(path);
      while ((await received()).receipts < part) await sleep(5);
      child.kill('SIGKILL');
      await ended;
    }
    expect((await received()).receipts).toBeLessThan(products);
    const { code, output } = await run(path);
    expect(output).toMatch(/ [1-9]\d* receipts of stock, [1-9]\d* were received before; 0 bad lines/);
    expect(code).toBe(0);
    expect(await received()).toEqual({ receipts: products, skus: products });
  }, 150_000);

  test('sends again what a load balancer could not bring to a server, and names the bad lines when it gives up', async () => {
    const path = await write('behind.csv', [header, 'mug,Mug,,,mug-1,,nine,EUR,1,', 'beaker,Beaker,,,beaker-1,,250,EUR,4,']);
    let isAway = false;
    const refusals = [502, 504, 503];
    const loadBalancer = createServer((request, response) => {
      const refusal = isAway ? 502 : refusals.shift();
      if (refusal !== undefined) return void request.resume().on('end', () => response.writeHead(refusal).end());
      const options = { method: request.method, headers: request.headers };
      const onward = sendRequest(`${server.url}${request.url}`, options, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      request.pipe(onward);
    });
    await new Promise<void>((resume) => void loadBalancer.listen(0, '127.0.0.1', resume));
    const { port } = loadBalancer.address() as AddressInfo;
    const behind = () => tool(database, 'import', path, '--url', `http://127.0.0.1:${port}`).ended;
    try {
      const imported = await behind();
      expect(imported.output).toContain('1 products created, 0 were there; 1 receipts of stock, 0 were received before; 1 bad lines');
      isAway = true;
      const { code, output } = await behind();
      expect(badLines(output)).toEqual(['line 2: amount: an integer in minor units as a decimal string, within 64 bits']);
      expect(output).toMatch(/has no answer to .*: 502/);
      expect(code).toBe(1);
    } finally {
      loadBalancer.close();
    }
  }, 120_000);

  test('says what is wrong with a file as a whole', async () => {
    const cases: [string, RegExp][] = [
      [await write('empty.csv', []), /is empty/],
      [await write('typo.csv', ['product_id,nmae,sku']), /unknown columns: nmae; there are product_id, name/],
      [await write('mac.csv', [`${header}\rmac,Mac,,,mac-1,,250,EUR,1,main`]), /line 1: lines end with a carriage return alone/],
      [await write('shop.xlsx', ['PK']), /is not a file of .csv, .ndjson, .jsonl/],
      [join(directory, 'missing.csv'), /ENOENT/],
    ];
    const latin1 = join(directory, 'latin1.csv');
    await writeFile(latin1, Buffer.from(`${header}\nm\xfcsli`, 'latin1'));
    for (const [path, message] of [...cases, [latin1, /is not UTF-8/] as const]) {
      const { code, output } = await run(path);
      expect(output).toMatch(message);
      expect(code).toBe(1);
    }
  });
});
