import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Answer, HttpClient } from '../support/client.js';
import { createTestDatabase, createTestPool, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { Shop } from '../support/shop.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { tool } from '../support/tool.js';
import { scale } from './load.js';

const kills = Math.round(8 * scale);
const unitsOfEach = 40;

jest.setTimeout(240_000 * Math.max(1, scale));

type Line = { readonly sku: string; readonly quantity: number };
interface Ordered {
  readonly orderId: string;
  readonly status: string;
  readonly lines: readonly Line[];
  readonly refunds: readonly { readonly status: string; readonly amount: string; readonly lines: readonly (Line & { restock: boolean })[] }[];
  readonly total: string;
}

/** Asks until there is an answer that says what became of it. */
async function ask(send: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await send().catch(() => undefined);
    if (answer && answer.status < 500) return answer;
    await sleep(20 + randomInt(60));
  }
}

describe('Checkouts', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let proxy: TcpProxy;
  let server: RialtoServer;
  let http: HttpClient;
  let shop: Shop;
  let shops = 0;
  let skus: string[];
  let placed = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createTestPool(database.url);
    proxy = await TcpProxy.to(database.url);
    // What a process that died had claimed is found after a second, for the test's sake: it dies forty times.
    server = await startRialto(proxy.urlOf(database.url), { COMMAND_CLAIM_MS: '1000' });
    http = new HttpClient(server);
  });

  beforeEach(async () => {
    shop = await new Shop(http, `shop-${++shops}`).open();
    skus = ['a', 'b', 'c'].map((letter) => `sku-${shops}-${letter}`);
    for (const sku of skus) await shop.sells(sku, unitsOfEach, '100');
    await shop.customer('rich', '100000000');
    await shop.customer('poor', '500');
    placed = 0;
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await proxy?.close();
    await pool?.end();
    await database?.drop();
  });

  const restart = async () => {
    await server.kill();
    proxy.allow();
    await server.start();
  };

  /**
   * One customer: orders, perhaps twice at once, and perhaps changes its mind, has it sent, or sends some of it back. May
   * have had something put aside before, which it forgets: that expires.
   */
  const shopping = async (): Promise<void> => {
    const key = `${shop.name}-${++placed}`;
    if (randomInt(10) === 0) {
      await ask(() => shop.reserve(skus[randomInt(skus.length)]!, 1 + randomInt(3), 1 + randomInt(2), { 'idempotency-key': `${key}-aside` }));
    }
    const lines = skus.filter(() => randomInt(2) === 1).map((sku) => ({ sku, quantity: 1 + randomInt(2) }));
    if (lines.length === 0) lines.push({ sku: skus[0]!, quantity: 1 });
    const account = randomInt(8) === 0 ? 'poor' : 'rich';
    // Who waits has the order checked out in the commit that places it; for who does not, a saga has it done.
    const waits = randomInt(3) > 0;
    const options = { account, autoFulfil: randomInt(6) === 0, headers: { 'idempotency-key': key, ...(waits && { prefer: 'wait=5' }) } };
    const buy = () => ask(() => shop.place(lines, options));
    const answers = await Promise.all(randomInt(5) === 0 ? [buy(), buy()] : [buy()]);
    const orderIds = new Set(answers.filter(({ status }) => status < 300).map(({ body }) => body.orderId as string));
    expect(orderIds.size).toBeLessThanOrEqual(1);
    const [orderId] = orderIds;
    if (!orderId) return;
    const next = randomInt(5);
    if (next === 0) await ask(() => shop.cancel(orderId, undefined, { 'idempotency-key': `${key}-cancel` }));
    if (next === 1 || next === 2) await ask(() => shop.fulfil(orderId, { 'idempotency-key': `${key}-fulfil` }));
    if (next !== 2) return;
    const { sku } = lines[0]!;
    const back = { lines: [{ sku, quantity: 1, restock: true }] };
    await ask(() => shop.refund(orderId, back, { 'idempotency-key': `${key}-refund` }));
  };

  /** When nothing is under way any more: every order is final, and stock and money are where they say. */
  const expectAllIsRight = async (): Promise<void> => {
    // Both at one moment: between two looks a saga that was behind may ask for a command, and have caught up.
    const underWay = `SELECT
      (SELECT count(*)::int FROM commands WHERE status IN ('accepted', 'scheduled', 'failed')) AS waiting,
      (SELECT count(*)::int FROM checkpoints c JOIN partitions p USING (partition) WHERE c.position < p.head) AS behind`;
    await untilPasses(async () => expect((await pool.query(underWay)).rows).toEqual([{ waiting: 0, behind: 0 }]), 60_000);
    const { rows } = await pool.query<{ state: Ordered }>(`SELECT state FROM ordering_orders WHERE state->'payment'->>'ledger' = $1`, [shop.name]);
    const orders = rows.map(({ state }) => state);
    expect(orders).toHaveLength(placed);
    let money = 0;
    let setAside = 0;
    const [reserved, shipped] = [new Map<string, number>(), new Map<string, number>()];
    const add = (map: Map<string, number>, lines: readonly Line[], sign = 1) => {
      for (const { sku, quantity } of lines) map.set(sku, (map.get(sku) ?? 0) + sign * quantity);
    };
    for (const { status, lines, total, refunds } of orders) {
      expect(['confirmed', 'fulfilled', 'rejected', 'cancelled', 'partially-refunded', 'refunded']).toContain(status);
      if (status === 'rejected' || status === 'cancelled') continue;
      if (status === 'confirmed') {
        add(reserved, lines);
        setAside += Number(total);
        continue;
      }
      add(shipped, lines);
      money += Number(total);
      for (const refund of refunds) {
        expect(refund.status).toBe('paid');
        money -= Number(refund.amount);
        add(shipped, refund.lines.filter(({ restock }) => restock), -1);
      }
    }
    for (const sku of skus) {
      const onHand = unitsOfEach - (shipped.get(sku) ?? 0);
      const held = reserved.get(sku) ?? 0;
      expect([sku, await shop.stock(sku)]).toEqual([sku, { onHand, reserved: held, available: onHand - held }]);
      expect(onHand).toBeGreaterThanOrEqual(held);
    }
    expect((await shop.balances('merchant')).balance).toBe(String(money));
    const [rich, poor] = [await shop.balances('rich'), await shop.balances('poor')];
    expect(Number(rich.balance) + Number(poor.balance)).toBe(100_000_500 - money);
    expect(Number(rich.available) + Number(poor.available)).toBe(100_000_500 - money - setAside);
  };

  test(`a thousand of them, with cancels, expiries, shipments and refunds, and the process killed ${kills} times`, async () => {
    let left = 1_000;
    const customers = Array.from({ length: 60 }, async () => {
      while (left-- > 0) await shopping();
    });
    for (let kill = 0; kill < kills; kill++) {
      await sleep(200 + randomInt(800));
      await restart();
    }
    await Promise.all(customers);
    expect(placed).toBe(1_000);
    await expectAllIsRight();
  });

  // Before and after each commit of a checkout, and of what may follow: the process dies at that moment.
  const moments: [string, string, string][] = [
    ['the order is placed', 'rialto writer', 'ordering.order-placed.v1'],
    ['it is placed and checked out at once', 'rialto writer', 'isCheckedOut'],
    ['the saga has asked for what follows', 'rialto sagas', 'ordering.check-out'],
    ['the saga moves its checkpoint', 'rialto sagas', 'COMMIT'],
    ['the stock is reserved', 'rialto writer', 'inventory.stock-reserved.v1'],
    ['the payment is authorised', 'rialto writer', 'ledger.transaction-authorised.v1'],
    ['the order is confirmed', 'rialto writer', 'ordering.order-confirmed.v1'],
    ['the order is rejected', 'rialto writer', 'ordering.order-rejected.v1'],
    ['the order is cancelled', 'rialto writer', 'ordering.order-cancelled.v1'],
    ['the stock is released', 'rialto writer', 'inventory.reservation-released.v1'],
    ['the payment is voided', 'rialto writer', 'ledger.transaction-released.v1'],
    ['the fulfilment starts', 'rialto writer', 'ordering.fulfilment-started.v1'],
    ['the payment is captured', 'rialto writer', 'ledger.transaction-captured.v1'],
    ['the stock is committed', 'rialto writer', 'inventory.reservation-committed.v1'],
    ['the order is fulfilled', 'rialto writer', 'ordering.order-fulfilled.v1'],
    ['a refund is asked for', 'rialto writer', 'ordering.refund-requested.v1'],
    ['a refund is paid', 'rialto writer', 'ordering.refund-paid.v1'],
    ['the views follow', 'rialto projections', 'COMMIT'],
  ];
  test.each(moments)('survive that the process dies just before and just after %s', async (_what, connection, sent) => {
    for (const lost of ['message', 'answer'] as const) {
      const cut = proxy.cutOnce({ connection, sent, lost });
      const customers = Promise.all(Array.from({ length: 8 }, async () => {
        for (let order = 0; order < 4; order++) await shopping();
      }));
      // Chance may have it that nobody cancels, or that nobody sends anything back: then somebody else does.
      const more = async (): Promise<void> => {
        for (;;) {
          if (await Promise.race([cut.then(() => true), customers.then(() => false)])) return;
          await Promise.race([cut, shopping()]);
        }
      };
      await more();
      proxy.refuse();
      await restart();
      await customers;
    }
    await expectAllIsRight();
  });

  test('leave a database of which every invariant is true', async () => {
    const { code, output } = await tool(database, 'audit').ended;
    expect([code, output]).toEqual([0, output]);
  });
});
