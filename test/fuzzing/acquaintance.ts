import fc from 'fast-check';
import { type Answer, type HttpClient, StockClient } from '../support/client.js';
import { Shop } from '../support/shop.js';
import type { Words } from './values.js';

/** Ids that belong together, by the names of path parameters: a reservation and the SKU it is of. */
export type Thing = Readonly<Record<string, string>>;

const remembered = 60;

/** What the answers so far have named: whoever asks for that again gets further than with ids made up. */
export class Acquaintance {
  private readonly byName = new Map<string, Thing[]>();
  readonly tokens: string[] = [];
  readonly etags: string[] = [];
  private readonly cursors = new Map<string, string[]>();

  /** Takes up what a route's answer to a request names, which had these parameters in its path. */
  learn(route: string, parameters: Thing, { body, headers }: Answer): void {
    for (const thing of thingsIn(body, parameters)) this.meet(thing);
    const etag = headers.etag;
    const token = headers['consistency-token'];
    if (etag !== undefined) remember(this.etags, etag);
    if (typeof token === 'string') remember(this.tokens, token);
    const cursor = (body as { nextCursor?: unknown } | null)?.nextCursor;
    if (typeof cursor === 'string') {
      const all = this.cursors.get(route) ?? [];
      this.cursors.set(route, all);
      remember(all, cursor);
    }
  }

  cursorsOf(route: string): readonly string[] {
    return this.cursors.get(route) ?? [];
  }

  meet(thing: Thing): void {
    for (const name of Object.keys(thing)) {
      const all = this.byName.get(name) ?? [];
      this.byName.set(name, all);
      remember(all, thing);
    }
  }

  /** One that has all these names; which of them is the caller's draw. */
  find(names: readonly string[], draw: number): Thing | undefined {
    const last = names.at(-1);
    const all = (last === undefined ? [] : (this.byName.get(last) ?? [])).filter((thing) => names.every((name) => name in thing));
    return all[draw % all.length];
  }
}

export function pick<T>(all: readonly T[], draw: number): T | undefined {
  return all[draw % all.length];
}

function remember<T>(all: T[], one: T): void {
  all.push(one);
  if (all.length > remembered) all.shift();
}

/** Of what an order has reserved and authorised. To use that behind its back is an operator's affair, and no request's. */
const ofAnOrder = /^order:/;

function thingsIn(body: unknown, known: Thing): Thing[] {
  if (typeof body !== 'object' || body === null) return [];
  const own = { ...known };
  for (const [name, value] of Object.entries(body)) {
    if (/^(ledger|sku|\w+Id)$/.test(name) && typeof value === 'string' && !ofAnOrder.test(value)) own[name] = value;
  }
  const inner = ['items', 'results', 'variants'].flatMap((name) => (body as Record<string, unknown>)[name] ?? []);
  return inner.length > 0 ? inner.flatMap((one) => thingsIn(one, own)) : [own];
}

const skus = 5;
const accounts = 4;
/** Nobody pays to or from them, so that they can be closed. */
const spares = 2;
const ordersOfEach = 3;

/** A shop that has just opened: everything can be bought, and paid for. Of those before, much is closed or sold by now. */
export async function openShop(http: HttpClient, name: string): Promise<{ words: Words; things: Thing[] }> {
  const ledger = name;
  const sku = (number: number) => `${name}-sku-${number}`;
  const account = (number: number) => `customer-${number}`;
  const spare = (number: number) => `spare-${number}`;
  const numbers = (count: number) => Array.from({ length: count }, (_none, number) => number);
  const shop = await new Shop(http, ledger).open();
  for (const number of numbers(skus)) await shop.sells(sku(number), 5_000, '100');
  for (const number of numbers(accounts)) await shop.customer(account(number), '10000000');
  for (const number of numbers(spares)) await shop.customer(spare(number), '0');
  await new StockClient(http, sku(0)).receive(1_000, { location: 'cellar' });
  const orders = ['waiting', 'sold'].flatMap((state) => numbers(ordersOfEach).map((number) => `${name}-${state}-${number}`));
  for (const orderId of orders) {
    await shop.buy([{ sku: sku(0), quantity: 2 }], { orderId, account: account(0) });
    if (orderId.includes('sold')) await shop.fulfil(orderId);
  }

  const ids = (...known: string[]) => fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: fc.nat({ max: 100_000 }).map((n) => `${name}-new-${n}`) });
  const customers = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...numbers(accounts).map(account)) }, { weight: 1, arbitrary: ids('world', 'merchant') });
  const amounts = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 300 }).map(String) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }) });
  const json = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.constant(null)), { maxKeys: 3 });
  const words: Words = {
    ledger: fc.constant(ledger),
    account: customers,
    source: fc.oneof({ weight: 2, arbitrary: fc.constant('world') }, { weight: 3, arbitrary: customers }),
    destination: customers,
    customerId: fc.constantFrom(...numbers(accounts).map(account)),
    accountId: ids(account(0), account(1)),
    productId: ids(`p-${sku(0)}`),
    sku: ids(...numbers(skus).map(sku)),
    location: fc.constantFrom('main', 'cellar', 'attic'),
    currency: fc.constantFrom('EUR', 'EUR', 'EUR', 'USD'),
    amount: amounts,
    minPrice: amounts,
    maxPrice: amounts,
    quantity: fc.integer({ min: 1, max: 9 }),
    delta: fc.integer({ min: -9, max: 30 }),
    expiresInSeconds: fc.constantFrom(1, 600, 3_600, 80_000),
    name: fc.constantFrom('shirt', 'tea', 'socks', 'Größe 7 – für Öl'),
    q: fc.constantFrom('shirt', 'tea or socks', '-shirt', '"shirt tea"', sku(0)),
    category: fc.constantFrom('wool', 'cotton'),
    pending: fc.constantFrom(true, true, false),
    metadata: json,
    attributes: json,
    limit: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 500 })),
    prefix: fc.constantFrom('c', 'customer-', 'w'),
  };
  const things = [
    ...numbers(skus).map((number) => ({ sku: sku(number), productId: `p-${sku(number)}` })),
    ...numbers(accounts).map((number) => ({ ledger, accountId: account(number) })),
    ...numbers(spares).map((number) => ({ ledger, accountId: spare(number) })),
    ...orders.map((orderId) => ({ orderId })),
  ];
  return { words, things };
}
