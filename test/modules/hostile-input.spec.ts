import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { after, type Answer, CatalogClient, HttpClient, LedgerClient, type RequestOptions } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type RialtoServer, startRialto } from '../support/server.js';

interface Route {
  readonly method: string;
  readonly path: string;
  readonly takesBody: boolean;
  readonly query: readonly string[];
}

const seed = 20_260_131;

describe('Hostile input', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let routes: Route[];

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
    const ledger = new LedgerClient(http, 'main');
    await ledger.openSource('world');
    await ledger.openAccount('alice');
    await ledger.transfer('world', 'alice', '100', { transactionId: 'posted' });
    const last = await ledger.authorise('world', 'alice', '100', { transactionId: 'pending' });
    await ledger.account('alice', '', after(last));
    const catalog = new CatalogClient(http);
    await catalog.product('shirt', after(await catalog.create({ productId: 'shirt', name: 'Shirt', variants: [{ sku: 'shirt-m', price: { amount: '1', currency: 'EUR' } }] })));
    routes = await readRoutes(http);
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  let before: string;
  let logged: number;
  beforeEach(async () => {
    before = await fingerprintOfLog();
    logged = server.log.length;
  });

  afterEach(async () => {
    expect(await fingerprintOfLog()).toBe(before);
    expect(server.log.slice(logged)).not.toMatch(/"level":(50|60)/);
  });

  /** Whatever is written anywhere. */
  async function fingerprintOfLog(): Promise<string> {
    const hash = createHash('sha256');
    for (const sql of [
      'SELECT partition, position, data FROM events ORDER BY 1, 2',
      'SELECT * FROM stream_links ORDER BY 1, 2, 3',
      'SELECT partition, head FROM partitions ORDER BY 1',
      'SELECT partition, command_id, status FROM commands ORDER BY 1, 2',
    ]) {
      hash.update(JSON.stringify((await database.pool.query(sql)).rows));
    }
    return hash.digest('hex');
  }

  /** What is wrong with an answer to something that no client should send. */
  function wrongWith(answer: Answer, statuses = [400, 499] as const): string | undefined {
    const { status, headers, body, text } = answer;
    if (status < statuses[0] || status > statuses[1]) return `${status} ${text.slice(0, 200)}`;
    if (!String(headers['content-type']).startsWith('application/problem+json')) return `content type ${headers['content-type']}`;
    for (const field of ['type', 'title', 'status', 'detail', 'code']) if (!(field in body)) return `no ${field} in ${text}`;
    if (body.status !== status) return `status ${body.status} in the body of a ${status}`;
    return /\n\s+at |node_modules|\.ts:\d|postgres|pg-pool/i.test(text) ? `a stack: ${text}` : undefined;
  }

  async function everyAnswerIsAProblem(requests: readonly [method: string, path: string, options?: RequestOptions][]): Promise<void> {
    const wrong: string[] = [];
    for (const [method, path, options] of requests) {
      const answer = await http.request(method, path, options);
      const why = wrongWith(answer);
      if (why) wrong.push(`${method} ${path.slice(0, 120)} ${JSON.stringify(options)?.slice(0, 160)}: ${why}`);
    }
    expect(wrong).toEqual([]);
  }

  const fill = (path: string, values: Readonly<Record<string, string>> = {}) =>
    path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => values[name] ?? samples[name] ?? 'sample');
  const samples: Readonly<Record<string, string>> = { ledger: 'main', accountId: 'alice', transactionId: 'pending', commandId: '3.none', productId: 'shirt', sku: 'shirt-m' };
  /** So that what is asked for is not there, should it be asked for. */
  const nothing = { transactionId: 'none', accountId: 'none', productId: 'none' };
  const withBody = () => routes.filter(({ takesBody }) => takesBody);
  const deep = (depth: number, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);

  test('finds all routes described', () => {
    expect(routes.length).toBeGreaterThan(12);
    expect(withBody().length).toBeGreaterThan(5);
  });

  test('in a body that is not what the route takes, is refused', async () => {
    const bodies: [string, string | Buffer][] = [
      ['an array', '[]'],
      ['an array of arrays', '[[]]'],
      ['a string', '"x"'],
      ['a number', '1'],
      ['too large a number', '1e400'],
      ['null', 'null'],
      ['true', 'true'],
      ['an unknown field', '{"surprise":1}'],
      ['a bare word', 'undefined'],
      ['half an object', '{"a":'],
      ['two objects', '{}{}'],
      ['__proto__', '{"__proto__":{"admin":true}}'],
      ['__proto__ escaped', '{"\\u005f_proto__":{"admin":true}}'],
      ['constructor.prototype', '{"constructor":{"prototype":{"admin":true}}}'],
      ['NUL', '{"a":"\\u0000"}'],
      ['half a surrogate pair', '{"a":"\\ud800"}'],
      ['half a pair as key', '{"\\udc00":1}'],
      ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
      ['a byte order mark', Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x22, 0x61])],
      ['10,000 arrays deep', deep(10_000)],
      ['10,000 objects deep', '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000)],
      ['100,000 arrays deep', deep(100_000)],
      ['2 MiB', JSON.stringify({ accountId: 'x'.repeat(2 * 1_048_576) })],
    ];
    await everyAnswerIsAProblem(
      withBody().flatMap(({ method, path }) =>
        bodies.map(([, body]) => [method, fill(path, nothing), { body }] as [string, string, RequestOptions]),
      ),
    );
  });

  test('in a body of another type, or compressed, is refused', async () => {
    const body = '{"accountId":"new","currency":"EUR"}';
    const sent: RequestOptions[] = [
      { body, contentType: 'text/plain' },
      { body, contentType: 'application/xml' },
      { body, contentType: 'multipart/form-data; boundary=x' },
      { body, contentType: 'application/x-www-form-urlencoded' },
      { body, contentType: 'nonsense' },
      { body, contentType: '' },
      { body, contentType: null },
      ...['gzip', 'br', 'deflate', 'gzip, gzip', 'x'].map((encoding) => ({ body: gzipSync(body), headers: { 'content-encoding': encoding } })),
    ];
    await everyAnswerIsAProblem(withBody().flatMap(({ method, path }) => sent.map((options) => [method, fill(path), options] as [string, string, RequestOptions])));
  });

  test('in lines is refused', async () => {
    const path = '/v1/ledgers/main/transactions/bulk';
    const good = '{"postings":[{"source":"world","destination":"alice","amount":"1"}]}';
    const lines = [
      '{', '[]', 'null', '1', '"x"', '{"__proto__":1}', '{"constructor":{"prototype":1}}', deep(10_000), `${good}\n{"postings":[{"source":"\\u0000"}]}`,
      `${good}${good}`, `${good},`, `[${good}]`, `${good}\n${good.replace('"1"', '1e400')}`, '\ud800', `${good}\n${'x'.repeat(2_000_000)}`,
      Buffer.concat([Buffer.from(`${good}\n`), Buffer.from([0xff, 0xfe])]),
    ];
    await everyAnswerIsAProblem(lines.map((body) => ['POST', path, { body, contentType: 'application/x-ndjson' }]));
  });

  test('in a path is refused', async () => {
    const ids = [
      '%00', 'a%00b', '%zz', '%', '%c0%af', '%ff', '%ed%a0%80', '..%2f..%2fetc%2fpasswd', 'a%2Fb', "a'--", 'a%22b', 'a%20b', '%F0%9F%98%80',
      'x'.repeat(129), 'x'.repeat(1_100), 'x'.repeat(5_000), '%7B%7D', 'a;b', '*', '%25',
    ];
    const requests: [string, string, RequestOptions?][] = [];
    for (const { method, path, takesBody } of routes) {
      for (const name of [...path.matchAll(/\{(\w+)\}/g)].map(([, one]) => one!)) {
        for (const id of ids) requests.push([method, fill(path, { [name]: id }), takesBody ? { body: '{}' } : undefined]);
      }
    }
    await everyAnswerIsAProblem(requests);
  });

  test('in a command’s id is refused', async () => {
    const ids = ['0.%00', '0.a%00', '3.%ed%a0%80', '3', '3.', '.3', '-1.x', '999.x', '16.x', '3.x%2F..%2F', `3.${'x'.repeat(700)}`, '3.%F0%9F%98%80', '03.x'];
    await everyAnswerIsAProblem(ids.flatMap((id) => [['GET', `/v1/commands/${id}`], ['POST', `/v1/commands/${id}/redrive`]] as [string, string][]));
  });

  test('in a query is refused', async () => {
    const requests: [string, string][] = [];
    const values = ['', '%00', 'a%00', '%zz', '-1', '1.5', '1e400', '18446744073709551616', '[]', '{}', 'null', 'true', '%ed%a0%80', 'x'.repeat(5_000), '%F0%9F%98%80'];
    for (const { method, path, query } of routes) {
      const base = fill(path, method === 'GET' ? {} : nothing);
      // What a good request needs besides, so that it is the one parameter that is wrong.
      const must = { '/v1/commands': 'status=failed&', '/v1/products': 'currency=EUR&' }[path] ?? '';
      requests.push([method, `${base}?surprise=1`], [method, `${base}?__proto__=1`], [method, `${base}?constructor[prototype]=1`]);
      for (const name of query) {
        for (const value of values) requests.push([method, `${base}?${must.startsWith(`${name}=`) ? '' : must}${name}=${value}`]);
        requests.push([method, `${base}?${must}${name}=1&${name}=2`], [method, `${base}?${must}${name}[]=1`]);
      }
    }
    // These are fine: a prefix that no account has, a customer without orders, any words to search for, a category that nobody made, a large price.
    const fine = /[?&]((prefix|customerId)=(-1|1\.5|1e400|18446744073709551616|null|true)|(q|category)=(-1|1\.5|1e400|18446744073709551616|\[\]|\{\}|null|true|%F0%9F%98%80|%zz|%ed%a0%80))$/;
    const answered = requests.filter(([, path]) => !fine.test(path));
    await everyAnswerIsAProblem(answered);
    for (const [method, path] of requests.filter((request) => !answered.includes(request))) {
      expect((await http.request(method, path)).status).toBeLessThan(500);
    }
  });

  test('in a query is refused by name, before the body is looked at', async () => {
    for (const { method, path } of routes) {
      const must = path === '/v1/commands' ? 'status=failed&' : '';
      const { status, body } = await http.request(method, `${fill(path, method === 'GET' ? {} : nothing)}?${must}surprise=1&another=`, {});
      expect([method, path, status, body.errors?.map((error: { path: string }) => error.path)]).toEqual([method, path, 400, ['/surprise', '/another']]);
    }
  });

  test('in a time is refused, or is a time like any other', async () => {
    const times = [
      '0000-01-01T00:00:00Z', '0001-01-01T00:00:00%2B14:00', '0000-01-01T00:00:00%2B01:00', '9999-12-31T23:59:59-01:00', '9999-12-31T23:59:59.999999999Z',
      '2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T23:59:60Z', '2026-01-01', '1e9', 'now', 'infinity', '-infinity', 'epoch',
      '%2B010000-01-01T00:00:00Z', '-000001-01-01T00:00:00Z', '2026-01-01T00:00:00%2B25:00', '2026-01-01T00:00:00-00:00',
    ];
    const wrong: string[] = [];
    for (const time of times) {
      for (const path of [`accounts/alice?at=${time}`, `accounts/alice/entries?from=${time}`, `accounts/alice/entries?to=${time}`]) {
        const answer = await http.get(`/v1/ledgers/main/${path}`);
        if (answer.status !== 200 && wrongWith(answer)) wrong.push(`${path}: ${wrongWith(answer)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('in a cursor is refused', async () => {
    const forge = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const entries = (...key: unknown[]) => forge(['ledger-entries', 'main alice  ', ...key]);
    const accounts = (...key: unknown[]) => forge(['ledger-accounts', 'main  ', ...key]);
    const commands = (...key: unknown[]) => forge(['commands', 'failed', ...key]);
    const orders = (...key: unknown[]) => forge(['ordering-orders', '  0001-01-01T00:00:00.000Z ', ...key]);
    const movements = (...key: unknown[]) => forge(['inventory-movements', 'shirt-m', ...key]);
    const time = '2026-01-01T00:00:00.000Z';
    const cursors: [string, string[]][] = [
      ['/v1/ledgers/main/accounts/alice/entries?cursor=', [entries(), entries(1), entries('1', 1), entries(time, 1, 1), entries(1e300, 1), entries(2_147_483_647, 1), entries(0, 1), entries(-1, 1), entries(1, -1), entries(1.5, 1), entries(1, 1, 1)]],
      ['/v1/ledgers/main/accounts?cursor=', [accounts(), accounts(1), accounts(null), accounts('\u0000'), accounts('a', 'b'), accounts({}), accounts(['a']), forge({}), forge(null), forge([[]]), '%00', 'e30', '!!!!', 'x'.repeat(3_000)]],
      ['/v1/commands?status=failed&cursor=', [commands(), commands(time), commands('0000-01-01T00:00:00Z', 'x'), commands(time, '\u0000'), commands(1, 1)]],
      ['/v1/orders?cursor=', [orders(), orders(time), orders('0000-01-01T00:00:00Z', 'x'), orders('9999-12-31T23:59:59-01:00', 'x'), orders(time, '\u0000'), orders('yesterday', 'x')]],
      ['/v1/stock/shirt-m/movements?cursor=', [movements(), movements(1), movements(2 ** 53, 0), movements(1, 32_768), movements(1, -1), movements(0.5, 0), movements('1', 0)]],
    ];
    await everyAnswerIsAProblem(cursors.flatMap(([path, forged]) => forged.map((cursor) => ['GET', path + cursor] as [string, string])));
  });

  test('in a header is refused', async () => {
    const gets = routes.filter(({ method, path }) => method === 'GET' && path.startsWith('/v1/ledgers'));
    const tokens = ['x', '1@', '@1', '-1@1', '1@-1', '1@1e3', '99@1', '1@18446744073709551616', '1@1,', `${'1@1,'.repeat(2_000)}x`, '1@1;2@2', "1@1' OR 1=1"];
    await everyAnswerIsAProblem(gets.flatMap(({ method, path }) => tokens.map((token) => [method, fill(path), { headers: { 'consistency-token': token } }] as [string, string, RequestOptions])));
    const body = { accountId: 'new', currency: 'EUR' };
    const keys = ['', 'a b', 'x'.repeat(256), 'é', 'a\tb'];
    await everyAnswerIsAProblem(keys.map((key) => ['POST', '/v1/ledgers/main/accounts', { body, headers: { 'idempotency-key': key } }]));
  });

  test('in an expectation is ignored', async () => {
    for (const expectation of ['200-ok', '', 'x'.repeat(100)]) {
      const answer = await http.get('/v1/ledgers/main/accounts/alice', { expect: expectation });
      expect([answer.status, answer.body.accountId]).toEqual([200, 'alice']);
    }
  });

  test('in headers that are too many is refused as a problem', async () => {
    await everyAnswerIsAProblem([['GET', '/v1/ledgers/main/accounts/alice', { headers: { 'x-large': 'x'.repeat(20_000) } }]]);
  });

  test('in every field of a transfer and of an account is refused', async () => {
    const bad = ['', '\u0000', '\ud800', 'a b', 'x'.repeat(5_000), '/', -1, 1.5, 2 ** 64, true, null, [], {}, ['alice'], { a: 1 }];
    const amounts = [...bad.filter((value) => value !== 1), '1.0', '١', '0x10', '1_000', '9223372036854775808', '-9223372036854775809', 'NaN', 'Infinity'];
    const posting = { source: 'world', destination: 'alice', amount: '1' };
    const transfers = [
      ...bad.map((source) => ({ postings: [{ ...posting, source }] })),
      ...bad.map((destination) => ({ postings: [{ ...posting, destination }] })),
      ...amounts.map((amount) => ({ postings: [{ ...posting, amount }] })),
      ...bad.map((transactionId) => ({ transactionId, postings: [posting] })),
      ...bad.filter((one) => one !== 'a b' && one !== '/').map((reference) => ({ reference, postings: [posting] })),
      ...['x', 1, null, [], {}].map((pending) => ({ pending, postings: [posting] })),
      ...['1', 0, -1, 1.5, 1e12, null].map((expiresInSeconds) => ({ pending: true, expiresInSeconds, postings: [posting] })),
      ...['x', 1, [], null, { big: 2 ** 64 }, { text: 'x'.repeat(20_000) }, { text: '\u0000' }, { '\ud800': 1 }].map((metadata) => ({ metadata, postings: [posting] })),
      ...[null, {}, 'x', [null], [[]], [{}], [{ ...posting, currency: 'EUR' }]].map((postings) => ({ postings })),
    ];
    const accounts = [
      ...bad.map((accountId) => ({ accountId, currency: 'EUR' })),
      ...[...bad, 'eur', 'EURO', 'XXZ'].map((currency) => ({ accountId: 'new', currency })),
      ...['some', 1, null, [], {}, { limit: '-1' }, { limit: 1.5 }, { limit: '9223372036854775808' }, { limit: '1', more: 1 }].map((overdraft) => ({ accountId: 'new', currency: 'EUR', overdraft })),
    ];
    await everyAnswerIsAProblem([
      ...transfers.map((body) => ['POST', '/v1/ledgers/main/transactions', { body }] as [string, string, RequestOptions]),
      ...transfers.map((body) => ['POST', '/v1/ledgers/main/transactions/bulk', { body: [body] }] as [string, string, RequestOptions]),
      ...transfers.map((body) => ['POST', '/v1/ledgers/main/transactions', { body, headers: { prefer: 'respond-async' } }] as [string, string, RequestOptions]),
      ...accounts.map((body) => ['POST', '/v1/ledgers/main/accounts', { body }] as [string, string, RequestOptions]),
      ...amounts.map((amount) => ['POST', '/v1/ledgers/main/transactions/pending/capture', { body: { amount } }] as [string, string, RequestOptions]),
    ]);
  });

  test('in every field of a product is refused', async () => {
    const bad = ['', '\u0000', '\ud800', 'x'.repeat(20_000), -1, 1.5, 2 ** 64, true, null, [], {}, ['x'], { a: 1 }];
    const variant = { sku: 'new', price: { amount: '1', currency: 'EUR' } };
    const product = { name: 'x', variants: [variant] };
    const but = (values: readonly unknown[], ...fine: unknown[]) => values.filter((value) => !fine.includes(value));
    const amounts = [...bad, '1.0', '-0', '+1', '01', '0x10', '9223372036854775808', 'NaN'];
    const prices = [...amounts.map((amount) => ({ amount, currency: 'EUR' })), ...bad.map((currency) => ({ amount: '1', currency })), ...bad];
    const details = [
      ...bad.map((name) => ({ name })),
      ...but(bad, '').map((description) => ({ description })),
      ...[...bad.filter((value) => !Array.isArray(value)), [''], [1], [null], [[]], ['\u0000'], ['a', 'a']].map((categories) => ({ categories })),
      ...[...bad.filter((value) => !(typeof value === 'object' && value !== null && !Array.isArray(value))), { big: 2 ** 64 }, { text: 'x'.repeat(9_000) }, { '\ud800': 1 }].map((attributes) => ({ attributes })),
    ];
    const variants = [
      ...bad.map((sku) => ({ ...variant, sku })),
      ...bad.map((name) => ({ ...variant, name })),
      ...prices.map((price) => ({ ...variant, price })),
    ];
    const send = (method: string, path: string, body: object) => [method, path, { body }] as [string, string, RequestOptions];
    await everyAnswerIsAProblem([
      ...bad.map((productId) => send('POST', '/v1/products', { ...product, productId })),
      ...details.map((detail) => send('POST', '/v1/products', { ...product, ...detail })),
      ...details.map((detail) => send('PATCH', '/v1/products/shirt', detail)),
      ...[...bad, [variant, variant]].map((wrong) => send('POST', '/v1/products', { ...product, variants: wrong })),
      ...variants.map((wrong) => send('POST', '/v1/products', { ...product, variants: [variant, wrong] })),
      ...variants.map(({ sku: _sku, ...wrong }) => wrong).filter((wrong) => 'name' in wrong || wrong.price !== variant.price).map((wrong) => send('PUT', '/v1/products/shirt/variants/new', wrong)),
    ]);
  });

  test('of any JSON at all is refused', async () => {
    // A body without a `postings` of ours moves nothing; whatever it is, it is no transfer.
    await fc.assert(
      fc.asyncProperty(fc.json({ maxDepth: 4 }), fc.constantFrom(...withBody()), async (body, { method, path }) => {
        fc.pre(body.trim() !== '{}' && !/^\s*$/.test(body));
        const answer = await http.request(method, fill(path, nothing), { body });
        const why = wrongWith(answer);
        if (why) throw new Error(why);
      }),
      { seed, numRuns: 400 },
    );
  });

  test('of any bytes at all is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.constantFrom('application/json', 'application/x-ndjson'), async (bytes, contentType) => {
        const answer = await http.request('POST', '/v1/ledgers/main/transactions/bulk', { body: Buffer.from(bytes), contentType });
        const why = wrongWith(answer);
        if (why) throw new Error(why);
      }),
      { seed, numRuns: 300 },
    );
  });

  test('that is not even HTTP ends its own connection and nothing else', async () => {
    const { port } = new URL(server.url);
    const messages = [
      'nonsense\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
      'POST /v1/ledgers/main/accounts HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /v1/ledgers/main/accounts HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n',
      'POST /v1/ledgers/main/accounts HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    ];
    for (const message of messages) {
      const first = await new Promise<string>((resolve) => {
        let text = '';
        const socket = connect(Number(port), '127.0.0.1', () => socket.write(message));
        socket.on('data', (data) => (text += data.toString()));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
      });
      expect(first).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
      expect(first).not.toMatch(/node_modules|\.ts:\d/);
      if (first) {
        expect(first).toMatch(/^content-type: application\/problem\+json/im);
        // Or the client sends its next request into a connection that is closed already.
        expect(first).toMatch(/^connection: close/im);
      }
    }
    expect((await http.get('/health/live')).status).toBe(200);
  });

  test('in a body that is too large is answered to a client that is still writing it', async () => {
    const { port } = new URL(http.url);
    const piece = 'x'.repeat(65_536);
    const head = `POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${32 * piece.length}\r\n\r\n`;
    const socket = connect(Number(port), '127.0.0.1');
    let text = '';
    const ended = new Promise<string>((resolve) => {
      socket.on('data', (data) => (text += data.toString()));
      // What a client hears of that writes to a connection which is closed already.
      socket.on('error', ({ message }) => resolve(message));
      socket.on('close', () => resolve(text));
    });
    socket.write(head);
    for (let sent = 0; sent < 32; sent++) {
      socket.write(piece);
      await sleep(2);
    }
    expect(await ended).toMatch(/^HTTP\/1\.1 413 /);
  });

  test.each(['DELETE', 'PUT', 'PATCH', 'TRACE', 'PROPFIND'])('by a method like %s that no route takes is refused', async (method) => {
    await everyAnswerIsAProblem([...new Set(routes.map(({ path }) => path))].map((path) => [method, fill(path)] as [string, string]));
  });
});

async function readRoutes(http: HttpClient): Promise<Route[]> {
  const { body } = await http.get('/openapi.json');
  const routes: Route[] = [];
  // What is served besides is for tools, which may ask as they like.
  for (const [path, methods] of Object.entries<Record<string, { requestBody?: object; parameters?: { in: string; name: string }[] }>>(body.paths)) {
    if (!path.startsWith('/v1/')) continue;
    for (const [method, { requestBody, parameters = [] }] of Object.entries(methods)) {
      const query = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
      routes.push({ method: method.toUpperCase(), path, takesBody: requestBody !== undefined, query });
    }
  }
  return routes;
}
