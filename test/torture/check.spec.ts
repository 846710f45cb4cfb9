import fc from 'fast-check';
import type { LoggedEvent } from '../chaos/log-contents.js';
import type { Write } from './actions.js';
import { check } from './check.js';
import type { FinalState } from './final-state.js';
import type { Entry, History } from './history.js';
import { Pretend, pretendRun } from './pretend.js';
import type { CheckerId } from './violation.js';

const account = (accountId: string, overdraft: 'none' | 'unlimited' = 'none'): Write => ({ kind: 'open-account', ledger: 'north', accountId, currency: 'EUR', overdraft });
const transfer = (name: string, source: string, destination: string, amount: string): Write => ({
  kind: 'transfer', ledger: 'north', source, destination, amount, currency: 'EUR', reference: `r-${name}`, transactionId: `t-${name}`,
});
const receive = (sku: string, quantity: number, reference: string): Write => ({ kind: 'receive-stock', sku, quantity, reference });
const reserve = (sku: string, reservationId: string, quantity: number): Write => ({ kind: 'reserve', sku, reservationId, quantity });
const order = (orderId: string, quantity: number): Write => ({
  kind: 'place-order', orderId, customerId: 'cat', ledger: 'north', account: 'cat', lines: [{ sku: 'mug', quantity }],
});
const readAnn = { kind: 'read-account', ledger: 'north', accountId: 'ann' } as const;
const readPen = { kind: 'read-stock', sku: 'pen' } as const;
const product = (productId: string): Write => ({ kind: 'create-product', productId, name: `The ${productId}`, variants: [{ sku: productId, amount: '100', currency: 'EUR' }] });
const newPrice = (productId: string, amount: string): Write => ({ kind: 'change-price', productId, sku: productId, amount, currency: 'EUR' });

/** Some of everything, all of it right. */
function run() {
  const system = new Pretend();
  system.do(account('world', 'unlimited'));
  for (const id of ['ann', 'bob', 'cat', 'merchant']) system.do(account(id));
  const paid = system.do(transfer('1', 'world', 'ann', '100'));
  system.do(transfer('2', 'world', 'cat', '100'));
  const first = system.do(readAnn, { tokenSent: paid.tokenReceived });
  const spent = system.do(transfer('3', 'ann', 'bob', '60'));
  const lacking = system.do(transfer('4', 'ann', 'bob', '60'));
  const second = system.do(readAnn, { tokenSent: first.tokenReceived });
  const received = system.do(receive('pen', 10, 'd1'));
  system.do(receive('mug', 10, 'd2'));
  const held = system.do(reserve('pen', 'v1', 6));
  const soldOut = system.do(reserve('pen', 'v2', 5));
  const released = system.do({ kind: 'release', sku: 'pen', reservationId: 'v1' });
  system.do(reserve('pen', 'v3', 4));
  system.do({ kind: 'commit', sku: 'pen', reservationId: 'v3' });
  const pens = system.do(readPen);
  system.do(order('o1', 3));
  system.do(order('o2', 2));
  system.do(order('o3', 20));
  system.do({ kind: 'fulfil-order', orderId: 'o1' });
  system.do({ kind: 'cancel-order', orderId: 'o2' });
  system.do(order('o4', 1));
  const seen = system.do({ kind: 'read-order', orderId: 'o1' });
  const sums = system.do({ kind: 'read-trial-balance', ledger: 'north' });
  const statement = system.do({ kind: 'list-entries', ledger: 'north', accountId: 'ann' }, { tokenSent: spent.tokenReceived });
  const movements = system.do({ kind: 'list-movements', sku: 'pen', query: 'limit=4' }, { tokenSent: pens.tokenReceived });
  const orders = system.do({ kind: 'list-orders', query: 'limit=3&customerId=cat' }, { tokenSent: seen.tokenReceived });
  system.do(product('pen'));
  system.do(product('ink'));
  const dearer = system.do(newPrice('pen', '120'));
  const priced = system.do({ kind: 'read-product', productId: 'pen' }, { tokenSent: dearer.tokenReceived });
  const sku = system.do({ kind: 'read-sku', sku: 'pen' }, { tokenSent: priced.tokenReceived });
  const catalogue = system.do({ kind: 'list-products', query: 'limit=10&sort=name' }, { tokenSent: dearer.tokenReceived });
  const lost = system.do(transfer('5', 'bob', 'ann', '1'), { isLost: true, key: 'k5' });
  const again: Entry = { ...lost, number: lost.number + 1, invokedAtMs: lost.endedAtMs! + 1, endedAtMs: lost.endedAtMs! + 5, fate: 'acknowledged', status: 201, body: { transactionId: 't-5' }, isReplayed: true };
  system.entries.push(again);
  const { history, state } = system;
  return { history, state, paid, first, spent, lacking, second, received, held, soldOut, released, pens, seen, sums, statement, movements, orders, dearer, priced, sku, catalogue, lost, again };
}

type Run = ReturnType<typeof run>;

/** Changed copies of a run; what is left of it stays right. */
const withEntry = (right: Run, entry: Entry, what: Partial<Entry>): Run => ({
  ...right,
  history: { ...right.history, entries: right.history.entries.map((one) => (one.number === entry.number ? { ...one, ...what } : one)) },
});
const withoutEntry = (right: Run, ...gone: Entry[]): Run => ({
  ...right,
  history: { ...right.history, entries: right.history.entries.filter(({ number }) => !gone.some((one) => one.number === number)) },
});
const withState = (right: Run, what: Partial<FinalState>): Run => ({ ...right, state: { ...right.state, ...what } });
const withEvents = (right: Run, change: (events: readonly LoggedEvent[]) => LoggedEvent[]): Run =>
  withState(right, { log: { ...right.state.log, events: change(right.state.log.events) } });
const withEvent = (right: Run, isIt: (event: LoggedEvent) => boolean, change: (event: LoggedEvent) => Partial<LoggedEvent>): Run => {
  expect(right.state.log.events.filter(isIt)).not.toEqual([]);
  return withEvents(right, (events) => events.map((event) => (isIt(event) ? { ...event, ...change(event) } : event)));
};
const withData = (right: Run, isIt: (event: LoggedEvent) => boolean, what: object): Run =>
  withEvent(right, isIt, ({ data }) => ({ data: { ...data, ...what } }));
/** An event of which nothing is left: the others stay where they are. */
const withoutEvent = (right: Run, isIt: (event: LoggedEvent) => boolean): Run =>
  withEvent(right, isIt, () => ({ type: 'test.nothing.v1', data: {} }));

const of = (type: string, id?: string) => (event: LoggedEvent) =>
  event.type === `${type}.v1` && (id === undefined || Object.values(event.data).includes(id));

function found({ history, state }: { history: History; state: FinalState }, doneAfterMs: number | undefined = 100) {
  return check(history, state, doneAfterMs).violations;
}

function by(checker: CheckerId, wrong: Run, doneAfterMs?: number): string[] {
  return found(wrong, doneAfterMs).filter((one) => one.checker === checker).map(({ sentence }) => sentence);
}

describe('A run where all is right', () => {
  test('has nothing to be said against it', () => {
    const { history, state } = run();
    expect(found({ history, state })).toEqual([]);
    expect(check(history, state, 100).objects).toMatchObject({ undecided: [], leftOut: ['account/north/cat', 'account/north/merchant', 'sku/mug'] });
  });
});

describe('Runs where all is right', () => {
  test('have nothing to be said against them, whatever was concurrent and whatever was lost', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const system = pretendRun(seed, 150);
        const { violations, objects } = check(system.history, system.state, 100);
        expect(violations.filter(({ sentence }) => !sentence.includes('has no verdict'))).toEqual([]);
        expect(objects.undecided).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('may be long', () => {
    const system = pretendRun(7, 5_000);
    const { objects } = check(system.history, system.state, 100);
    expect(objects).toMatchObject({ undecided: [] });
    expect(objects.calls).toBeGreaterThan(4_000);
  });
});

describe('Money (C1)', () => {
  test('that is not what the postings add up to', () => {
    const posting = { source: 'ann', destination: 'bob', amount: '60', sourceBalance: '41', destinationBalance: '60' };
    expect(by('C1', withData(run(), of('ledger.transaction-posted', 't-3'), { postings: [posting] }))).not.toEqual([]);
  });

  test('that a trial balance has too much of', () => {
    const right = run();
    const body = { currencies: { EUR: { debits: '200', credits: '201' } } };
    expect(by('C1', withEntry(right, right.sums, { body }))).toEqual([`#${right.sums.number} says 200 EUR of debits and 201 of credits`]);
  });

  test('that is missing in a list of all accounts', () => {
    const right = run();
    const items = [{ accountId: 'world', currency: 'EUR', balance: '-5', version: 1 }, { accountId: 'ann', currency: 'EUR', balance: '4', version: 1 }];
    const wrong = withEntry(right, right.sums, { action: { kind: 'list-accounts', ledger: 'north' }, body: { items, nextCursor: null } });
    expect(by('C1', wrong)).toEqual([`#${right.sums.number} lists balances that add up to -1 EUR`]);
  });
});

describe('Stock (C2)', () => {
  test('that was reserved beyond what was there', () => {
    const wrong = withData(run(), of('inventory.stock-reserved', 'v1'), { allocations: [{ location: 'main', quantity: 11, onHand: 10, reserved: 11 }] });
    expect(by('C2', wrong)).toContain('pen at main has 10 on hand, and 11 are reserved');
  });

  test('that was shipped without being there', () => {
    const wrong = withData(run(), of('inventory.reservation-committed', 'v3'), { allocations: [{ location: 'main', quantity: 12, onHand: -2, reserved: 0 }] });
    expect(by('C2', wrong)).toContain('pen at main has -2 on hand');
  });

  test('that an event counts wrongly', () => {
    expect(by('C2', withData(run(), of('inventory.stock-received', 'd1'), { onHand: 11 }))).toEqual(['pen at main is said to have 11 on hand, and has 10']);
  });
});

describe('Effects', () => {
  test('of what was asked for once that are there twice (C3)', () => {
    const wrong = withEvent(run(), of('inventory.stock-received', 'd2'), ({ data }) => ({ data: { ...data, sku: 'pen', reference: 'd1' } }));
    expect(by('C3', wrong)).toContain('received sku/pen d1 is in the log 2 times');
  });

  test('of what was refused (C3)', () => {
    const right = run();
    const wrong = withEntry(right, right.spent, { fate: 'refused', status: 409, body: { code: 'insufficient-funds' } });
    expect(by('C3', wrong)).toContain('made transaction/north/t-3 was refused, or never tried, and is in the log');
  });

  test('of what was turned away whenever it was asked for (C3)', () => {
    const right = run();
    const wrong = withEntry(right, right.held, { fate: 'turned away', status: 503, body: { code: 'overloaded' } });
    expect(by('C3', wrong)).toContain('reserved reservation/pen/v1 was refused, or never tried, and is in the log');
  });

  test('that nobody was asked for twice and are there twice (C3)', () => {
    const wrong = withEvent(run(), of('ordering.order-cancelled', 'o2'), () => ({ type: 'ordering.order-confirmed.v1' }));
    expect(by('C3', wrong)).toContain('confirmed order/o2 is in the log 2 times');
  });

  test('of which a repeated request hears otherwise than the first (C3)', () => {
    const right = run();
    const wrong = withEntry(right, right.lost, { fate: 'acknowledged', status: 201, body: { transactionId: 't-6' } });
    expect(by('C3', wrong)).toHaveLength(1);
  });

  test('of an answer that nobody should get (C3)', () => {
    const right = run();
    const wrong = withEntry(right, right.pens, { fate: 'unexpected', status: 500, body: {} });
    expect(by('C3', wrong)).toEqual(['read-stock a read was answered with 500 {}']);
  });

  test.each<[string, string, string]>([
    ['ledger.transaction-posted', 't-3', 'made transaction/north/t-3'],
    ['inventory.stock-received', 'd1', 'received sku/pen d1'],
    ['inventory.stock-reserved', 'v1', 'reserved reservation/pen/v1'],
    ['inventory.reservation-released', 'v1', 'released reservation/pen/v1'],
    ['ordering.order-placed', 'o1', 'placed order/o1'],
    ['ordering.order-cancelled', 'o2', 'cancelled order/o2'],
    ['ordering.order-fulfilled', 'o1', 'fulfilled order/o1'],
  ])('that were acknowledged and are not there: %s %s (C4)', (type, id, effect) => {
    const right = run();
    const sentences = by('C4', { ...right, state: { ...right.state, log: withoutEvent(right, of(type, id)).state.log } });
    expect(sentences).toContain(`${effect} was acknowledged and is not in the log`);
  });

  test('may be there or not when nobody knows', () => {
    const right = run();
    const unknown = withoutEntry(right, right.again);
    expect(by('C3', unknown)).toEqual([]);
    expect(by('C4', withoutEvent(unknown, of('ledger.transaction-posted', 't-5')))).toEqual([]);
  });
});

describe('The log', () => {
  test('with a version left out (C5)', () => {
    expect(by('C5', withEvent(run(), of('inventory.stock-received', 'd1'), () => ({ version: 2 })))).not.toEqual([]);
  });

  test('with a position left out (C6)', () => {
    expect(by('C6', withEvent(run(), of('inventory.stock-received', 'd1'), () => ({ position: 99 })))).not.toEqual([]);
  });

  test('where time runs backwards (C6)', () => {
    expect(by('C6', withEvent(run(), of('ordering.order-cancelled'), () => ({ recordedAt: '2026-01-01T00:00:00Z' })))).not.toEqual([]);
  });

  test('with something in front of what had been acknowledged before it (L2)', () => {
    const right = run();
    const wrong = withEntry(right, right.released, { invokedAtMs: right.pens.endedAtMs! + 1, endedAtMs: right.pens.endedAtMs! + 2 });
    expect(by('L2', wrong)).toHaveLength(1);
  });
});

describe('A refusal (L3)', () => {
  test('of a transfer that the account could pay', () => {
    const right = run();
    const wrong = withEntry(right, right.lacking, { action: { ...(right.lacking.action as object), amount: '40' } as Write });
    expect(by('L3', wrong)).toEqual([`#${right.lacking.number} was refused for lack of 40 of account/north/ann, which was there all the time`]);
  });

  test('of an order whose stock was there', () => {
    const right = run();
    const refused = right.history.entries.find(({ action, fate }) => action.kind === 'place-order' && fate === 'refused')!;
    const less = { ...(refused.action as object), lines: [{ sku: 'mug', quantity: 5 }] } as unknown as Write;
    const wrong = withEntry(right, refused, { action: less });
    expect(by('L3', wrong)).toEqual([`#${refused.number} was refused for lack of 5 of sku/mug, which was there all the time`]);
  });

  test('is right when there was too little for a moment', () => {
    const right = run();
    const wrong = withEntry(right, right.soldOut, { invokedAtMs: right.received.endedAtMs, endedAtMs: right.pens.endedAtMs });
    expect(by('L3', wrong)).toEqual([]);
  });
});

describe('Read tables (C7)', () => {
  const right = run().state;
  test.each<[string, Partial<FinalState>]>([
    ['an account', { ledger: { ...right.ledger, accounts: right.ledger.accounts.slice(1) } }],
    ['a SKU', { stock: right.stock.map((row) => ({ ...row, onHand: row.onHand + 1 })) }],
    ['a version of a SKU', { stock: right.stock.map((row) => ({ ...row, versions: row.versions - 1 })) }],
    ['a reservation', { reservations: right.reservations.map((row) => ({ ...row, status: 'reserved' })) }],
    ['an order', { orders: right.orders.slice(1) }],
    ['an order twice', { orders: [...right.orders, right.orders[0]!] }],
    ['the status of an order', { orders: right.orders.map((row) => ({ ...row, status: 'placed' })) }],
  ])('that have %s wrong', (_what, tables) => {
    expect(by('C7', withState(run(), tables))).not.toEqual([]);
  });
});

describe('A read', () => {
  test('that does not see the write whose token it was sent (C8)', () => {
    const right = run();
    const body = { ...right.first.body, version: 1, balance: '0', available: '0' };
    expect(by('C8', withEntry(right, right.first, { body }))).toEqual([
      `#${right.first.number} says version 1 of account/north/ann, and its token stands for version 2`,
    ]);
    expect(by('C8', withEntry(right, right.first, { fate: 'refused', status: 404, body: { code: 'account-not-found' } }))).toHaveLength(1);
  });

  test('that goes back behind what its client had seen and said (C9)', () => {
    const right = run();
    const body = { ...right.second.body, version: 1, balance: '0' };
    expect(by('C9', withEntry(right, right.second, { body }))).toEqual([
      `#${right.second.number} says version 1 of account/north/ann, and client 1 had seen version 2 and said so`,
    ]);
    expect(by('C9', withEntry(right, right.second, { body, tokenSent: undefined }))).toEqual([]);
    expect(by('C9', withEntry(right, right.second, { body, client: 2 }))).toEqual([]);
  });

  test('that is ahead of the log (C10)', () => {
    const right = run();
    expect(by('C10', withEntry(right, right.first, { tokenReceived: '0@999' }))).toHaveLength(1);
    const body = { ...right.pens.body, version: 99 };
    expect(by('C10', withEntry(right, right.pens, { body }))).toEqual([`#${right.pens.number} says version 99 of sku/pen, and there are 5`]);
  });

  test('that says what never was (C10)', () => {
    const right = run();
    expect(by('C10', withEntry(right, right.first, { body: { ...right.first.body, balance: '101' } }))).toHaveLength(1);
    expect(by('C10', withEntry(right, right.pens, { body: { ...right.pens.body, onHand: 7 } }))).toHaveLength(1);
    expect(by('C10', withEntry(right, right.seen, { body: { ...right.seen.body, status: 'confirmed' } }))).toHaveLength(1);
  });

  test('that answers before it was recorded (C10)', () => {
    const right = run();
    const wrong = withEntry(right, right.seen, { invokedAtMs: -2_000, endedAtMs: -1_000 });
    expect(by('C10', wrong)).toEqual([expect.stringMatching(/says version 4 of order\/o1 \d+ ms before that was recorded/)]);
  });

  test('that is older than may be, unless a fault is to blame or a token was sent (C10)', () => {
    const right = run();
    const old = { ...right.pens, body: { ...right.pens.body, version: 1, onHand: 10 }, invokedAtMs: 60_000, endedAtMs: 60_001 };
    const wrong = withEntry(right, right.pens, old);
    expect(by('C10', wrong)).toHaveLength(1);
    const faults = [{ name: 'redis-freeze', target: 'redis', beganAtMs: 50_000, healedAtMs: 51_000 }];
    expect(by('C10', { ...wrong, history: { ...wrong.history, faults } })).toEqual([]);
  });
});

describe('A page of what happened', () => {
  /** The statement or the movements, with other lines. */
  const withLines = (right: Run, entry: Entry, change: (items: object[]) => object[], more: object = {}): Run =>
    withEntry(right, entry, { body: { ...entry.body, items: change([...entry.body.items]), ...more } });

  test.each<[string, (items: object[]) => object[]]>([
    ['with a line left out', ([first, ...others]) => [first!, ...others.slice(1)]],
    ['with a line twice', ([first, ...others]) => [first!, first!, ...others]],
    ['in another order', (items) => [items[1]!, items[0]!, ...items.slice(2)]],
    ['with a line that never was', ([first, ...others]) => [{ ...first, transactionId: 't-9', reservationId: 'v9' }, ...others]],
    ['with another amount', ([first, ...others]) => [{ ...first, amount: '-61', quantity: 5 }, ...others]],
    ['with another balance', (items) => [...items.slice(0, -1), { ...items.at(-1), balanceAfter: '99', onHandAfter: 9 }]],
    ['that ends too early', (items) => items.slice(0, -1)],
  ])('%s (C10)', (_what, change) => {
    const right = run();
    expect(by('C10', withLines(right, right.statement, change))).toEqual([expect.stringContaining(`#${right.statement.number} says of account/north/ann `)]);
    expect(by('C10', withLines(right, right.movements, change))).toEqual([expect.stringContaining(`#${right.movements.number} says of sku/pen `)]);
  });

  test('that says that there are more, or no more (C10)', () => {
    const right = run();
    expect(by('C10', withLines(right, right.statement, (items) => items, { nextCursor: 'more' }))).toHaveLength(1);
    expect(by('C10', withLines(right, right.movements, (items) => items, { nextCursor: null }))).toHaveLength(1);
  });

  test('that lacks the newest line, whose token it was sent (C8)', () => {
    const right = run();
    const older = withLines(right, right.statement, (items) => items.slice(1));
    expect(by('C8', older)).toEqual([`#${right.statement.number} says version 2 of account/north/ann, and its token stands for version 3`]);
    expect(by('C8', withEntry(older, right.statement, { ...older.history.entries.find(({ number }) => number === right.statement.number)!, tokenSent: undefined }))).toEqual([]);
    expect(by('C8', withLines(right, right.statement, () => []))).toHaveLength(1);
    expect(by('C8', withEntry(right, right.statement, { fate: 'refused', status: 404, body: { code: 'account-not-found' } }))).toHaveLength(1);
  });

  test('that has a line before it was recorded (C10)', () => {
    const right = run();
    const wrong = withEntry(right, right.movements, { invokedAtMs: -2_000, endedAtMs: -1_000 });
    expect(by('C10', wrong)).toEqual([expect.stringMatching(/says version 5 of sku\/pen \d+ ms before that was recorded/)]);
  });
});

describe('A list of orders', () => {
  const withOrders = (right: Run, change: (items: { orderId: string }[]) => object[]): Run =>
    withEntry(right, right.orders, { body: { ...right.orders.body, items: change(right.orders.body.items) } });

  test('that lacks one that its token stands for (C8)', () => {
    const right = run();
    expect(by('C8', withOrders(right, (items) => items.slice(1)))).toEqual([
      `#${right.orders.number} says version 0 of order/o4, and its token stands for version 2`,
    ]);
    expect(by('C8', withOrders(right, ([first, , last]) => [first!, last!]))).toEqual([expect.stringContaining('says version 0 of order/o3')]);
    // What comes after its last is on the next page.
    expect(by('C8', withOrders(right, (items) => items.slice(0, -1)))).toEqual([]);
  });

  test('that shows an older state than its token stands for (C8)', () => {
    const right = run();
    const old = withOrders(right, (items) => items.map((item) => (item.orderId === 'o4' ? { ...item, history: [{ status: 'placed' }] } : item)));
    expect(by('C8', old)).toEqual([`#${right.orders.number} says version 1 of order/o4, and its token stands for version 2`]);
  });

  test('that shows what never was, or somewhere else (C10)', () => {
    const right = run();
    const never = withOrders(right, (items) => items.map((item) => ({ ...item, total: '7' })));
    expect(by('C10', never)).toHaveLength(3);
    expect(by('C10', withOrders(right, ([first, ...others]) => [...others, first!]))).toEqual([expect.stringContaining('that it follows what comes after it')]);
    expect(by('C10', withOrders(right, ([first, ...others]) => [first!, first!, ...others]))).toEqual([expect.stringContaining('that it follows what comes after it')]);
  });
});

describe('A list of accounts', () => {
  test('that lacks one that its token stands for (C8)', () => {
    const right = run();
    const items = right.state.ledger.accounts.filter(({ accountId }) => accountId !== 'bob').toSorted((a, b) => (String(a.accountId) < String(b.accountId) ? -1 : 1));
    const asked = { action: { kind: 'list-accounts', ledger: 'north' }, tokenSent: right.spent.tokenReceived } as const;
    expect(by('C8', withEntry(right, right.sums, { ...asked, body: { items, nextCursor: null } }))).toEqual([
      `#${right.sums.number} says version 0 of account/north/bob, and its token stands for version 2`,
    ]);
    expect(by('C10', withEntry(right, right.sums, { ...asked, body: { items: items.toReversed(), nextCursor: null } }))).toHaveLength(items.length - 1);
  });
});

describe('The catalogue', () => {
  test('with a price that never was (C10)', () => {
    const right = run();
    const price = { amount: '99', currency: 'EUR' };
    expect(by('C10', withEntry(right, right.sku, { body: { ...right.sku.body, price } }))).toEqual([
      `#${right.sku.number} says of product/pen that pen of The pen (active) costs 99 EUR, and it never did`,
    ]);
    const variants = [{ sku: 'pen', name: null, price }];
    expect(by('C10', withEntry(right, right.priced, { body: { ...right.priced.body, variants } }))).toHaveLength(1);
    expect(by('C10', withEntry(right, right.sku, { body: { ...right.sku.body, productName: 'The pencil' } }))).toHaveLength(1);
  });

  test('with an older price than its token stands for, or than its client had seen and said (C8, C9)', () => {
    const right = run();
    const price = { amount: '100', currency: 'EUR' };
    const old = withEntry(right, right.sku, { body: { ...right.sku.body, price } });
    expect(by('C8', old)).toEqual([`#${right.sku.number} says version 1 of product/pen, and its token stands for version 2`]);
    expect(by('C9', old)).toEqual([`#${right.sku.number} says version 1 of product/pen, and client 1 had seen version 2 and said so`]);
    const items = right.catalogue.body.items.map((item: object) => ({ ...item, version: 1, variants: [{ sku: 'pen', name: null, price }] }));
    expect(by('C8', withEntry(right, right.catalogue, { body: { ...right.catalogue.body, items } }))).toEqual([
      `#${right.catalogue.number} says version 1 of product/pen, and its token stands for version 2`,
    ]);
  });

  test('with a product left out, or somewhere else (C8, C10)', () => {
    const right = run();
    const withItems = (items: object[]) => withEntry(right, right.catalogue, { body: { ...right.catalogue.body, items } });
    const [ink, pen] = right.catalogue.body.items;
    expect(by('C8', withItems([pen]))).toEqual([`#${right.catalogue.number} says version 0 of product/ink, and its token stands for version 1`]);
    expect(by('C10', withItems([pen, ink]))).toEqual([expect.stringContaining('that it follows what comes after it')]);
  });
});

describe('An order (C11)', () => {
  const without = (type: string, id: string) => by('C11', withoutEvent(run(), of(type, id)));
  test.each<[string, () => string[], string]>([
    ['without a verdict', () => without('ordering.order-confirmed', 'o4'), 'order o4 has no verdict'],
    ['that is fulfilled and was not confirmed', () => without('ordering.order-confirmed', 'o1'), 'order o1 was placed and then fulfilled'],
    ['that is under way for ever', () => without('ordering.order-fulfilled', 'o1'), 'order o1 is being fulfilled, and never was'],
    ['that was cancelled and holds stock', () => without('inventory.reservation-released', 'order:o2'), 'order o2 is cancelled, and 2 of mug are reserved for it'],
    ['that was cancelled and holds money', () => without('ledger.transaction-released', 'order:o2'), 'order o2 is cancelled, and 2 are pending for it'],
    ['that was fulfilled and kept its stock', () => without('inventory.reservation-committed', 'order:o1'), 'order o1 is fulfilled, and of 3 of mug 3 are reserved for it'],
    ['that was fulfilled and not paid', () => without('ledger.transaction-captured', 'order:o1'), 'order o1 is fulfilled, and of its total of 3 3 are pending from cat to merchant'],
    ['that was confirmed without stock', () => without('inventory.stock-reserved', 'order:o4'), 'order o4 is confirmed, and of 1 of mug nothing is reserved for it'],
    ['that is nowhere, and holds stock', () => by('C11', withEvents(run(), (events) => events.filter(({ data }) => data.orderId !== 'o4'))), 'mug is reserved for order:o4, and there is no such order'],
  ])('%s', (_what, wrong, sentence) => {
    expect(wrong()).toContain(sentence);
  });

  test('that was paid and then cancelled', () => {
    const wrong = withEvent(run(), of('ordering.order-cancelled', 'o2'), ({ data }) => ({ data: { ...data, orderId: 'o1' } }));
    expect(by('C11', wrong)).toEqual(expect.arrayContaining([
      'order o1 was fulfilled and then cancelled',
      'order o1 is cancelled, and 3 are posted for it',
    ]));
  });

  test('that was to be fulfilled by itself', () => {
    expect(by('C11', withData(run(), of('ordering.order-placed', 'o4'), { autoFulfil: true }))).toEqual(['order o4 was to be fulfilled by itself, and is not']);
  });

  test('that waits for its refund, or got one that was refused', () => {
    const later = { orderId: 'o1', refundId: 'f1', amount: '1' };
    const asked: LoggedEvent = { partition: 2, position: 90, stream: 'order/o1', version: 5, type: 'ordering.refund-requested.v1', data: later, commandId: '2.x', recordedAt: '2026-01-31T13:00:00Z' };
    const paid = { ...asked, position: 91, version: 6, type: 'ordering.refund-paid.v1', data: { ...later, status: 'partially-refunded' } };
    expect(by('C11', withEvents(run(), (events) => [...events, asked]))).toEqual(['order o1 has not got its refund f1']);
    expect(by('C11', withEvents(run(), (events) => [...events, asked, paid]))).toEqual(['order o1 was paid its refund f1, and no money moved']);
  });
});

describe('When the faults are over (C12)', () => {
  test('what was never answered or never settled is seen', () => {
    const right = run();
    expect(by('C12', withEntry(right, right.pens, { endedAtMs: undefined, fate: 'unknown' }))).toEqual([`#${right.pens.number} was never answered`]);
    expect(by('C12', withoutEntry(right, right.again))).toEqual(['transfer k5 has no verdict after 1 attempts']);
  });

  test('what is left to do is seen, and how long it took', () => {
    const work = { lagEvents: 3, stuck: ['ledger-accounts at 0@7'], commands: ['ordering.ship-order 2.c (failed)'] };
    expect(by('C12', withState(run(), { work }))).toEqual([
      'the views and sagas are 3 events behind',
      'ledger-accounts at 0@7 is stuck',
      'ordering.ship-order 2.c (failed) is not done',
    ]);
    expect(by('C12', run(), 40_000)).toEqual(['the work was done 40000 ms after the last fault, and may take 30000 ms']);
    const { history, state } = run();
    expect(check(history, state, undefined).violations).toHaveLength(1);
  });

  test('a fault that was not healed is seen', () => {
    const right = run();
    const faults = [{ name: 'freeze', target: 'all-1', beganAtMs: 5 }];
    expect(by('C12', { ...right, history: { ...right.history, faults } })).toEqual(['freeze of all-1 was never healed']);
  });
});

describe('An object that does two things at once (L1)', () => {
  test('is an account that says a balance it can not have had', () => {
    const right = run();
    const body = { ...right.spent.body, balances: { ...right.spent.body.balances, ann: { balance: '100', available: '100' } } };
    expect(by('L1', withEntry(right, right.spent, { body }))).toEqual([
      `account/north/ann: no order of what was asked of it explains the answer to #${right.spent.number}`,
    ]);
  });

  test('is an account that refuses to pay what it has', () => {
    const right = run();
    const wrong = withEntry(right, right.lacking, { action: { ...(right.lacking.action as object), amount: '30' } as Write });
    expect(by('L1', wrong)).toHaveLength(1);
  });

  test('is a SKU that refuses what is there, or grants what is not', () => {
    const right = run();
    const less = { ...(right.soldOut.action as object), quantity: 4 } as Write;
    expect(by('L1', withEntry(right, right.soldOut, { action: less }))).toHaveLength(1);
    const granted = { fate: 'acknowledged', status: 201, body: { status: 'reserved' } } as const;
    expect(by('L1', withEntry(right, right.soldOut, granted))).toHaveLength(1);
  });

  test('is a SKU with levels that nothing explains', () => {
    const right = run();
    expect(by('L1', withEntry(right, right.received, { body: { ...right.received.body, onHand: 9 } }))).toHaveLength(1);
  });
});
