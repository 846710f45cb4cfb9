import { randomUUID } from 'node:crypto';
import { after, type Answer, HttpClient, StockClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';

const largestAtOnce = 2 ** 31 - 1;

const refusalOf = ({ status, body, headers }: Answer) => {
  if (!String(headers['content-type']).startsWith('application/problem+json')) throw new Error(JSON.stringify(body));
  return [status, body.code];
};

describe('The inventory over HTTP', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let mug: StockClient;
  let skus = 0;

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

  /** Every test has a SKU of its own. */
  beforeEach(() => {
    mug = new StockClient(http, `mug-${++skus}`);
  });

  /** On hand, reserved and available after some writes. */
  const levelsAfter = async (...writes: Answer[]) => {
    const { onHand, reserved, available } = (await mug.stock(after(...writes))).body;
    return [onHand, reserved, available];
  };
  const events = async () => (await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n as number;

  describe('Stock', () => {
    test('is received, and read as it was received', async () => {
      const received = await mug.receive(40, { reference: 'delivery 7' });
      expect(received.status).toBe(201);
      expect(received.body).toEqual({
        sku: mug.sku,
        onHand: 40,
        reserved: 0,
        available: 40,
        locations: [{ location: 'main', onHand: 40, reserved: 0, available: 40 }],
      });
      const read = await mug.stock(after(received));
      expect([read.status, read.body]).toEqual([200, { ...received.body, version: 1 }]);
    });

    test('is at several locations, in the order of their first receipts', async () => {
      await mug.receive(1, { location: 'z' });
      await mug.receive(2, { location: 'a' });
      await mug.reserve(2);
      const last = await mug.receive(3, { location: 'z' });
      expect(last.body).toEqual({
        sku: mug.sku,
        onHand: 6,
        reserved: 2,
        available: 4,
        locations: [
          { location: 'z', onHand: 4, reserved: 1, available: 3 },
          { location: 'a', onHand: 2, reserved: 1, available: 1 },
        ],
      });
      expect((await mug.stock(after(last))).body).toEqual({ ...last.body, version: 4 });
    });

    test('is adjusted, but never below what is reserved there', async () => {
      await mug.receive(10);
      const broken = await mug.adjust(-2, { reason: 'broken' });
      expect([broken.status, broken.body.onHand]).toEqual([201, 8]);
      await mug.reserve(5);
      expect((await mug.adjust(-3)).body).toMatchObject({ onHand: 5, reserved: 5, available: 0 });
      const refused = await mug.adjust(-1);
      expect(refusalOf(refused)).toEqual([409, 'insufficient-stock']);
      expect(refused.body.detail).toContain('location main');
      const found = await mug.adjust(1);
      expect(await levelsAfter(found)).toEqual([6, 5, 1]);
    });

    test('that never was is not found, and not adjusted', async () => {
      expect(refusalOf(await mug.stock())).toEqual([404, 'stock-not-found']);
      expect(refusalOf(await mug.movements())).toEqual([404, 'stock-not-found']);
      expect(refusalOf(await mug.adjust(1))).toEqual([404, 'stock-not-found']);
      await mug.receive(1);
      expect(refusalOf(await mug.adjust(1, { location: 'attic' }))).toEqual([404, 'stock-not-found']);
    });

    test('is counted beyond 31 bits', async () => {
      await mug.receive(largestAtOnce, { location: 'z' });
      await mug.receive(largestAtOnce, { location: 'z' });
      await mug.receive(largestAtOnce, { location: 'a' });
      const reserved = await mug.reserve(largestAtOnce);
      expect(await levelsAfter(reserved)).toEqual([3 * largestAtOnce, largestAtOnce, 2 * largestAtOnce]);
      expect((await mug.movements()).body.items[0]).toMatchObject({ onHandAfter: 2 * largestAtOnce, reservedAfter: largestAtOnce });
      expect(await levelsAfter(await mug.adjust(-largestAtOnce, { location: 'z' }))).toEqual([2 * largestAtOnce, largestAtOnce, largestAtOnce]);
    });

    test('is at a hundred locations at most', async () => {
      const all = await Promise.all(Array.from({ length: 101 }, (_, index) => mug.receive(1, { location: `l${index}` })));
      expect(all.filter(({ status }) => status === 201)).toHaveLength(100);
      expect(refusalOf(all.find(({ status }) => status !== 201)!)).toEqual([409, 'too-many-locations']);
      const everything = await mug.reserve(100);
      expect(everything.body.allocations).toHaveLength(100);
      expect(await levelsAfter(await mug.commit(everything.body.reservationId))).toEqual([0, 0, 0]);
      expect((await mug.movements('?limit=500', after(await mug.receive(1, { location: 'l1' })))).body.items).toHaveLength(301);
    });

    test.each(['__proto__', 'constructor', 'toString', '0', '-', 'a'.repeat(128)])('may be called %s, and be there too', async (name) => {
      mug = new StockClient(http, name);
      const received = await mug.receive(7, { location: name });
      expect(received.status).toBe(201);
      const reserved = await mug.reserve(3, { reservationId: name });
      expect(reserved.body.allocations).toEqual([{ location: name, quantity: 3 }]);
      expect((await mug.stock(after(reserved))).body.locations).toEqual([{ location: name, onHand: 7, reserved: 3, available: 4 }]);
      expect((await mug.commit(name)).body.status).toBe('committed');
    });
  });

  describe('A reservation', () => {
    test('keeps stock, and is read as it was made', async () => {
      await mug.receive(10);
      const reserved = await mug.reserve(4);
      expect(reserved.status).toBe(201);
      expect(reserved.body).toEqual({
        reservationId: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
        sku: mug.sku,
        quantity: 4,
        status: 'reserved',
        allocations: [{ location: 'main', quantity: 4 }],
        expiresAt: expect.stringMatching(/:\d\d\.000Z$/),
      });
      const waitsMs = Date.parse(reserved.body.expiresAt) - Date.now();
      expect(waitsMs > 890_000 && waitsMs <= 901_000).toBe(true);
      const read = await mug.reservation(reserved.body.reservationId, after(reserved));
      expect([read.status, read.body]).toEqual([200, reserved.body]);
      expect(await levelsAfter(reserved)).toEqual([10, 4, 6]);
    });

    test('takes all there is over all locations, and not one more', async () => {
      await mug.receive(3, { location: 'z' });
      await mug.receive(4, { location: 'a' });
      expect(refusalOf(await mug.reserve(8))).toEqual([409, 'insufficient-stock']);
      const reserved = await mug.reserve(6);
      expect(reserved.body.allocations).toEqual([{ location: 'z', quantity: 3 }, { location: 'a', quantity: 3 }]);
      const refused = await mug.reserve(2);
      expect([refusalOf(refused), refused.body.detail]).toEqual([[409, 'insufficient-stock'], `${mug.sku} has 1 available, 2 is needed`]);
      expect(await levelsAfter(await mug.reserve(1))).toEqual([7, 7, 0]);
    });

    test('of what never was is refused for want of stock', async () => {
      expect(refusalOf(await mug.reserve(1))).toEqual([409, 'insufficient-stock']);
    });

    test('with an id that exists: the same is answered as it is, another is refused', async () => {
      await mug.receive(10);
      const first = await mug.reserve(4, { reservationId: 'cart', expiresInSeconds: 900 });
      const again = await mug.reserve(4, { reservationId: 'cart' });
      expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
      expect(refusalOf(await mug.reserve(5, { reservationId: 'cart' }))).toEqual([409, 'reservation-exists']);
      expect(refusalOf(await mug.reserve(4, { reservationId: 'cart', expiresInSeconds: 901 }))).toEqual([409, 'reservation-exists']);
      expect(await levelsAfter(again)).toEqual([10, 4, 6]);
      const other = new StockClient(http, `${mug.sku}-other`);
      await other.receive(1);
      expect((await other.reserve(1, { reservationId: 'cart' })).status).toBe(201);
    });

    test('is committed once, and then stays so', async () => {
      await mug.receive(10);
      const { body } = await mug.reserve(4);
      const committed = await mug.commit(body.reservationId);
      expect([committed.status, committed.body]).toEqual([200, { ...body, status: 'committed' }]);
      expect(await levelsAfter(committed)).toEqual([6, 0, 6]);
      expect((await mug.reservation(body.reservationId)).body).toEqual(committed.body);
      const before = await events();
      const again = await mug.commit(body.reservationId);
      expect([again.status, again.body]).toEqual([200, committed.body]);
      expect(refusalOf(await mug.release(body.reservationId))).toEqual([409, 'reservation-committed']);
      expect(await events()).toBe(before);
    });

    test('is released once, and then stays so', async () => {
      await mug.receive(10);
      const { body } = await mug.reserve(4, { reservationId: 'cart' });
      const released = await mug.release('cart');
      expect([released.status, released.body]).toEqual([200, { ...body, status: 'released' }]);
      expect(await levelsAfter(released)).toEqual([10, 0, 10]);
      const before = await events();
      const again = await mug.release('cart');
      expect([again.status, again.body]).toEqual([200, released.body]);
      expect(refusalOf(await mug.commit('cart'))).toEqual([409, 'reservation-released']);
      const repeated = await mug.reserve(4, { reservationId: 'cart' });
      expect([repeated.status, repeated.body.status]).toEqual([200, 'released']);
      expect(await events()).toBe(before);
    });

    test('that is not there is said to be missing', async () => {
      await mug.receive(10);
      for (const answer of [await mug.reservation('none'), await mug.commit('none'), await mug.release('none')]) {
        expect(refusalOf(answer)).toEqual([404, 'reservation-not-found']);
      }
    });

    test('is not released before it is made over HTTP', async () => {
      const early = await http.post(mug.path('/reservations/cart/release'), { evenIfAbsent: true });
      expect(refusalOf(early)).toEqual([400, 'validation-failed']);
    });
  });

  describe('An expiry', () => {
    test('is put on record by itself', async () => {
      await mug.receive(10);
      const reserved = await mug.reserve(4, { reservationId: 'cart', expiresInSeconds: 1 });
      const { rows } = await eventually(
        () => database.pool.query(`SELECT data, recorded_at FROM events WHERE stream = $1 AND type LIKE '%expired%'`, [`reservation/${mug.sku}/cart`]),
        ({ rows }) => rows.length > 0,
      );
      expect(rows[0].data.expiresAt).toBe(reserved.body.expiresAt);
      const { body } = await eventually(() => mug.movements(), ({ body }) => body.items.length === 3);
      expect(body.items[0]).toMatchObject({ type: 'expired', reservationId: 'cart', quantity: 4, onHandAfter: 10, reservedAfter: 0 });
      expect((await mug.reservation('cart')).body).toEqual({ ...reserved.body, status: 'expired' });
      expect((await mug.stock()).body).toMatchObject({ onHand: 10, reserved: 0, available: 10, version: 3 });
      expect(refusalOf(await mug.commit('cart'))).toEqual([409, 'reservation-expired']);
      expect((await mug.release('cart')).body).toEqual({ ...reserved.body, status: 'expired' });
    });

    test('is taken back when it is committed in time', async () => {
      await mug.receive(10);
      await mug.reserve(4, { reservationId: 'cart' });
      const deadlines = `SELECT status FROM commands WHERE payload->>'sku' = $1`;
      expect((await database.pool.query(deadlines, [mug.sku])).rows).toEqual([{ status: 'scheduled' }]);
      const committed = await mug.commit('cart');
      expect((await database.pool.query(deadlines, [mug.sku])).rows).toEqual([]);
      expect((await mug.reservation('cart', after(committed))).body.status).toBe('committed');
      expect(await levelsAfter(committed)).toEqual([6, 0, 6]);
    });

    test('is of that SKU and that reservation, whatever else is called the same', async () => {
      // A ledger `main` with a transaction `cart` has a deadline of its own, maybe in the same partition.
      mug = new StockClient(http, 'main');
      const ledger = (path: string, body: object) => http.post(`/v1/ledgers/main/${path}`, body);
      await ledger('accounts', { accountId: 'world', currency: 'EUR', overdraft: 'unlimited' });
      await ledger('accounts', { accountId: 'alice', currency: 'EUR' });
      const postings = [{ source: 'world', destination: 'alice', amount: '1' }];
      await ledger('transactions', { transactionId: 'cart', pending: true, expiresInSeconds: 3_600, postings });
      await mug.receive(1);
      await mug.reserve(1, { reservationId: 'cart', expiresInSeconds: 3_600 });
      const { rows } = await database.pool.query(`SELECT type FROM commands WHERE status = 'scheduled' AND command_id LIKE '%/main/cart' ORDER BY type`);
      expect(rows.map(({ type }) => type)).toEqual(['inventory.expire-reservation', 'ledger.expire-transaction']);
    });
  });

  describe('Many at once', () => {
    test('two hundred buyers of twenty get twenty', async () => {
      await mug.receive(15);
      await mug.receive(5, { location: 'outlet' });
      const answers = await Promise.all(Array.from({ length: 200 }, () => mug.reserve(1)));
      const reserved = answers.filter(({ status }) => status === 201);
      expect(reserved).toHaveLength(20);
      for (const answer of answers) if (answer.status !== 201) expect(refusalOf(answer)).toEqual([409, 'insufficient-stock']);
      expect(await levelsAfter(...reserved)).toEqual([20, 20, 0]);
      const from = reserved.flatMap(({ body }) => body.allocations.map(({ location }: { location: string }) => location));
      expect(from.filter((location) => location === 'outlet')).toHaveLength(5);
    });

    test('of a commit and a release exactly one wins', async () => {
      await mug.receive(30);
      const ids = Array.from({ length: 30 }, (_, index) => `r${index}`);
      await Promise.all(ids.map((reservationId) => mug.reserve(1, { reservationId })));
      const answers = await Promise.all(ids.flatMap((id, index) => (index % 2 ? [mug.commit(id), mug.release(id)] : [mug.release(id), mug.commit(id)])));
      let shipped = 0;
      for (let index = 0; index < answers.length; index += 2) {
        const pair = [answers[index]!, answers[index + 1]!];
        expect(pair.map(({ status }) => status).sort()).toEqual([200, 409]);
        const winner = pair.find(({ status }) => status === 200)!.body.status as string;
        expect(pair.find(({ status }) => status === 409)!.body.code).toBe(`reservation-${winner}`);
        if (winner === 'committed') shipped++;
      }
      const done = answers.filter(({ status }) => status === 200);
      expect(await levelsAfter(...done)).toEqual([30 - shipped, 0, 30 - shipped]);
    });

    test('what one of two nodes has sold the other does not sell again', async () => {
      const other = await startRialto(database.url);
      try {
        await mug.receive(20);
        const there = new StockClient(new HttpClient(other), mug.sku);
        const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => (index % 2 ? mug : there).reserve(1)));
        expect(answers.filter(({ status }) => status === 201)).toHaveLength(20);
        there.http.close();
      } finally {
        await other.kill();
      }
    });
  });

  describe('Movements', () => {
    test('are all that changed on hand or reserved, newest first, page by page', async () => {
      await mug.receive(5, { location: 'z', reference: 'delivery 7' });
      await mug.receive(5, { location: 'a' });
      await mug.adjust(-1, { location: 'z', reason: 'broken' });
      await mug.reserve(6, { reservationId: 'r1' });
      await mug.reserve(1, { reservationId: 'r2' });
      await mug.release('r2');
      const last = await mug.commit('r1');
      const whole = await mug.movements('', after(last));
      expect(whole.body.nextCursor).toBeNull();
      const none = { reservationId: null, reference: null, reason: null, recordedAt: expect.stringMatching(/^\d{4}-.*Z$/) };
      expect(whole.body.items).toEqual([
        { ...none, type: 'committed', location: 'a', quantity: 2, onHandAfter: 3, reservedAfter: 0, reservationId: 'r1' },
        { ...none, type: 'committed', location: 'z', quantity: 4, onHandAfter: 0, reservedAfter: 0, reservationId: 'r1' },
        { ...none, type: 'released', location: 'a', quantity: 1, onHandAfter: 5, reservedAfter: 2, reservationId: 'r2' },
        { ...none, type: 'reserved', location: 'a', quantity: 1, onHandAfter: 5, reservedAfter: 3, reservationId: 'r2' },
        { ...none, type: 'reserved', location: 'a', quantity: 2, onHandAfter: 5, reservedAfter: 2, reservationId: 'r1' },
        { ...none, type: 'reserved', location: 'z', quantity: 4, onHandAfter: 4, reservedAfter: 4, reservationId: 'r1' },
        { ...none, type: 'adjusted', location: 'z', quantity: -1, onHandAfter: 4, reservedAfter: 0, reason: 'broken' },
        { ...none, type: 'received', location: 'a', quantity: 5, onHandAfter: 5, reservedAfter: 0 },
        { ...none, type: 'received', location: 'z', quantity: 5, onHandAfter: 5, reservedAfter: 0, reference: 'delivery 7' },
      ]);
      for (const limit of [1, 2, 5, 9]) {
        const paged: unknown[] = [];
        let query = `?limit=${limit}`;
        for (;;) {
          const { body } = await mug.movements(query);
          paged.push(...body.items);
          expect(body.items.length).toBeLessThanOrEqual(limit);
          if (body.nextCursor === null) break;
          query = `?limit=${limit}&cursor=${body.nextCursor}`;
        }
        expect(paged).toEqual(whole.body.items);
      }
    });

    test('of one SKU do not go on with a cursor of another, nor with a forged one', async () => {
      await mug.receive(1);
      const first = await mug.movements('?limit=1', after(await mug.receive(1)));
      const other = new StockClient(http, `${mug.sku}-other`);
      await other.movements('', after(await other.receive(1)));
      const forge = (...key: unknown[]) => Buffer.from(JSON.stringify(['inventory-movements', mug.sku, ...key])).toString('base64url');
      expect(refusalOf(await other.movements(`?cursor=${first.body.nextCursor}`))).toEqual([400, 'bad-cursor']);
      for (const cursor of ['x', '', forge(), forge(1), forge('1', 1), forge(1, -1), forge(1, 99_999), forge(1e300, 1), forge(1.5, 1), forge(1, 1, 1)]) {
        expect(refusalOf(await mug.movements(`?cursor=${cursor}`))).toEqual([400, 'bad-cursor']);
      }
    });
  });

  describe('An ETag', () => {
    test('saves a client what it has, until something happens', async () => {
      const write = await mug.receive(5);
      await mug.reserve(1, { reservationId: 'cart' });
      for (const read of [(headers: Record<string, string>) => mug.stock(headers), (headers: Record<string, string>) => mug.reservation('cart', headers)]) {
        const etag = String((await read(after(write, await mug.receive(1)))).headers.etag);
        expect(etag).toMatch(/^"[^"]+"$/);
        const again = await read({ 'if-none-match': etag });
        expect([again.status, again.text, again.headers.etag]).toEqual([304, '', etag]);
      }
      const [stock, reservation] = [await mug.stock(), await mug.reservation('cart')];
      const next = after(await mug.commit('cart'));
      expect((await mug.stock({ ...next, 'if-none-match': String(stock.headers.etag) })).status).toBe(200);
      expect((await mug.reservation('cart', { ...next, 'if-none-match': String(reservation.headers.etag) })).status).toBe(200);
    });
  });

  describe('Every write', () => {
    const writes = (): [string, (headers: Record<string, string>) => Promise<Answer>][] => [
      ['receipt', (headers) => mug.receive(5, {}, headers)],
      ['adjustment', (headers) => mug.adjust(-1, {}, headers)],
      ['reservation', (headers) => mug.reserve(1, {}, headers)],
      ['commit', (headers) => mug.commit('to-commit', headers)],
      ['release', (headers) => mug.release('to-release', headers)],
    ];
    beforeEach(async () => {
      await mug.receive(100);
      await mug.reserve(2, { reservationId: 'to-commit' });
      await mug.reserve(3, { reservationId: 'to-release' });
    });

    test('takes effect once for an Idempotency-Key', async () => {
      for (const [, write] of writes()) {
        const headers = { 'idempotency-key': randomUUID() };
        const answers = await Promise.all([write(headers), write(headers), write(headers)]);
        answers.push(await write(headers));
        expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
        expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(3);
      }
      expect(await levelsAfter(await mug.receive(1))).toEqual([103, 1, 102]);
    });

    test('may be accepted for later', async () => {
      for (const [, write] of writes()) {
        const accepted = await write({ prefer: 'respond-async' });
        expect(accepted.status).toBe(202);
        const { body } = await eventually(() => http.get(String(accepted.headers.location)), ({ body }) => body.status !== 'accepted');
        expect(body.status).toBe('executed');
        expect(body.result.sku).toBe(mug.sku);
      }
      expect(await levelsAfter(await mug.receive(1))).toEqual([103, 1, 102]);
    });
  });

  test('A consistency token is never answered with something older', async () => {
    await mug.receive(1_000);
    await Promise.all(Array.from({ length: 8 }, async (_, buyer) => {
      for (let index = 1; index <= 20; index++) {
        const write = await mug.reserve(1, { reservationId: `r-${buyer}-${index}` });
        const [stock, reservation, movements] = await Promise.all([
          mug.stock(after(write)),
          mug.reservation(`r-${buyer}-${index}`, after(write)),
          mug.movements('?limit=500', after(write)),
        ]);
        expect(stock.body.reserved).toBeGreaterThanOrEqual(index);
        expect(reservation.body.status).toBe('reserved');
        expect(movements.body.items.map(({ reservationId }: { reservationId: string }) => reservationId)).toContain(`r-${buyer}-${index}`);
      }
    }));
    expect((await mug.stock()).body).toMatchObject({ onHand: 1_000, reserved: 160, version: 161 });
  });

  describe('A body', () => {
    const bad = ['', '1', '\u0000', '\ud800', 'a b', 'x'.repeat(5_000), '/', -1, 1.5, 2 ** 31, 2 ** 53, 2 ** 64, true, null, [], {}, ['main'], { a: 1 }];
    const but = (...fine: unknown[]) => bad.filter((value) => !fine.includes(value));
    const texts = but('1', 'a b', '/');
    const bodies: [string, unknown[]][] = [
      ['/receipts', [
        {}, ...[...bad, 0].map((quantity) => ({ quantity })),
        ...but('1').map((location) => ({ quantity: 1, location })),
        ...texts.map((reference) => ({ quantity: 1, reference })), { quantity: 1, surprise: 1 },
      ]],
      ['/adjustments', [
        {}, { delta: 1 }, { reason: 'x' }, ...[...but(-1), 0, -0, -(2 ** 31)].map((delta) => ({ delta, reason: 'x' })),
        ...texts.map((reason) => ({ delta: 1, reason })), ...but('1').map((location) => ({ delta: 1, reason: 'x', location })),
      ]],
      ['/reservations', [
        {}, ...[...bad, 0].map((quantity) => ({ quantity })),
        ...but('1').map((reservationId) => ({ quantity: 1, reservationId })),
        ...[...bad, 0, 86_401].map((expiresInSeconds) => ({ quantity: 1, expiresInSeconds })),
      ]],
      ['/reservations/cart/release', [...but({}).filter((value) => JSON.stringify(value) !== '{}'), { evenIfAbsent: true }]],
      ['/reservations/cart/commit', but().filter((value) => JSON.stringify(value) !== '{}')],
    ];

    test('that does not match is refused, field by field, and changes nothing', async () => {
      await mug.receive(largestAtOnce);
      await mug.reserve(1, { reservationId: 'cart' });
      const before = await events();
      const answered: string[] = [];
      for (const [path, sent] of bodies) {
        for (const body of sent) {
          const answer = await http.request('POST', mug.path(path), { body: JSON.stringify(body) });
          if (answer.status !== 400) answered.push(`${path} ${JSON.stringify(body)?.slice(0, 80)}: ${answer.status}`);
        }
      }
      expect(answered).toEqual([]);
      expect(await events()).toBe(before);
    });
  });

  test('Nothing in all this was an error of the server’s', () => {
    expect(server.log).not.toMatch(/"level":(50|60)/);
  });
});

describe('While nobody sweeps', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let mug: StockClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    // Views follow the writes of this process at once; what is due is looked for once a minute.
    server = await startRialto(database.url, { SWEEP_INTERVAL_MS: '60000' });
    mug = new StockClient(new HttpClient(server), 'mug');
  });

  afterAll(async () => {
    mug?.http.close();
    await server?.kill();
    await database?.drop();
  });

  test('an expired reservation stops counting the moment it expires, for reads, writes and ETags', async () => {
    await mug.receive(10);
    await mug.receive(5, { location: 'outlet' });
    await mug.reserve(2, { reservationId: 'stays' });
    // Long enough for what is read before it expires, on a machine that is kept busy for seconds.
    const reserved = await mug.reserve(12, { reservationId: 'goes', expiresInSeconds: 8 });
    expect(reserved.body.allocations).toEqual([{ location: 'main', quantity: 8 }, { location: 'outlet', quantity: 4 }]);
    const endMs = Date.parse(reserved.body.expiresAt);
    const before = await mug.stock(after(reserved));
    expect(before.body).toMatchObject({ onHand: 15, reserved: 14, available: 1 });
    const held = await mug.reservation('goes');

    // One machine, one clock: an answer from before the moment, or from after it, says what was so at its time.
    const seen = { before: 0, after: 0 };
    while (seen.after < 3) {
      const askedMs = Date.now();
      const [{ body: stock }, { body: reservation }] = await Promise.all([mug.stock(), mug.reservation('goes')]);
      const answeredMs = Date.now();
      if (answeredMs < endMs) {
        seen.before++;
        expect([stock.reserved, reservation.status]).toEqual([14, 'reserved']);
      } else if (askedMs >= endMs) {
        seen.after++;
        expect([stock.reserved, reservation.status]).toEqual([2, 'expired']);
      }
    }
    expect(seen.before).toBeGreaterThan(3);

    const now = await mug.stock({ 'if-none-match': String(before.headers.etag) });
    expect([now.status, now.body.version]).toEqual([200, before.body.version]);
    expect(now.body.locations).toEqual([
      { location: 'main', onHand: 10, reserved: 2, available: 8 },
      { location: 'outlet', onHand: 5, reserved: 0, available: 5 },
    ]);
    expect((await mug.reservation('goes', { 'if-none-match': String(held.headers.etag) })).status).toBe(200);
    expect(refusalOf(await mug.commit('goes'))).toEqual([409, 'reservation-expired']);
    expect((await mug.release('goes')).body.status).toBe('expired');
    const next = await mug.reserve(13, { reservationId: 'next' });
    expect(next.status).toBe(201);
    expect((await mug.stock(after(next))).body).toMatchObject({ onHand: 15, reserved: 15, available: 0 });
    const { rows } = await database.pool.query(`SELECT count(*)::int AS n FROM events WHERE type LIKE '%expired%'`);
    expect(rows[0].n).toBe(0);
  });
});
