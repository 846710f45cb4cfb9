import { nothing, refused, scenariosOf, type Decider } from '../../../../test/support/given.js';
import type { DecisionContext, States } from '../../../platform/log/decision.js';
import {
  cancelOrder,
  checkOut,
  completeFulfilment,
  completeRefund,
  lookAtOrder,
  orderingEvents,
  orderStream,
  orderType,
  placeOrder,
  requestRefund,
  startFulfilment,
  timeOutOrder,
  type OrderEvent,
  type OrderLine,
  type PlaceOrderInput,
  type Price,
  type RefundInput,
  type RefundLine,
  type PayBack,
  type Ship,
  type Take,
  type Taken,
} from './order.js';

const given = scenariosOf(orderingEvents, [orderType]);
const now = '2026-01-31T12:00:00.000Z';
const payment = { ledger: 'shop', account: 'ann' };
const price = (amount: string, currency = 'EUR', isOrderable = true): Price => ({ amount, currency, isOrderable });
const prices = new Map([['shirt', price('2000')], ['socks', price('500')], ['gift', price('0')], ['tea', price('300', 'GBP')], ['old', price('100', 'EUR', false)]]);
const line = (sku: string, quantity: number, unitPrice = prices.get(sku)?.amount): OrderLine => ({ sku, quantity, ...(unitPrice !== undefined && { unitPrice }) });

// ---- What has happened

const twoShirtsAndSocks = [line('shirt', 2), line('socks', 1)];
const placed = (lines = twoShirtsAndSocks, total = '4500', rest: object = {}): OrderEvent => ({
  type: 'ordering.order-placed.v1',
  data: { orderId: 'o1', customerId: 'c1', lines, total, currency: 'EUR', payment, ...rest },
});
const confirmed = (rest: object = {}): OrderEvent => ({ type: 'ordering.order-confirmed.v1', data: { orderId: 'o1', transactionId: 'order:o1', ...rest } });
const taken: Taken = { skus: ['shirt', 'socks'], payment: true };
const nothingTaken: Taken = { skus: [], payment: false };
const cancelled = (rest: object = {}): OrderEvent => ({ type: 'ordering.order-cancelled.v1', data: { orderId: 'o1', taken, payment, ...rest } });
const refusal = { code: 'insufficient-stock', detail: 'none left' };
const rejected = (why = refusal): OrderEvent => ({
  type: 'ordering.order-rejected.v1',
  data: { orderId: 'o1', refusal: why, taken: nothingTaken, payment },
});
const started: OrderEvent = {
  type: 'ordering.fulfilment-started.v1',
  data: { orderId: 'o1', skus: ['shirt', 'socks'], payment, transactionId: 'order:o1' },
};
const fulfilled: OrderEvent = { type: 'ordering.order-fulfilled.v1', data: { orderId: 'o1' } };
const notShipped: OrderEvent = { type: 'ordering.fulfilment-refused.v1', data: { orderId: 'o1', refusal } };
const refundAsked = (refundId: string, amount: string, lines: RefundLine[] = []): OrderEvent => ({
  type: 'ordering.refund-requested.v1',
  data: { orderId: 'o1', refundId, amount, lines, payment, currency: 'EUR' },
});
const refundPaid = (refundId: string, status: 'partially-refunded' | 'refunded'): OrderEvent => ({
  type: 'ordering.refund-paid.v1',
  data: { orderId: 'o1', refundId, status },
});
const refundRefused = (refundId: string): OrderEvent => ({ type: 'ordering.refund-refused.v1', data: { orderId: 'o1', refundId, refusal } });
const paidFor = [placed(), confirmed(), started, fulfilled];

// ---- What somebody wants

type Decision<Input> = (states: States, input: Input, context: DecisionContext) => ReturnType<typeof cancelOrder>;
const wants =
  <Input extends { orderId: string }>(decision: Decision<Input>) =>
  (input: Omit<Input, 'orderId'>): Decider<unknown> => ({
    streams: () => [orderStream('o1')],
    decide: (states, context) => decision(states, { orderId: 'o1', ...input } as Input, context),
  });
const places = (lines: { sku: string; quantity: number }[], rest: Partial<PlaceOrderInput> = {}, take?: Take): Decider<unknown> => ({
  streams: () => [orderStream('o1')],
  decide: (states, context) => placeOrder(states, { orderId: 'o1', customerId: 'c1', lines, payment, ...rest }, prices, context, take),
});
/** `take` is asked once at most, and never for an order that has its verdict. */
const checksOut = (take: Take = () => { throw new Error('something is taken'); }): Decider<unknown> => ({
  streams: () => [orderStream('o1')],
  decide: (states, context) => checkOut(states, { orderId: 'o1' }, take, context),
});
const timesOut = wants(timeOutOrder);
const cancels = wants(cancelOrder);
const fulfils = wants(startFulfilment);
const unless = () => { throw new Error('something is done'); };
const ships = (ship: Ship = unless): Decider<unknown> => ({
  streams: () => [orderStream('o1')],
  decide: (states, context) => completeFulfilment(states, { orderId: 'o1' }, ship, context),
});
const asksRefund = (refundId: string, rest: Partial<RefundInput> = {}) => wants(requestRefund)({ refundId, ...rest });
const paysRefund = (refundId: string, payBack: PayBack = unless): Decider<unknown> => ({
  streams: () => [orderStream('o1')],
  decide: (states, context) => completeRefund(states, { orderId: 'o1', refundId }, payBack, context),
});
const done = () => undefined;
const isRefused = () => refusal;
const looks = wants(lookAtOrder);

describe('placing an order', () => {
  const timeOut = { key: 'time-out-order/o1', type: 'ordering.time-out-order', payload: { orderId: 'o1' }, dueAt: '2026-01-31T12:00:30.000Z' };

  it("takes the catalogue's prices, sums a repeated SKU, and sets the checkout a deadline", () => {
    given()
      .at(now)
      .when(places([{ sku: 'shirt', quantity: 1 }, { sku: 'socks', quantity: 1 }, { sku: 'shirt', quantity: 1 }]))
      .then(placed())
      .creating(true)
      .scheduling(timeOut)
      .answering({
        orderId: 'o1',
        customerId: 'c1',
        status: 'placed',
        lines: [{ ...line('shirt', 2), total: '4000' }, { ...line('socks', 1), total: '500' }],
        total: '4500',
        currency: 'EUR',
        payment,
        autoFulfil: false,
        refunds: [],
        history: [{ status: 'placed', at: now }],
        placedAt: now,
        metadata: {},
      });
  });

  it('places and rejects at once what can not be had', () => {
    const why = (sku: string) => ({ code: 'product-not-available', detail: `${sku} can not be ordered` });
    const turnedAway = (lines: OrderLine[], refusal: object): OrderEvent => ({
      type: 'ordering.order-placed.v1',
      data: { orderId: 'o1', customerId: 'c1', lines, total: '0', payment, refusal } as never,
    });
    given().when(places([{ sku: 'shirt', quantity: 1 }, { sku: 'old', quantity: 1 }])).then(turnedAway([line('shirt', 1), line('old', 1)], why('old'))).scheduling();
    given().when(places([{ sku: 'unheard-of', quantity: 1 }])).then(turnedAway([line('unheard-of', 1)], why('unheard-of')));
    given()
      .when(places([{ sku: 'shirt', quantity: 1 }, { sku: 'tea', quantity: 1 }]))
      .then(turnedAway([line('shirt', 1), line('tea', 1)], { code: 'currency-mismatch', detail: 'the lines are priced in EUR and GBP' }));
  });

  it('checks it out at once when it may take what is needed: confirmed or rejected, with no deadline', () => {
    const lines = [{ sku: 'shirt', quantity: 2 }, { sku: 'socks', quantity: 1 }];
    const atOnce = placed(undefined, undefined, { isCheckedOut: true });
    const needs = { orderId: 'o1', lines: twoShirtsAndSocks, payment, total: '4500', currency: 'EUR' };
    const take = jest.fn<undefined, Parameters<Take>>();
    given().when(places(lines, {}, take)).then([atOnce, confirmed()]).creating(true).scheduling();
    expect(take.mock.calls).toEqual([[needs]]);
    given().when(places(lines, {}, () => refusal)).then([atOnce, rejected()]).creating(true).scheduling();
    given().when(places([{ sku: 'gift', quantity: 1 }], {}, () => undefined)).then([placed([line('gift', 1)], '0', { isCheckedOut: true }), { type: 'ordering.order-confirmed.v1', data: { orderId: 'o1' } }]);
    given(atOnce, confirmed()).when(places(lines, {}, () => { throw new Error('taken twice'); })).then(nothing);
  });

  it('answers the same order again, and refuses another one with its id', () => {
    const lines = [{ sku: 'shirt', quantity: 2 }, { sku: 'socks', quantity: 1 }];
    given(placed(), confirmed()).when(places(lines)).then(nothing).creating(false);
    given(placed()).when(places([{ sku: 'shirt', quantity: 2 }])).then(refused('order-exists'));
    given(placed()).when(places(lines, { customerId: 'c2' })).then(refused('order-exists'));
    given(placed()).when(places(lines, { autoFulfil: true })).then(refused('order-exists'));
    given(placed()).when(places(lines, { payment: { ledger: 'shop', account: 'bob' } })).then(refused('order-exists'));
  });

  it('keeps the price it was placed at', () => {
    const cheaper = placed([line('shirt', 2, '1500'), line('socks', 1)], '3500');
    given(cheaper).when(places([{ sku: 'shirt', quantity: 2 }, { sku: 'socks', quantity: 1 }])).then(nothing);
  });

  it('refuses a total beyond 64 bits', () => {
    const dear = new Map([['yacht', price('9223372036854775807')]]);
    const order = { orderId: 'o1', customerId: 'c1', lines: [{ sku: 'yacht', quantity: 2 }], payment };
    given()
      .when({ streams: () => [orderStream('o1')], decide: (states, context) => placeOrder(states, order, dear, context) })
      .then(refused('amount-out-of-range'));
  });

  it("refuses a line's total beyond 64 bits, also of an order that could not be had anyway", () => {
    const dear = new Map([['yacht', price('9223372036854775807')]]);
    const order = { orderId: 'o1', customerId: 'c1', lines: [{ sku: 'yacht', quantity: 2 }, { sku: 'unknown', quantity: 1 }], payment };
    given()
      .when({ streams: () => [orderStream('o1')], decide: (states, context) => placeOrder(states, order, dear, context) })
      .then(refused('amount-out-of-range'));
  });
});

describe('the checkout', () => {
  it('confirms a placed order, and takes its deadline back', () => {
    given(placed()).when(checksOut(() => undefined)).then(confirmed()).unscheduling('time-out-order/o1');
    given(placed(undefined, undefined, { autoFulfil: true })).when(checksOut(() => undefined)).then(confirmed({ autoFulfil: true }));
  });

  it('rejects it with the reason, and has taken nothing', () => {
    given(placed()).when(checksOut(() => refusal)).then(rejected()).unscheduling('time-out-order/o1');
  });

  it('takes nothing for one that has its verdict, or has ended meanwhile', () => {
    given(placed(), confirmed()).when(checksOut()).then(nothing);
    given(placed(), confirmed(), started).when(checksOut()).then(nothing);
    given(placed(), rejected()).when(checksOut()).then(nothing);
    given(placed(), cancelled()).when(checksOut()).then(nothing);
  });

  it('is given up at its deadline, and has taken nothing', () => {
    const tooLate = { code: 'payment-timeout', detail: 'the payment was not authorised within 30 seconds' };
    given(placed()).when(timesOut({})).then(rejected(tooLate));
    given(placed(), confirmed()).when(timesOut({})).then(nothing);
    given(placed(), cancelled()).when(timesOut({})).then(nothing);
  });
});

describe('cancelling an order', () => {
  it('ends it before it is fulfilled, and gives back what was taken', () => {
    given(placed()).when(cancels({ reason: 'changed my mind' })).then(cancelled({ reason: 'changed my mind', taken: nothingTaken })).unscheduling('time-out-order/o1');
    given(placed(), confirmed()).when(cancels({})).then(cancelled()).unscheduling();
  });

  it('changes nothing the second time', () => {
    given(placed(), cancelled()).when(cancels({})).then(nothing);
  });

  it('is refused once it is on its way, or has ended otherwise', () => {
    given().when(cancels({})).then(refused('order-not-found'));
    given(placed(), confirmed(), started).when(cancels({})).then(refused('not-cancellable', 'order o1 is being fulfilled'));
    given(...paidFor).when(cancels({})).then(refused('not-cancellable', 'order o1 is fulfilled'));
    given(placed(), rejected()).when(cancels({})).then(refused('not-cancellable', 'order o1 is rejected'));
  });
});

describe('fulfilling an order', () => {
  it('starts with a confirmed one, and ends when it is shipped', () => {
    given(placed(), confirmed()).when(fulfils({})).then(started);
    const ship = jest.fn<undefined, Parameters<Ship>>();
    given(placed(), confirmed(), started).when(ships(ship)).then(fulfilled);
    expect(ship.mock.calls).toEqual([[expect.objectContaining({ total: '4500' })]]);
  });

  it('leaves what can not be shipped confirmed, with the reason: it can be cancelled, or fulfilled later', () => {
    given(placed(), confirmed(), started).when(ships(isRefused)).then(notShipped);
    const stuck = [placed(), confirmed(), started, notShipped];
    given(...stuck).when(looks({})).then(nothing).answering(expect.objectContaining({ status: 'confirmed', refusal }));
    given(...stuck).when(cancels({})).then(cancelled());
    given(...stuck).when(fulfils({})).then(started).answering(expect.not.objectContaining({ refusal }));
    given(...stuck).when(ships()).then(nothing);
    given(...stuck).when(asksRefund('r1')).then(refused('not-refundable'));
  });

  it('happens once', () => {
    given(placed(), confirmed(), started).when(fulfils({})).then(nothing);
    given(...paidFor).when(fulfils({})).then(nothing);
    given(...paidFor).when(ships()).then(nothing);
  });

  it('is refused to an order that is not confirmed', () => {
    given().when(fulfils({})).then(refused('order-not-found'));
    given(placed()).when(fulfils({})).then(refused('not-confirmed', 'order o1 is placed'));
    given(placed(), cancelled()).when(fulfils({})).then(refused('not-confirmed', 'order o1 is cancelled'));
  });
});

describe('refunding an order', () => {
  const back = (sku: string, quantity: number, restock = false): RefundLine => ({ sku, quantity, restock });

  it('gives back all that is left, what lines cost, or an amount', () => {
    given(...paidFor).when(asksRefund('r1')).then(refundAsked('r1', '4500')).creating(true);
    given(...paidFor).when(asksRefund('r1', { lines: [back('shirt', 1, true)] })).then(refundAsked('r1', '2000', [back('shirt', 1, true)]));
    given(...paidFor).when(asksRefund('r1', { amount: '100' })).then(refundAsked('r1', '100'));
    given(...paidFor).when(asksRefund('r1', { lines: [back('shirt', 1)], amount: '1000' })).then(refundAsked('r1', '1000', [back('shirt', 1)]));
    given(...paidFor, refundAsked('r1', '4000')).when(asksRefund('r2')).then(refundAsked('r2', '500'));
  });

  it('happens once for an id, however long ago it was asked for', () => {
    given(...paidFor, refundAsked('r1', '500'), refundPaid('r1', 'partially-refunded')).when(asksRefund('r1', { amount: '500' })).then(nothing);
  });

  it('never gives back more than was captured, whoever else is asking', () => {
    given(...paidFor).when(asksRefund('r1', { amount: '4501' })).then(refused('refund-exceeds-captured'));
    given(...paidFor, refundAsked('r1', '4000')).when(asksRefund('r2', { amount: '501' })).then(refused('refund-exceeds-captured'));
    given(...paidFor, refundAsked('r1', '4500')).when(asksRefund('r2')).then(refused('refund-exceeds-captured'));
    given(...paidFor, refundAsked('r1', '4500'), refundPaid('r1', 'refunded')).when(asksRefund('r2')).then(refused('refund-exceeds-captured'));
  });

  it('never takes back more units than were ordered', () => {
    given(...paidFor).when(asksRefund('r1', { lines: [back('shirt', 3)] })).then(refused('refund-exceeds-quantity', '3 of shirt, of which 2 are left to refund'));
    given(...paidFor).when(asksRefund('r1', { lines: [back('shirt', 1), back('shirt', 2)] })).then(refused('refund-exceeds-quantity'));
    given(...paidFor).when(asksRefund('r1', { lines: [back('tea', 1)] })).then(refused('refund-exceeds-quantity'));
    given(...paidFor, refundAsked('r1', '2000', [back('shirt', 1)]))
      .when(asksRefund('r2', { lines: [back('shirt', 2)], amount: '1' }))
      .then(refused('refund-exceeds-quantity'));
  });

  it('is paid once, and the order says how much of it is back', () => {
    given(...paidFor, refundAsked('r1', '500')).when(paysRefund('r1', done)).then(refundPaid('r1', 'partially-refunded'));
    given(...paidFor, refundAsked('r1', '500'), refundAsked('r2', '4000'), refundPaid('r1', 'partially-refunded'))
      .when(paysRefund('r2', done))
      .then(refundPaid('r2', 'refunded'));
    given(...paidFor, refundAsked('r1', '4500'), refundPaid('r1', 'refunded')).when(paysRefund('r1')).then(nothing);
  });

  it('that can not be paid can be asked for again', () => {
    const asked = [...paidFor, refundAsked('r1', '4500')];
    given(...asked).when(paysRefund('r1', isRefused)).then(refundRefused('r1'));
    given(...asked, refundRefused('r1')).when(asksRefund('r2')).then(refundAsked('r2', '4500'));
    given(...asked, refundRefused('r1')).when(paysRefund('r1')).then(nothing);
  });

  it('is refused before anything was captured', () => {
    given().when(asksRefund('r1')).then(refused('order-not-found'));
    given(placed(), confirmed()).when(asksRefund('r1')).then(refused('not-refundable'));
    given(placed(), confirmed(), cancelled()).when(asksRefund('r1')).then(refused('not-refundable'));
  });
});

describe('looking at an order', () => {
  it('shows it as it is, and changes nothing', () => {
    given(placed())
      .when(looks({}))
      .then(nothing)
      .answering(expect.objectContaining({ orderId: 'o1', customerId: 'c1', status: 'placed', total: '4500' }));
    given(...paidFor).when(looks({})).then(nothing).answering(expect.objectContaining({ status: 'fulfilled' }));
  });

  it('is refused when there is none', () => {
    given().when(looks({})).then(refused('order-not-found'));
  });
});
