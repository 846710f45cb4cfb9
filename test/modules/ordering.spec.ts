import { type Answer, after, HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { Shop } from '../support/shop.js';
import { tool } from '../support/tool.js';

describe('Orders over HTTP', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let shop: Shop;
  let shops = 0;
  /** Of the test's own SKUs. */
  let sku: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
  });

  beforeEach(async () => {
    shop = await new Shop(http, `shop-${++shops}`).open();
    sku = `sku-${shops}`;
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  const refusalOf = ({ status, body, headers }: Answer) => {
    if (!String(headers['content-type']).startsWith('application/problem+json')) throw new Error(JSON.stringify(body));
    return [status, body.code];
  };
  const one = (quantity = 1) => [{ sku, quantity }];
  const statusesOf = ({ body }: Answer) => body.history.map(({ status }: { status: string }) => status);
  const countEvents = async () => (await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n as number;
  /** An order comes to what it comes to within milliseconds; a second is for a machine that is busy. */
  const settles = (orderId: string, status: string) =>
    untilPasses(async () => {
      const order = await shop.order(orderId);
      expect(order.body.status).toBe(status);
      return order;
    });

  /** Nothing that is placed without a wait is checked out, until they are released. */
  async function holdSagas(): Promise<{ release(): Promise<void> }> {
    const sql = await database.pool.connect();
    await sql.query('BEGIN');
    await sql.query(`SELECT FROM checkpoints WHERE consumer = 'ordering.carry-out-order' FOR UPDATE`);
    let isHeld = true;
    return {
      async release() {
        if (isHeld) await sql.query('ROLLBACK').finally(() => sql.release());
        isHeld = false;
      },
    };
  }

  describe('An order', () => {
    test('is placed at the prices of the catalogue, checked out, and confirmed', async () => {
      await shop.sells(sku, 10, '1250');
      await shop.customer('ann', '5000');
      const answer = await shop.buy(one(2), { metadata: { channel: 'web' } });
      const { orderId } = answer.body;
      expect([answer.status, answer.body]).toEqual([
        201,
        {
          orderId,
          customerId: 'ann',
          status: 'confirmed',
          lines: [{ sku, quantity: 2, unitPrice: '1250', total: '2500' }],
          total: '2500',
          currency: 'EUR',
          payment: { ledger: shop.name, account: 'ann', transactionId: `order:${orderId}` },
          autoFulfil: false,
          refunds: [],
          history: [{ status: 'placed', at: expect.any(String) }, { status: 'confirmed', at: expect.any(String) }],
          placedAt: answer.body.history[0].at,
          metadata: { channel: 'web' },
        },
      ]);
      const read = await shop.order(orderId, after(answer));
      expect(read.body).toEqual(answer.body);
      expect((await shop.order(orderId, { 'if-none-match': read.headers.etag! })).status).toBe(304);
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 2, available: 8 });
        expect((await shop.catalog.sku(sku)).body).toMatchObject({ sku, price: { amount: '1250', currency: 'EUR' }, available: 8 });
        expect(await shop.balances('ann')).toEqual({ balance: '5000', available: '2500' });
      });
    });

    test('without waiting is answered as placed, and says where its verdict will be', async () => {
      await shop.sells(sku, 1);
      await shop.customer('ann');
      const placed = await shop.place(one(), { orderId: `${sku}:order` });
      expect([placed.status, placed.headers.location, placed.body.status, placed.body.total]).toEqual([202, `/v1/orders/${sku}:order`, 'placed', '1000']);
      expect(statusesOf(await settles(placed.body.orderId, 'confirmed'))).toEqual(['placed', 'confirmed']);
    });

    test('is accepted for later, and its command tells how it went: placed and checked out in one', async () => {
      await shop.sells(sku, 1);
      await shop.customer('ann');
      const orderLater = async () => {
        const accepted = await shop.place(one(), { headers: { prefer: 'respond-async' } });
        expect(accepted.status).toBe(202);
        return untilPasses(async () => {
          const { body } = await http.get(accepted.headers.location!);
          expect(body.status).toBe('executed');
          return body.result;
        });
      };
      const had = await orderLater();
      expect([had.status, had.history.length]).toEqual(['confirmed', 2]);
      await settles(had.orderId, 'confirmed');
      const late = await orderLater();
      expect([late.status, late.refusal.code]).toEqual(['rejected', 'insufficient-stock']);
      await settles(late.orderId, 'rejected');
    });

    test('can be placed for what was made a moment ago, and not for what was archived a moment ago', async () => {
      await shop.customer('ann', '1000000000');
      const skus = Array.from({ length: 20 }, (_, index) => `${sku}-${index}`);
      const bought = await Promise.all(
        skus.map(async (own) => {
          await shop.sells(own, 1);
          return shop.buy([{ sku: own, quantity: 1 }]);
        }),
      );
      expect(bought.map(({ status }) => status)).toEqual(skus.map(() => 201));
      const refused = await Promise.all(
        skus.map(async (own) => {
          await shop.catalog.archive(`p-${own}`);
          return shop.buy([{ sku: own, quantity: 1 }]);
        }),
      );
      expect(refused.map(refusalOf)).toEqual(skus.map(() => [409, 'product-not-available']));
    });

    test('keeps its price whatever the catalogue does next, and says which it is', async () => {
      await shop.sells(sku, 1_000, '1000');
      await shop.customer('ann', '1000000000');
      const answers: Answer[] = [];
      const buying = Array.from({ length: 40 }, async (_, index) => {
        await new Promise((resume) => setTimeout(resume, index * 2));
        answers.push(await shop.buy(one(2)));
      });
      for (const amount of ['1001', '1002', '1003']) {
        await shop.catalog.putVariant(`p-${sku}`, sku, { price: { amount, currency: 'EUR' } });
      }
      await Promise.all(buying);
      for (const answer of answers) {
        const { status, body } = answer;
        expect(status).toBe(201);
        expect(['1000', '1001', '1002', '1003']).toContain(body.lines[0].unitPrice);
        expect(body.total).toBe(String(2 * Number(body.lines[0].unitPrice)));
        const { body: payment } = await shop.ledger.transaction(body.payment.transactionId, after(answer));
        expect(payment.postings[0].amount).toBe(body.total);
      }
    });

    test('and an archive at the same moment: it is had before, and not after', async () => {
      await shop.sells(sku, 1_000);
      await shop.customer('ann', '1000000000');
      let archived = false;
      const orders: { answer: Answer; afterwards: boolean }[] = [];
      const buying = Array.from({ length: 8 }, async () => {
        for (let order = 0; order < 8; order++) {
          const afterwards = archived;
          orders.push({ answer: await shop.buy(one()), afterwards });
        }
      });
      await new Promise((resume) => setTimeout(resume, 20));
      expect((await shop.catalog.archive(`p-${sku}`)).status).toBe(200);
      archived = true;
      await Promise.all(buying);
      const verdicts = orders.map(({ answer, afterwards }) => [answer.status === 201 ? 'confirmed' : answer.body.code, afterwards]);
      expect(verdicts).toContainEqual(['product-not-available', true]);
      expect(verdicts).not.toContainEqual(['confirmed', true]);
      for (const [verdict] of verdicts) expect(['confirmed', 'product-not-available']).toContain(verdict);
      const sold = verdicts.filter(([verdict]) => verdict === 'confirmed').length;
      await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 1_000, reserved: sold, available: 1_000 - sold }));
    });

    test('of what costs nothing needs no payment', async () => {
      await shop.sells(sku, 1, '0');
      await shop.customer('ann', '0');
      const answer = await shop.buy(one(), { autoFulfil: true });
      expect([answer.status, answer.body.total, answer.body.payment.transactionId]).toEqual([201, '0', undefined]);
      await settles(answer.body.orderId, 'fulfilled');
      await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 0, reserved: 0, available: 0 }));
    });

    test('goes on to be fulfilled by itself when it is told to', async () => {
      await shop.sells(sku, 3);
      await shop.customer('ann', '1000');
      const { body } = await shop.buy(one(), { autoFulfil: true });
      expect(body.status).toBe('confirmed');
      expect(statusesOf(await settles(body.orderId, 'fulfilled'))).toEqual(['placed', 'confirmed', 'fulfilled']);
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 2, reserved: 0, available: 2 });
        expect([await shop.balances('ann'), await shop.balances('merchant')]).toEqual([
          { balance: '0', available: '0' },
          { balance: '1000', available: '1000' },
        ]);
      });
    });
  });

  test('An order gets its verdict at a process that does none of the work', async () => {
    const front = await startRialto(database.url, { RUN_WORKERS: 'false' });
    const elsewhere = new HttpClient(front);
    await shop.sells(sku, 1);
    await shop.customer('ann');
    const there = new Shop(elsewhere, shop.name);
    const [first, second] = [await there.buy(one()), await there.buy(one())];
    expect([first.status, first.body.status, refusalOf(second)]).toEqual([201, 'confirmed', [409, 'insufficient-stock']]);
    const fulfilled = await there.fulfil(first.body.orderId);
    expect([fulfilled.status, fulfilled.body.status]).toEqual([200, 'fulfilled']);
    elsewhere.close();
    expect(await front.stop()).toBe(0);
  });

  describe('is refused', () => {
    test.each<[string, string, (own: string) => Promise<Answer>]>([
      ['what is not in stock', 'insufficient-stock', () => shop.buy(one(11))],
      ['what never was in stock', 'insufficient-stock', async (own) => {
        await shop.sells(`${own}-never`, 0);
        return shop.buy([{ sku: `${own}-never`, quantity: 1 }]);
      }],
      ['what is summed to more than is in stock', 'insufficient-stock', () => shop.buy([...one(6), ...one(5)])],
      ['what the account can not pay', 'insufficient-funds', () => shop.buy(one(3))],
      ['what nobody has heard of', 'product-not-available', () => shop.buy([...one(), { sku: 'unheard-of', quantity: 1 }])],
      ['an account that does not exist', 'account-not-found', () => shop.buy(one(), { account: 'nobody' })],
      ['prices of two currencies', 'currency-mismatch', async (own) => {
        await shop.sells(`${own}-pounds`, 1, '1', 'GBP');
        return shop.buy([...one(), { sku: `${own}-pounds`, quantity: 1 }]);
      }],
      ['a price in another currency than the account', 'currency-mismatch', async (own) => {
        await shop.sells(`${own}-pounds`, 1, '1', 'GBP');
        return shop.buy([{ sku: `${own}-pounds`, quantity: 1 }]);
      }],
    ])('%s', async (_what, code, buy) => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '2500');
      const orderId = `${sku}:order`;
      const answer = await (async () => {
        const place = shop.place.bind(shop);
        jest.spyOn(shop, 'place').mockImplementation((lines, options) => place(lines, { orderId, ...options }));
        return buy(sku);
      })();
      expect(refusalOf(answer)).toEqual([409, code]);
      const order = await settles(orderId, 'rejected');
      expect([order.body.refusal.code, statusesOf(order)]).toEqual([code, ['placed', 'rejected']]);
      // Whatever was taken before is given back.
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 0, available: 10 });
        expect(await shop.balances('ann')).toEqual({ balance: '2500', available: '2500' });
      });
    });

    test('what can not be had; who does not wait for that is told that it is placed, and finds the verdict with the order', async () => {
      await shop.customer('ann');
      const [orderId, headers] = [`${sku}:order`, { 'idempotency-key': `${sku}:key` }];
      for (let attempt = 0; attempt < 2; attempt++) {
        const placed = await shop.place([{ sku: `${sku}-nowhere`, quantity: 1 }], { orderId, headers });
        expect([placed.status, placed.body.status, statusesOf(placed), placed.body.refusal]).toEqual([202, 'placed', ['placed'], undefined]);
      }
      const order = await settles(orderId, 'rejected');
      expect(order.body).toMatchObject({ total: '0', refusal: { code: 'product-not-available' } });
    });

    test('a total beyond 64 bits, and nothing is placed', async () => {
      await shop.sells(sku, 10, '9223372036854775807');
      await shop.customer('ann');
      const before = await countEvents();
      expect(refusalOf(await shop.buy(one(2)))).toEqual([409, 'amount-out-of-range']);
      expect(await countEvents()).toBe(before);
    });

    test('an order with the id of another one', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann');
      const orderId = `${sku}:order`;
      expect((await shop.buy(one(), { orderId })).status).toBe(201);
      expect(refusalOf(await shop.buy(one(2), { orderId }))).toEqual([409, 'order-exists']);
      await untilPasses(async () => expect(await shop.stock(sku)).toMatchObject({ reserved: 1 }));
    });
  });

  describe('A token', () => {
    /** While `work` goes on, nobody can project what happens to stock and money. */
    const withViewsBehind = async <T>(work: () => Promise<T>): Promise<T> => {
      const client = await database.pool.connect();
      try {
        await client.query(`BEGIN; SELECT FROM checkpoints WHERE consumer LIKE 'inventory%' OR consumer LIKE 'ledger%' FOR UPDATE`);
        return await work();
      } finally {
        await client.query('ROLLBACK');
        client.release();
      }
    };
    const stockPath = () => `/v1/stock/${sku}`;
    const accountPath = () => `/v1/ledgers/${shop.name}/accounts/ann`;

    let reader: RialtoServer;
    let impatient: HttpClient;
    beforeAll(async () => {
      reader = await startRialto(database.url, { ROLE: 'query', CONSISTENCY_WAIT_MS: '500' });
      impatient = new HttpClient(reader);
    });
    afterAll(async () => {
      impatient?.close();
      await reader?.kill();
    });

    /** Reads with the answer's token say that they are behind, and afterwards what came of the write. */
    const covers = async (write: () => Promise<Answer>, stock: object, account: object) => {
      const answer = await withViewsBehind(async () => {
        const written = await write();
        const reads = [stockPath(), accountPath()].map((path) => impatient.get(path, after(written)));
        expect((await Promise.all(reads)).map(refusalOf)).toEqual([[503, 'projection-behind'], [503, 'projection-behind']]);
        return written;
      });
      expect((await http.get(stockPath(), after(answer))).body).toMatchObject(stock);
      expect((await http.get(accountPath(), after(answer))).body).toMatchObject(account);
    };

    test('of an order is of the stock and the money that it took, too; so is that of its retry, its fulfilment, and its refund', async () => {
      await shop.sells(sku, 10, '1000');
      await shop.customer('ann', '5000');
      const headers = { 'idempotency-key': `${sku}-key` };
      await covers(() => shop.buy(one(2), { headers }), { reserved: 2 }, { balance: '5000', available: '3000' });
      // Of a retry no more is known than that it is no older.
      const again = await shop.buy(one(2), { headers });
      const partitions = (answer: Answer) => String(answer.headers['consistency-token']).split(',').map((part) => part.split('@')[0]);
      expect(partitions(again).length).toBeGreaterThan(1);
      const { orderId } = again.body;
      await covers(() => shop.fulfil(orderId), { onHand: 8, reserved: 0 }, { balance: '3000', available: '3000' });
      await covers(() => shop.refund(orderId, { lines: [{ sku, quantity: 1, restock: true }] }), { onHand: 9 }, { balance: '4000', available: '4000' });
    });
  });

  describe('An order that is there already, with the same content', () => {
    test('is answered with 200 and as it is, whatever has become of it', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann');
      const orderId = `${sku}:order`;
      const first = await shop.buy(one(), { orderId });
      expect([first.status, first.headers['preference-applied']]).toEqual([201, 'wait']);
      for (const again of [await shop.buy(one(), { orderId }), await shop.place(one(), { orderId })]) {
        expect([again.status, again.body]).toEqual([200, first.body]);
        expect(again.headers['idempotency-replayed']).toBeUndefined();
      }
      await shop.fulfil(orderId);
      for (const again of [await shop.buy(one(), { orderId }), await shop.place(one(), { orderId })]) {
        expect([again.status, again.body.status]).toEqual([200, 'fulfilled']);
      }
      await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 9, reserved: 0, available: 9 }));
    });

    test('also when it was rejected', async () => {
      await shop.sells(sku, 0);
      await shop.customer('ann');
      const orderId = `${sku}:order`;
      expect(refusalOf(await shop.buy(one(), { orderId }))).toEqual([409, 'insufficient-stock']);
      for (const again of [await shop.buy(one(), { orderId }), await shop.place(one(), { orderId })]) {
        expect([again.status, again.body.status, again.body.refusal.code]).toEqual([200, 'rejected', 'insufficient-stock']);
      }
    });

    test('before it has its verdict: placed, or with a wait the verdict', async () => {
      await shop.sells(sku, 1);
      await shop.customer('ann');
      const orderId = `${sku}:order`;
      const sagas = await holdSagas();
      try {
        const first = await shop.place(one(), { orderId });
        expect([first.status, first.body.status, first.headers['preference-applied']]).toEqual([202, 'placed', undefined]);
        const again = await shop.place(one(), { orderId });
        expect([again.status, again.body]).toEqual([200, first.body]);
        const inVain = await shop.place(one(), { orderId, headers: { prefer: 'wait=1' } });
        expect([inVain.status, inVain.body]).toEqual([200, first.body]);
        const waiting = shop.buy(one(), { orderId });
        await sagas.release();
        const told = await waiting;
        expect([told.status, told.body.status, statusesOf(told)]).toEqual([200, 'confirmed', ['placed', 'confirmed']]);
      } finally {
        await sagas.release();
      }
    });

    test('under a key of its own answers that key alike from then on', async () => {
      await shop.sells(sku, 1);
      await shop.customer('ann');
      const orderId = `${sku}:order`;
      await shop.buy(one(), { orderId });
      const headers = { 'idempotency-key': `${sku}-key` };
      const first = await shop.buy(one(), { orderId, headers });
      await shop.fulfil(orderId);
      const again = await shop.buy(one(), { orderId, headers });
      expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([200, first.text, 'true']);
    });
  });

  test("An order that is not checked out in time is rejected, tells who waits, and leaves alone what is a client's own by the names it would give", async () => {
    await shop.sells(sku, 3);
    await shop.customer('ann', '5000');
    const headers = { 'idempotency-key': `${sku}-key` };
    const orderId = `${sku}:order`;
    const sagas = await holdSagas();
    try {
      expect((await shop.place(one(2), { orderId, headers })).status).toBe(202);
      const reserved = await http.post(`/v1/stock/${sku}/reservations`, { reservationId: `order:${orderId}`, quantity: 2 });
      const authorised = await shop.ledger.authorise('ann', 'merchant', '2000', { transactionId: `order:${orderId}` });
      expect([reserved.status, authorised.status]).toEqual([201, 201]);
      const waiting = shop.buy(one(2), { orderId, headers });
      const { rowCount } = await database.pool.query(
        `UPDATE commands SET due_at = now() WHERE type = 'ordering.time-out-order' AND payload->>'orderId' = $1 AND status = 'scheduled'`,
        [orderId],
      );
      expect(rowCount).toBe(1);
      expect(refusalOf(await waiting)).toEqual([409, 'payment-timeout']);
    } finally {
      await sagas.release();
    }
    const order = await settles(orderId, 'rejected');
    expect([order.body.refusal.code, statusesOf(order)]).toEqual(['payment-timeout', ['placed', 'rejected']]);
    const released = await http.post(`/v1/stock/${sku}/reservations/order:${orderId}/release`);
    const voided = await http.post(`/v1/ledgers/${shop.name}/transactions/order:${orderId}/void`);
    expect([released.body.status, voided.body.status]).toEqual(['released', 'voided']);
  });

  describe('A retry', () => {
    test('with the same key and another wait is the same order, answered the way it asks for', async () => {
      await shop.sells(sku, 1);
      await shop.customer('ann');
      const headers = { 'idempotency-key': `${sku}-key` };
      const placed = await shop.place(one(), { headers });
      expect([placed.status, placed.body.status]).toEqual([202, 'placed']);
      const told = await shop.buy(one(), { headers });
      expect([told.status, told.body.orderId, told.body.status, told.headers['idempotency-replayed']]).toEqual([201, placed.body.orderId, 'confirmed', 'true']);
      const again = await shop.place(one(), { headers });
      expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([202, placed.text, 'true']);
    });

    test('with the same key is the same order, however many ask at once', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann');
      const headers = { 'idempotency-key': `${sku}-key` };
      const answers = await Promise.all(Array.from({ length: 20 }, () => shop.buy(one(), { headers })));
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(answers.filter((answer) => answer.headers['idempotency-replayed'] === 'true')).toHaveLength(19);
      await shop.fulfil(answers[0]!.body.orderId);
      const later = await shop.buy(one(), { headers });
      expect([later.status, later.text]).toEqual([201, answers[0]!.text]);
      expect(refusalOf(await shop.buy(one(2), { headers }))).toEqual([422, 'idempotency-key-reused']);
      await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 9, reserved: 0, available: 9 }));
    });

    test('with the same key is no other order, though it has an id of its own and comes at the same time', async () => {
      await shop.sells(sku, 20);
      await shop.customer('ann');
      const headers = { 'idempotency-key': `${sku}-key` };
      const ids = Array.from({ length: 20 }, (_, index) => `${sku}:${index}`);
      const answers = await Promise.all(ids.map((orderId) => shop.buy(one(), { orderId, headers })));
      expect(answers.map(({ status }) => status).sort()).toEqual([201, ...ids.slice(1).map(() => 422)]);
      const first = answers.find(({ status }) => status === 201)!;
      for (const orderId of ids.filter((id) => id !== first.body.orderId)) {
        expect(refusalOf(await shop.buy(one(), { orderId, headers }))).toEqual([422, 'idempotency-key-reused']);
        expect(refusalOf(await shop.place(one(), { orderId, headers: { ...headers, prefer: 'respond-async' } }))).toEqual([422, 'idempotency-key-reused']);
      }
      expect(refusalOf(await shop.buy(one(), { headers }))).toEqual([422, 'idempotency-key-reused']);
      const again = await shop.buy(one(), { orderId: first.body.orderId, headers });
      expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([201, first.text, 'true']);
      expect((await http.get(`/v1/stock/${sku}`, after(again))).body.reserved).toBe(1);
    });

    test('of a refused order is refused alike, though it would be possible now', async () => {
      await shop.sells(sku, 0);
      await shop.customer('ann');
      const headers = { 'idempotency-key': `${sku}-key` };
      expect(refusalOf(await shop.buy(one(), { headers }))).toEqual([409, 'insufficient-stock']);
      await shop.receive(sku, 5);
      expect(refusalOf(await shop.buy(one(), { headers }))).toEqual([409, 'insufficient-stock']);
    });

    test('of a fulfilment or a refund answers the same', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann');
      const { orderId } = (await shop.buy(one(2))).body;
      const key = (name: string) => ({ 'idempotency-key': `${sku}-${name}` });
      const fulfilled = await shop.fulfil(orderId, key('f'));
      const refund = await shop.refund(orderId, { amount: '500' }, key('r'));
      expect([fulfilled.status, refund.status]).toEqual([200, 201]);
      await shop.refund(orderId);
      const [again, refundAgain] = [await shop.fulfil(orderId, key('f')), await shop.refund(orderId, { amount: '500' }, key('r'))];
      expect([again.text, refundAgain.text]).toEqual([fulfilled.text, refund.text]);
      expect((await settles(orderId, 'refunded')).body.refunds).toHaveLength(2);
    });
  });

  describe('Cancelling', () => {
    test('gives back what was set aside', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '5000');
      const { orderId } = (await shop.buy(one(2))).body;
      const cancelled = await shop.cancel(orderId, { reason: 'changed my mind' });
      expect([cancelled.status, cancelled.body.status]).toEqual([200, 'cancelled']);
      expect((await shop.cancel(orderId)).status).toBe(200);
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 0, available: 10 });
        expect(await shop.balances('ann')).toEqual({ balance: '5000', available: '5000' });
      });
      expect(refusalOf(await shop.fulfil(orderId))).toEqual([409, 'not-confirmed']);
      expect(refusalOf(await shop.cancel('no-such-order'))).toEqual([404, 'order-not-found']);
    });

    test("before its checkout gives nothing back: what has the name it would give is a client's own", async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '5000');
      const orderId = `${sku}-o`;
      expect((await shop.ledger.authorise('ann', 'merchant', '7', { transactionId: `order:${orderId}` })).status).toBe(201);
      const sagas = await holdSagas();
      try {
        expect((await shop.place(one(), { orderId })).body.status).toBe('placed');
        expect((await shop.cancel(orderId)).body.status).toBe('cancelled');
      } finally {
        await sagas.release();
      }
      await settles(orderId, 'cancelled');
      expect((await http.post(`/v1/ledgers/${shop.name}/transactions/order:${orderId}/void`)).body).toMatchObject({ status: 'voided' });
    });

    test('at any moment of the checkout leaves nothing behind', async () => {
      await shop.sells(sku, 100);
      await shop.customer('ann', '1000000');
      const orderIds = await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const { body } = await shop.place(one());
          await new Promise((resume) => setTimeout(resume, index % 12));
          const answer = await shop.cancel(body.orderId);
          expect([answer.status, answer.body.status]).toEqual([200, 'cancelled']);
          return body.orderId as string;
        }),
      );
      // First: until its view has come that far, stock and balances may look as if nothing had happened yet.
      for (const orderId of orderIds) await settles(orderId, 'cancelled');
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 100, reserved: 0, available: 100 });
        expect(await shop.balances('ann')).toEqual({ balance: '1000000', available: '1000000' });
        const { rows } = await database.pool.query(`SELECT count(*)::int AS n FROM commands WHERE status IN ('accepted', 'scheduled', 'failed')`);
        expect(rows[0].n).toBe(0);
      });
    });

    test('and fulfilling at the same moment: one of them wins', async () => {
      await shop.sells(sku, 100);
      await shop.customer('ann', '1000000');
      const orderIds = (await Promise.all(Array.from({ length: 20 }, () => shop.buy(one())))).map(({ body }) => body.orderId as string);
      const races = await Promise.all(orderIds.map((orderId) => Promise.all([shop.cancel(orderId), shop.fulfil(orderId)])));
      let sold = 0;
      for (const [index, [cancelled, fulfilled]] of races.entries()) {
        expect([[200, 409], [409, 200]]).toContainEqual([cancelled.status, fulfilled.status]);
        if (fulfilled.status === 200) sold++;
        await settles(orderIds[index]!, fulfilled.status === 200 ? 'fulfilled' : 'cancelled');
      }
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 100 - sold, reserved: 0, available: 100 - sold });
        expect(await shop.balances('merchant')).toEqual({ balance: String(sold * 1000), available: String(sold * 1000) });
      });
    });
  });

  describe('Fulfilling', () => {
    const confirmed = async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '10000');
      return (await shop.buy(one(2))).body.orderId as string;
    };

    test('takes no money when the stock was given away behind its back, and can be cancelled', async () => {
      const orderId = await confirmed();
      expect((await http.post(`/v1/stock/${sku}/reservations/order:${orderId}/release`)).status).toBe(200);
      expect(refusalOf(await shop.fulfil(orderId))).toEqual([409, 'reservation-released']);
      const refusal = { code: 'reservation-released', detail: `reservation order:${orderId} was released` };
      await untilPasses(async () => expect((await shop.order(orderId)).body).toMatchObject({ status: 'confirmed', refusal }));
      await untilPasses(async () => expect(await shop.balances('merchant')).toEqual({ balance: '0', available: '0' }));
      expect((await shop.cancel(orderId)).body.status).toBe('cancelled');
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 0, available: 10 });
        expect(await shop.balances('ann')).toEqual({ balance: '10000', available: '10000' });
      });
    });

    test('ships nothing when the payment was voided or taken in part, and gives all back when it is cancelled then', async () => {
      let given = '10000';
      for (const [what, body] of [['void'], ['capture', { amount: '1' }]] as const) {
        const orderId = await confirmed();
        const payment = `/v1/ledgers/${shop.name}/transactions/order:${orderId}`;
        expect((await http.post(`${payment}/${what}`, body)).status).toBe(200);
        expect(refusalOf(await shop.fulfil(orderId))).toEqual([409, 'not-pending']);
        await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 2, available: 8 }));
        expect((await shop.cancel(orderId)).body.status).toBe('cancelled');
        await untilPasses(async () => expect(await shop.stock(sku)).toEqual({ onHand: 10, reserved: 0, available: 10 }));
        // Also what was captured of it.
        await untilPasses(async () => expect(await shop.balances('ann')).toMatchObject({ balance: given, available: given }));
        given = String(BigInt(given) + 10_000n);
        sku = `${sku}-2`;
      }
    });

    test('goes on when the payment was captured and a line shipped by hand', async () => {
      const orderId = await confirmed();
      expect((await http.post(`/v1/ledgers/${shop.name}/transactions/order:${orderId}/capture`)).status).toBe(200);
      expect((await http.post(`/v1/stock/${sku}/reservations/order:${orderId}/commit`)).status).toBe(200);
      expect((await shop.fulfil(orderId)).body.status).toBe('fulfilled');
    });
  });

  describe('Refunding', () => {
    const bought = async (quantity: number) => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '10000');
      const { orderId } = (await shop.buy(one(quantity))).body;
      expect((await shop.fulfil(orderId)).status).toBe(200);
      return orderId as string;
    };

    test('gives money back in part and then all of it, and restocks what is to be restocked', async () => {
      const orderId = await bought(3);
      const part = await shop.refund(orderId, { lines: [{ sku, quantity: 1, restock: true }] });
      expect([part.status, part.body]).toEqual([
        201,
        { refundId: expect.any(String), amount: '1000', lines: [{ sku, quantity: 1, restock: true }], status: 'paid' },
      ]);
      expect((await settles(orderId, 'partially-refunded')).body.refunds).toEqual([part.body]);
      expect((await shop.refund(orderId)).body).toMatchObject({ amount: '2000', lines: [], status: 'paid' });
      expect(statusesOf(await settles(orderId, 'refunded'))).toEqual(['placed', 'confirmed', 'fulfilled', 'partially-refunded', 'refunded']);
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 8, reserved: 0, available: 8 });
        expect(await shop.balances('ann')).toEqual({ balance: '10000', available: '10000' });
        expect(await shop.balances('merchant')).toEqual({ balance: '0', available: '0' });
      });
      expect(refusalOf(await shop.refund(orderId))).toEqual([409, 'refund-exceeds-captured']);
    });

    test('never gives back more than was captured, however many ask at once', async () => {
      const orderId = await bought(3);
      const answers = await Promise.all(Array.from({ length: 20 }, () => shop.refund(orderId, { amount: '700' })));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(4);
      expect(answers.filter(({ status }) => status !== 201).map(refusalOf)).toEqual(Array.from({ length: 16 }, () => [409, 'refund-exceeds-captured']));
      await untilPasses(async () => expect(await shop.balances('ann')).toEqual({ balance: '9800', available: '9800' }));
    });

    test('that the shop can not pay is refused, and can be asked for again', async () => {
      const orderId = await bought(3);
      await shop.ledger.transfer('merchant', 'world', '2500');
      expect(refusalOf(await shop.refund(orderId, { amount: '600' }))).toEqual([409, 'insufficient-funds']);
      await shop.ledger.transfer('world', 'merchant', '2500');
      expect((await shop.refund(orderId)).body).toMatchObject({ amount: '3000', status: 'paid' });
      await settles(orderId, 'refunded');
    });

    test('is refused when the payment was reversed in the ledger: the money is back already', async () => {
      const orderId = await bought(1);
      await shop.ledger.transfer('world', 'merchant', '5000');
      expect((await http.post(`/v1/ledgers/${shop.name}/transactions/order:${orderId}/reverse`)).status).toBe(200);
      expect(refusalOf(await shop.refund(orderId))).toEqual([409, 'already-reversed']);
      await untilPasses(async () => expect(await shop.balances('ann')).toEqual({ balance: '10000', available: '10000' }));
      await untilPasses(async () => expect((await shop.order(orderId)).body).toMatchObject({ status: 'fulfilled', refunds: [{ status: 'refused' }] }));
    });

    test('with units that can not be put into stock pays nothing, and can be asked for without them', async () => {
      await shop.sells(sku, 0);
      for (let n = 0; n < 100; n++) await http.post(`/v1/stock/${sku}/receipts`, { quantity: 1, location: `shelf-${n}` });
      await shop.customer('ann', '10000');
      const { orderId } = (await shop.buy(one(1))).body;
      await shop.fulfil(orderId);
      expect(refusalOf(await shop.refund(orderId, { lines: [{ sku, quantity: 1, restock: true }] }))).toEqual([409, 'too-many-locations']);
      await untilPasses(async () => expect(await shop.balances('ann')).toEqual({ balance: '9000', available: '9000' }));
      expect((await shop.refund(orderId, { lines: [{ sku, quantity: 1 }] })).body.status).toBe('paid');
    });

    test('and all else that an order takes can be looked up by its name, however long its id is', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '10000');
      const orderId = `${sku}-`.padEnd(128, 'x');
      expect((await shop.buy(one(1), { orderId })).status).toBe(201);
      expect((await shop.fulfil(orderId)).status).toBe(200);
      const { refundId } = (await shop.refund(orderId)).body;
      const transactions = `/v1/ledgers/${shop.name}/transactions`;
      await untilPasses(async () => {
        expect((await http.get(`${transactions}/refund:${orderId}:${refundId}`)).body).toMatchObject({ status: 'posted', reference: orderId });
        expect((await http.get(`${transactions}/order:${orderId}`)).body).toMatchObject({ status: 'posted' });
      });
      expect(refusalOf(await http.post(`/v1/stock/${sku}/reservations/order:${orderId}/release`))).toEqual([409, 'reservation-committed']);
    });

    test('of what was not captured is refused', async () => {
      await shop.sells(sku, 10);
      await shop.customer('ann', '10000');
      const { orderId } = (await shop.buy(one())).body;
      expect(refusalOf(await shop.refund(orderId))).toEqual([409, 'not-refundable']);
      await shop.fulfil(orderId);
      expect(refusalOf(await shop.refund(orderId, { lines: [{ sku, quantity: 2 }] }))).toEqual([409, 'refund-exceeds-quantity']);
    });
  });

  describe('Many at once', () => {
    test('a thousand buyers of a hundred units buy a hundred', async () => {
      await shop.sells(sku, 100);
      await shop.customer('ann', '1000000000');
      const answers = await Promise.all(Array.from({ length: 1_000 }, () => shop.buy(one())));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(100);
      expect(new Set(answers.filter(({ status }) => status !== 201).map((answer) => refusalOf(answer).join(' ')))).toEqual(new Set(['409 insufficient-stock']));
      await untilPasses(async () => {
        expect(await shop.stock(sku)).toEqual({ onHand: 100, reserved: 100, available: 0 });
        expect(await shop.balances('ann')).toEqual({ balance: '1000000000', available: '999900000' });
      });
    });

    test('baskets that overlap never sell more than there is, and never hold what they do not buy', async () => {
      const skus = ['a', 'b', 'c', 'd'].map((letter) => `${sku}-${letter}`);
      for (const own of skus) await shop.sells(own, 25);
      await shop.customer('ann', '1000000000');
      const baskets = Array.from({ length: 200 }, (_, index) =>
        skus.filter((_own, bit) => (((index % 15) + 1) >> bit) & 1).map((own) => ({ sku: own, quantity: 1 + (index % 2) })),
      );
      const answers = await Promise.all(baskets.map((lines) => shop.buy(lines)));
      const sold = new Map(skus.map((own) => [own, 0]));
      for (const { status, body } of answers) {
        if (status !== 201) continue;
        for (const line of body.lines) sold.set(line.sku, sold.get(line.sku)! + line.quantity);
      }
      await untilPasses(async () => {
        for (const own of skus) {
          const reserved = sold.get(own)!;
          expect(reserved).toBeLessThanOrEqual(25);
          expect(await shop.stock(own)).toEqual({ onHand: 25, reserved, available: 25 - reserved });
        }
      });
    });
  });

  describe('Lists', () => {
    test('are filtered and paged, newest first', async () => {
      await shop.sells(sku, 100);
      await shop.customer('ann');
      await shop.customer('bob', '0');
      const placed: string[] = [];
      for (let index = 0; index < 7; index++) placed.unshift((await shop.buy(one(), { customerId: `${sku}-ann` })).body.orderId);
      const poor = await shop.buy(one(), { account: 'bob', customerId: `${sku}-bob`, orderId: `${sku}:poor` });
      expect(poor.status).toBe(409);
      await settles(`${sku}:poor`, 'rejected');
      const idsOf = ({ body }: Answer) => body.items.map(({ orderId }: { orderId: string }) => orderId);
      const first = await shop.orders(`customerId=${sku}-ann&limit=3`);
      const second = await shop.orders(`customerId=${sku}-ann&limit=3&cursor=${first.body.nextCursor}`);
      const third = await shop.orders(`customerId=${sku}-ann&limit=3&cursor=${second.body.nextCursor}`);
      expect([...idsOf(first), ...idsOf(second), ...idsOf(third), third.body.nextCursor]).toEqual([...placed, null]);
      expect(idsOf(await shop.orders(`customerId=${sku}-bob&status=rejected`))).toEqual([`${sku}:poor`]);
      expect(idsOf(await shop.orders(`customerId=${sku}-bob&status=confirmed`))).toEqual([]);
      const { placedAt } = (await shop.order(placed[3]!)).body;
      expect(idsOf(await shop.orders(`customerId=${sku}-ann&placedTo=${placedAt}`))).toEqual(expect.arrayContaining(placed.slice(3)));
      expect(idsOf(await shop.orders(`customerId=${sku}-ann&placedFrom=${placedAt}`))).toEqual(expect.arrayContaining(placed.slice(0, 4)));
      expect(refusalOf(await shop.orders(`status=rejected&cursor=${first.body.nextCursor}`))).toEqual([400, 'bad-cursor']);
      expect(refusalOf(await shop.order('no-such-order'))).toEqual([404, 'order-not-found']);
    });
  });

  test('leave a database of which every invariant is true', async () => {
    const { code, output } = await tool(database, 'audit').ended;
    expect(output).toMatch(/5 every order has the stock/);
    expect([code, output]).toEqual([0, expect.stringMatching(/All invariants hold/)]);
  });

  test('are found out by the audit when their stock, their payment or their refunds are not what they say', async () => {
    await shop.sells(sku, 10);
    await shop.customer('ann');
    const ids = (await Promise.all(Array.from({ length: 5 }, () => shop.buy(one())))).map(({ body }) => body.orderId as string);
    const [unstocked, unpaid, kept, overpaid, reversed] = ids;
    await shop.cancel(kept!);
    for (const orderId of [overpaid!, reversed!]) {
      await shop.fulfil(orderId);
      await shop.refund(orderId, { amount: '400' });
    }
    expect((await http.post(`/v1/ledgers/${shop.name}/transactions/order:${reversed}/reverse`)).status).toBe(200);
    await settles(reversed!, 'partially-refunded');
    const damage = [
      [
        `UPDATE events SET type = 'inventory.reservation-released.v1'
         WHERE type = 'inventory.stock-reserved.v1' AND data->>'reservationId' = $1`,
        `order:${unstocked}`,
      ],
      [
        `UPDATE events SET type = 'ledger.transaction-released.v1', data = data || '{"reason":"voided"}'
         WHERE type = 'ledger.transaction-authorised.v1' AND data->>'transactionId' = $1`,
        `order:${unpaid}`,
      ],
      [
        `UPDATE events SET type = 'inventory.stock-reserved.v1'
         WHERE type = 'inventory.reservation-released.v1' AND data->>'reservationId' = $1`,
        `order:${kept}`,
      ],
      [`UPDATE ordering_orders SET state = jsonb_set(state::jsonb, '{refunds,0,amount}', '"1400"')::json WHERE order_id = $1`, overpaid!],
    ];
    for (const [sql, id] of damage) expect((await database.pool.query(sql!, [id])).rowCount).toBe(1);
    const { code, output } = await tool(database, 'audit').ended;
    expect(code).toBe(1);
    expect(output).toContain(`order ${unstocked} (confirmed): 1 of ${sku}, reserved for it 1 (released)`);
    expect(output).toContain(`order ${unpaid} (confirmed): 1000 to pay, 1000 (voided) paid`);
    expect(output).toContain(`order ${kept} (cancelled): 1 of ${sku}, reserved for it 1 (reserved)`);
    expect(output).toContain(`order ${overpaid}: 1400 refunded of 1000`);
    expect(output).toContain(`order ${reversed}: 400 refunded, and 1000 reversed, of 1000`);
  });

  // Last: to forget a key before its time is to damage the database.
  test('A retry with a key that is forgotten by now is the same order, also for a process that does not hold it', async () => {
    await shop.sells(sku, 10);
    await shop.customer('ann');
    const headers = { 'idempotency-key': `${sku}-key` };
    const first = await shop.buy(one(2), { headers });
    const { rowCount } = await database.pool.query(`DELETE FROM commands WHERE type = 'ordering.place-order' AND result->>'orderId' = $1`, [first.body.orderId]);
    expect([first.status, rowCount]).toEqual([201, 1]);
    await server.kill();
    await server.start();
    const again = await shop.buy(one(2), { headers });
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect((await http.get(`/v1/stock/${sku}`, after(again))).body).toMatchObject({ onHand: 10, reserved: 2 });
  });
});
