import fc from 'fast-check';
import {
  cancelOrder,
  checkOut,
  completeFulfilment,
  completeRefund,
  orderingEvents,
  orderStream,
  orderType,
  placeOrder,
  requestRefund,
  startFulfilment,
  timeOutOrder,
  type OrderState,
  type OrderStatus,
} from '../../src/modules/ordering/domain/order.js';
import { Rejection, type Decision, type States } from '../../src/platform/log/decision.js';
import { StreamsInMemory } from '../support/given.js';

/** Whatever may be asked of an order, by whomever, in whatever order: most of it at the wrong moment. */
const refundIds = ['r1', 'r2', 'r3', 'r4'];
const skus = ['shirt', 'socks', 'tea'];
const quantities = fc.integer({ min: 1, max: 4 });
const refundLines = fc.array(fc.record({ sku: fc.constantFrom(...skus), quantity: quantities, restock: fc.boolean() }), { minLength: 1, maxLength: 3 });
const step = fc.oneof(
  fc.record({ ask: fc.constant('place' as const), lines: fc.array(fc.record({ sku: fc.constantFrom(...skus), quantity: quantities }), { minLength: 1, maxLength: 4 }) }),
  { weight: 4, arbitrary: fc.record({ ask: fc.constantFrom('confirm' as const, 'start' as const, 'ship' as const) }) },
  fc.record({ ask: fc.constantFrom('reject' as const, 'timeOut' as const, 'cancel' as const, 'failToShip' as const) }),
  {
    weight: 4,
    arbitrary: fc.record({
      ask: fc.constant('refund' as const),
      refundId: fc.constantFrom(...refundIds),
      lines: fc.option(refundLines, { nil: undefined }),
      amount: fc.option(fc.bigInt({ min: 1n, max: 9_000n }).map(String), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ ask: fc.constantFrom('payRefund' as const, 'refuseRefund' as const), refundId: fc.constantFrom(...refundIds) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

const prices = new Map([
  ['shirt', { amount: '1000', currency: 'EUR', isOrderable: true }],
  ['socks', { amount: '333', currency: 'EUR', isOrderable: true }],
  ['tea', { amount: '0', currency: 'EUR', isOrderable: true }],
]);
const orderId = 'o1';
const refusal = { code: 'insufficient-stock', detail: 'none left' };
const payment = { ledger: 'shop', account: 'ann' };

const decide = (states: States, one: Step, now: string): Decision<unknown> => {
  const context = { now, commandId: '0.test' };
  switch (one.ask) {
    case 'place':
      return placeOrder(states, { orderId, customerId: 'c', lines: one.lines, payment }, prices, context);
    case 'confirm':
      return checkOut(states, { orderId }, () => undefined, context);
    case 'reject':
      return checkOut(states, { orderId }, () => refusal, context);
    case 'timeOut':
      return timeOutOrder(states, { orderId }, context);
    case 'cancel':
      return cancelOrder(states, { orderId }, context);
    case 'start':
      return startFulfilment(states, { orderId }, context);
    case 'ship':
      return completeFulfilment(states, { orderId }, () => undefined, context);
    case 'failToShip':
      return completeFulfilment(states, { orderId }, () => refusal, context);
    case 'refund':
      return requestRefund(states, { orderId, ...one }, context);
    case 'payRefund':
      return completeRefund(states, { orderId, ...one }, () => undefined, context);
    case 'refuseRefund':
      return completeRefund(states, { orderId, ...one }, () => refusal, context);
  }
};

/** The model: which status may follow which. */
const mayFollow: Record<OrderState['status'], readonly OrderStatus[]> = {
  absent: ['placed'],
  placed: ['confirmed', 'rejected', 'cancelled'],
  confirmed: ['fulfilled', 'cancelled'],
  fulfilled: ['partially-refunded', 'refunded'],
  'partially-refunded': ['refunded'],
  refunded: [],
  rejected: [],
  cancelled: [],
};

test('an order goes its way, whatever is asked of it and when', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const streams = new StreamsInMemory(orderingEvents, [orderType]);
      const used = new Set<string>();
      steps.forEach((one, index) => {
        // An id of a refund is made by the server, so it comes once.
        if (one.ask === 'refund' && used.has(one.refundId)) return;
        const before = streams.of(orderStream(orderId));
        if (before.status === 'absent' && one.ask !== 'place') return;
        const now = new Date(1_800_000_000_000 + index * 1_000).toISOString();
        try {
          const { events, schedule = [], unschedule = [] } = streams.run({ streams: () => [orderStream(orderId)], decide: (states) => decide(states, one, now) }, now);
          if (one.ask === 'refund') used.add(one.refundId);
          expect(events.length).toBeLessThanOrEqual(1);
          // A deadline for who waits for a verdict, and for nobody else.
          const after = streams.of(orderStream(orderId));
          expect(schedule).toHaveLength(before.status === 'absent' ? 1 : 0);
          const hasVerdict = before.status === 'placed' && after.status !== 'placed';
          expect(unschedule).toHaveLength(hasVerdict && one.ask !== 'timeOut' ? 1 : 0);
        } catch (error) {
          if (!(error instanceof Rejection)) throw error;
        }
        const after = streams.of(orderStream(orderId));
        if (after.status !== before.status) {
          expect(mayFollow[before.status]).toContain(after.status);
          expect(after.history).toEqual([...before.history, { status: after.status, at: now }]);
        }
        expectNothingTooMuch(after);
      });
    }),
    { numRuns: 2_000 },
  );
});

/** What was promised back, in money and in units, was paid and ordered; and the status says how much of it is back. */
function expectNothingTooMuch({ lines, total, refunds, status }: OrderState): void {
  const open = refunds.filter((refund) => refund.status !== 'refused');
  const sum = (some: typeof refunds) => some.reduce((amount, refund) => amount + BigInt(refund.amount), 0n);
  expect(sum(open) <= BigInt(total)).toBe(true);
  for (const { sku, quantity } of lines) {
    const back = open.flatMap((refund) => refund.lines).filter((line) => line.sku === sku);
    expect(back.reduce((units, line) => units + line.quantity, 0)).toBeLessThanOrEqual(quantity);
  }
  const paid = refunds.filter((refund) => refund.status === 'paid');
  if (status === 'refunded') expect(sum(paid)).toBe(BigInt(total));
  if (status === 'partially-refunded') expect([paid.length > 0, sum(paid) < BigInt(total)]).toEqual([true, true]);
  if (status === 'fulfilled') expect(paid).toEqual([]);
}
