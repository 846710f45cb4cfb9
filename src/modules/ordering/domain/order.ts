import { Rejection, type Decision, type DecisionContext, type ScheduledCommand, type States } from '../../../platform/log/decision.js';
import {
  stream,
  unknownEvent,
  type Event,
  type EventModule,
  type EventType,
  type Stream,
  type StreamType,
} from '../../../platform/log/stream.js';
import { maxAmount } from '../../../shared/amount.js';
import { canonicalJson } from '../../../shared/canonical-json.js';
import { addSeconds } from '../../../shared/time.js';

// ---- Events. Each belongs to its order's stream.

/** The "no" to an order: which rule, and what about. */
export interface Refusal {
  readonly code: string;
  readonly detail: string;
}

/** `unitPrice` is the catalogue's at the time of the order; absent where the catalogue has none. */
export interface OrderLine {
  readonly sku: string;
  readonly quantity: number;
  readonly unitPrice?: string;
}

export interface PaymentSource {
  readonly ledger: string;
  readonly account: string;
}

export interface RefundLine {
  readonly sku: string;
  readonly quantity: number;
  readonly restock: boolean;
}

export interface Refund {
  readonly refundId: string;
  readonly amount: string;
  readonly lines: readonly RefundLine[];
}

/** What an order that was cancelled or rejected has taken: it is given back. */
export interface Taken {
  readonly skus: readonly string[];
  readonly payment: boolean;
}

export type OrderPlaced = Event<
  'ordering.order-placed.v1',
  {
    orderId: string;
    customerId: string;
    lines: readonly OrderLine[];
    total: string;
    currency?: string;
    payment: PaymentSource;
    autoFulfil?: boolean;
    metadata?: object;
    /** Set when the order was turned away as it was placed: there is nothing to check out. */
    refusal?: Refusal;
    /** Its verdict is the next event: it was checked out in the commit that placed it. */
    isCheckedOut?: boolean;
  }
>;
export type OrderConfirmed = Event<'ordering.order-confirmed.v1', { orderId: string; transactionId?: string; autoFulfil?: boolean }>;
export type OrderRejected = Event<
  'ordering.order-rejected.v1',
  { orderId: string; refusal: Refusal; taken: Taken; payment: PaymentSource }
>;
export type OrderCancelled = Event<
  'ordering.order-cancelled.v1',
  { orderId: string; reason?: string; taken: Taken; payment: PaymentSource }
>;
/** Stock or money was taken for an order that had ended meanwhile. No longer written: a checkout takes all it needs at once. */
export type CheckoutCameLate = Event<
  'ordering.checkout-came-late.v1',
  { orderId: string; taken: Taken; payment: PaymentSource }
>;
export type FulfilmentStarted = Event<
  'ordering.fulfilment-started.v1',
  { orderId: string; skus: readonly string[]; payment: PaymentSource; transactionId?: string }
>;
export type OrderFulfilled = Event<'ordering.order-fulfilled.v1', { orderId: string }>;
/** Its money or its stock was gone, by somebody's doing behind its back: it is as confirmed as before. */
export type FulfilmentRefused = Event<'ordering.fulfilment-refused.v1', { orderId: string; refusal: Refusal }>;
export type RefundRequested = Event<
  'ordering.refund-requested.v1',
  Refund & { orderId: string; payment: PaymentSource; currency: string }
>;
export type RefundPaid = Event<
  'ordering.refund-paid.v1',
  { orderId: string; refundId: string; status: 'partially-refunded' | 'refunded' }
>;
export type RefundRefused = Event<'ordering.refund-refused.v1', { orderId: string; refundId: string; refusal: Refusal }>;

export type OrderEvent =
  | OrderPlaced
  | OrderConfirmed
  | OrderRejected
  | OrderCancelled
  | CheckoutCameLate
  | FulfilmentStarted
  | OrderFulfilled
  | FulfilmentRefused
  | RefundRequested
  | RefundPaid
  | RefundRefused;

const ofOrder = (type: OrderEvent['type']): EventType<OrderEvent> => ({ type, streams: ({ orderId }) => [orderStream(orderId)] });

/** Ordering's part of the log. docs/events.md lists the same events; a test holds them equal. */
export const orderingEvents: EventModule = {
  events: [
    ofOrder('ordering.order-placed.v1'),
    ofOrder('ordering.order-confirmed.v1'),
    ofOrder('ordering.order-rejected.v1'),
    ofOrder('ordering.order-cancelled.v1'),
    ofOrder('ordering.checkout-came-late.v1'),
    ofOrder('ordering.fulfilment-started.v1'),
    ofOrder('ordering.order-fulfilled.v1'),
    ofOrder('ordering.fulfilment-refused.v1'),
    ofOrder('ordering.refund-requested.v1'),
    ofOrder('ordering.refund-paid.v1'),
    ofOrder('ordering.refund-refused.v1'),
  ],
};

// ---- State

export const orderStatuses = [
  'placed',
  'confirmed',
  'fulfilled',
  'rejected',
  'cancelled',
  'partially-refunded',
  'refunded',
] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export interface OrderRefund extends Refund {
  readonly status: 'requested' | 'paid' | 'refused';
  readonly refusal?: Refusal;
}

/** Plain JSON: the view keeps it as it is, and folds what follows into it. */
export interface OrderState {
  readonly orderId: string;
  readonly status: 'absent' | OrderStatus;
  readonly customerId: string;
  readonly lines: readonly OrderLine[];
  readonly total: string;
  readonly currency?: string;
  readonly payment: PaymentSource & { readonly transactionId?: string };
  readonly autoFulfil?: boolean;
  readonly metadata?: object;
  /** Why it was rejected; or, while it is confirmed, why its last fulfilment was refused. */
  readonly refusal?: Refusal;
  /** Confirmed, and on its way out: it can no longer be cancelled. */
  readonly isShipping?: boolean;
  readonly refunds: readonly OrderRefund[];
  readonly history: readonly { readonly status: OrderStatus; readonly at: string }[];
}

export const orderType: StreamType<OrderState, OrderEvent> = {
  name: 'order',
  stateVersion: 1,
  stateBytes: (state) => 600 + state.lines.length * 200 + state.refunds.length * 300,
  initial: initialOrder,
  evolve: evolveOrder,
};

export function orderStream(orderId: string, isNew = false): Stream<OrderState> {
  return stream(orderType, orderId, isNew);
}

export function initialOrder(orderId: string): OrderState {
  return {
    orderId,
    status: 'absent',
    customerId: '',
    lines: [],
    total: '0',
    payment: { ledger: '', account: '' },
    refunds: [],
    history: [],
  };
}

export function evolveOrder(state: OrderState, event: OrderEvent, recordedAt: string): OrderState {
  const become = (status: OrderStatus, what: Partial<OrderState> = {}): OrderState => ({
    ...state,
    ...what,
    status,
    history: [...state.history, { status, at: recordedAt }],
  });
  const settle = (refundId: string, what: Partial<OrderRefund>) =>
    state.refunds.map((refund) => (refund.refundId === refundId ? { ...refund, ...what } : refund));
  switch (event.type) {
    case 'ordering.order-placed.v1': {
      const { refusal } = event.data;
      const placed = { ...state, ...event.data };
      const history = [{ status: 'placed', at: recordedAt } as const];
      if (!refusal) return { ...placed, status: 'placed', history };
      return { ...placed, status: 'rejected', history: [...history, { status: 'rejected', at: recordedAt }] };
    }
    case 'ordering.order-confirmed.v1': {
      const { transactionId } = event.data;
      return become('confirmed', { payment: { ...state.payment, ...(transactionId && { transactionId }) } });
    }
    case 'ordering.order-rejected.v1':
      return become('rejected', { refusal: event.data.refusal });
    case 'ordering.order-cancelled.v1':
      return become('cancelled');
    case 'ordering.checkout-came-late.v1':
      return state;
    case 'ordering.fulfilment-started.v1':
      return { ...withoutRefusal(state), isShipping: true };
    case 'ordering.order-fulfilled.v1':
      return become('fulfilled', { isShipping: false });
    case 'ordering.fulfilment-refused.v1':
      return { ...state, isShipping: false, refusal: event.data.refusal };
    case 'ordering.refund-requested.v1': {
      const { refundId, amount, lines } = event.data;
      return { ...state, refunds: [...state.refunds, { refundId, amount, lines, status: 'requested' }] };
    }
    case 'ordering.refund-paid.v1': {
      const refunds = settle(event.data.refundId, { status: 'paid' });
      const { status } = event.data;
      return status === state.status ? { ...state, refunds } : become(status, { refunds });
    }
    case 'ordering.refund-refused.v1':
      return { ...state, refunds: settle(event.data.refundId, { status: 'refused', refusal: event.data.refusal }) };
    default:
      return unknownEvent(event);
  }
}

/** Of a state or an answer. */
export function withoutRefusal<Order extends { readonly refusal?: Refusal }>({ refusal: _, ...order }: Order): Omit<Order, 'refusal'> {
  return order;
}

// ---- Names of what an order takes elsewhere

export const merchantAccount = 'merchant';
export const reservationOf = (orderId: string): string => `order:${orderId}`;
export const paymentOf = (orderId: string): string => `order:${orderId}`;
export const reversalOf = (orderId: string): string => `reversal:${orderId}`;
export const refundPaymentOf = (orderId: string, refundId: string): string => `refund:${orderId}:${refundId}`;

// ---- Decisions: placing and checking out

/** What the catalogue says of a SKU: looked up before the decision. */
export interface Price {
  readonly amount: string;
  readonly currency: string;
  readonly isOrderable: boolean;
}

export interface PlaceOrderInput {
  readonly orderId: string;
  /** The id is none of the client's, so what has it is taken for new, and looked up only when it turns out to be there. */
  readonly isNew?: boolean;
  readonly customerId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: PaymentSource;
  readonly autoFulfil?: boolean;
  readonly metadata?: object;
}

/** So long may a checkout take, in all its steps. */
export const checkoutTimeoutSeconds = 30;

/** What an order needs of others: every line reserved, and the total authorised unless it is 0. */
export interface Needs {
  readonly orderId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: PaymentSource;
  readonly total: string;
  readonly currency: string;
}

/** Reserves and authorises all of it; or says what was refused, and has then taken nothing. */
export type Take = (needs: Needs) => Refusal | undefined;

/** Captures the payment and commits the stock, all of it; or says what was refused, and has then done nothing. */
export type Ship = (order: { readonly total: string }) => Refusal | undefined;

/** Pays the refund and restocks what comes back; or says what was refused, and has then done nothing. */
export type PayBack = () => Refusal | undefined;

/**
 * Prices are the catalogue's, and are kept. Refusals: order-exists, amount-out-of-range (a total, of a line or of all,
 * beyond 64 bits). An order for what can not be had (product-not-available) or of several currencies (currency-mismatch)
 * is placed and rejected at once, so that the customer can look it up. With `take` it is checked out at once; without, it
 * waits for that, with a deadline.
 */
export function placeOrder(
  states: States,
  input: PlaceOrderInput,
  prices: ReadonlyMap<string, Price>,
  context: DecisionContext,
  take?: Take,
): Decision<OrderAnswer> {
  const { orderId, customerId, payment, autoFulfil, metadata } = input;
  const order = states.of(orderStream(orderId, input.isNew));
  const wanted = summed(input.lines);
  if (order.status !== 'absent') {
    if (!isSameOrder(order, input, wanted)) {
      throw new Rejection('order-exists', `order ${orderId} exists with other content`);
    }
    return unchanged(order);
  }
  const lines = wanted.map(({ sku, quantity }): OrderLine => {
    const unitPrice = prices.get(sku)?.amount;
    return { sku, quantity, ...(unitPrice !== undefined && { unitPrice }) };
  });
  const refusal = refusalOf(lines, prices);
  // What can not be ordered has no total: a line without a price, or amounts of two currencies, do not add up.
  const total = refusal ? 0n : lines.reduce((sum, line) => sum + totalOf(line), 0n);
  // Whatever becomes of the order, its answer says what each line comes to.
  const tooMuch = [total, ...lines.map(totalOf)].find((amount) => amount > maxAmount);
  if (tooMuch !== undefined) throw new Rejection('amount-out-of-range', `a total of ${tooMuch} is beyond 64 bits`);
  const currency = refusal ? undefined : prices.get(lines[0]!.sku)!.currency;
  const placed: OrderPlaced = {
    type: 'ordering.order-placed.v1',
    data: {
      orderId,
      customerId,
      lines,
      total: total.toString(),
      ...(currency && { currency }),
      payment,
      ...(autoFulfil && { autoFulfil }),
      ...(metadata && { metadata }),
      ...(refusal && { refusal }),
      ...(take && !refusal && { isCheckedOut: true }),
    },
  };
  if (refusal) return { ...changed(order, [placed], context), created: true };
  if (!take) {
    return { ...changed(order, [placed], context), created: true, schedule: [timeOut(orderId, context.now)] };
  }
  return { ...changed(order, [placed, verdictOn(placed.data, take)], context), created: true };
}

/**
 * Checks out an order that was placed before. One that has its verdict is left as it is, and nothing is taken for it.
 */
export function checkOut(
  states: States,
  { orderId }: { orderId: string },
  take: Take,
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = states.of(orderStream(orderId));
  if (order.status !== 'placed') return unchanged(order);
  return { ...changed(order, [verdictOn(order, take)], context), unschedule: [timeOutKey(orderId)] };
}

/** The deadline of a checkout. One that has its verdict is left as it is; one that has none has taken nothing. */
export function timeOutOrder(
  states: States,
  { orderId }: { orderId: string },
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = states.of(orderStream(orderId));
  if (order.status !== 'placed') return unchanged(order);
  const detail = `the payment was not authorised within ${checkoutTimeoutSeconds} seconds`;
  const refusal = { code: 'payment-timeout', detail };
  const data = { orderId, refusal, taken: nothingTaken, payment: sourceOf(order) };
  return changed(order, [{ type: 'ordering.order-rejected.v1', data }], context);
}

// ---- Decisions: what becomes of it then

/** Refusals: order-not-found, not-cancellable. Cancelling a cancelled order changes nothing. */
export function cancelOrder(
  states: States,
  { orderId, reason }: { orderId: string; reason?: string },
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = existing(states, orderId);
  const { status } = order;
  if (status === 'cancelled') return unchanged(order);
  if ((status !== 'placed' && status !== 'confirmed') || order.isShipping) {
    throw new Rejection('not-cancellable', `order ${orderId} is ${order.isShipping ? 'being fulfilled' : status}`);
  }
  const taken = status === 'placed' ? nothingTaken : everythingOf(order);
  const data = { orderId, ...(reason && { reason }), taken, payment: sourceOf(order) };
  const cancelled = changed(order, [{ type: 'ordering.order-cancelled.v1', data }], context);
  return status === 'placed' ? { ...cancelled, unschedule: [timeOutKey(orderId)] } : cancelled;
}

/** Refusals: order-not-found, not-confirmed. Fulfilling once more what is (being) fulfilled changes nothing. */
export function startFulfilment(
  states: States,
  { orderId }: { orderId: string },
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = existing(states, orderId);
  const { status } = order;
  if (order.isShipping || wasFulfilled(status)) return unchanged(order);
  if (status !== 'confirmed') throw new Rejection('not-confirmed', `order ${orderId} is ${status}`);
  const { transactionId } = order.payment;
  const data = { orderId, skus: skusOf(order), payment: sourceOf(order), ...(transactionId && { transactionId }) };
  return changed(order, [{ type: 'ordering.fulfilment-started.v1', data }], context);
}

/** Ships it. What can not be shipped stays confirmed, with the reason: it can be cancelled, or fulfilled once that is mended. */
export function completeFulfilment(
  states: States,
  { orderId }: { orderId: string },
  ship: Ship,
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = states.of(orderStream(orderId));
  if (!order.isShipping) return unchanged(order);
  const refusal = ship(order);
  if (refusal) return changed(order, [{ type: 'ordering.fulfilment-refused.v1', data: { orderId, refusal } }], context);
  return changed(order, [{ type: 'ordering.order-fulfilled.v1', data: { orderId } }], context);
}

export interface RefundInput {
  readonly orderId: string;
  readonly refundId: string;
  readonly lines?: readonly RefundLine[];
  readonly amount?: string;
}

/**
 * Without lines and amount: all that is left. With lines: what they cost, or the amount. With an amount alone: that,
 * and nothing comes back into stock. What other requests have asked for and not yet got counts as refunded. Refusals:
 * order-not-found, not-refundable, refund-exceeds-quantity, refund-exceeds-captured.
 */
export function requestRefund(states: States, input: RefundInput, context: DecisionContext): Decision<OrderAnswer> {
  const { orderId, refundId, amount } = input;
  const order = existing(states, orderId);
  const { status } = order;
  // A retry whose first answer is no longer kept: the id follows from its key.
  if (order.refunds.some((refund) => refund.refundId === refundId)) return unchanged(order);
  if (!wasFulfilled(status)) throw new Rejection('not-refundable', `order ${orderId} is ${status}, and nothing was captured`);
  const open = order.refunds.filter((refund) => refund.status !== 'refused');
  const left = BigInt(order.total) - open.reduce((sum, refund) => sum + BigInt(refund.amount), 0n);
  const lines = input.lines ?? [];
  for (const line of lines) checkQuantity(order, open, line, lines);
  const cost = lines.reduce((sum, { sku, quantity }) => sum + priceIn(order, sku) * BigInt(quantity), 0n);
  const asked = amount === undefined ? (input.lines ? cost : left) : BigInt(amount);
  if (asked > left || (asked === 0n && lines.length === 0)) {
    throw new Rejection('refund-exceeds-captured', `${asked} of the ${left} that are left to refund of order ${orderId}`);
  }
  const refund = { refundId, amount: asked.toString(), lines };
  const data = { orderId, ...refund, payment: sourceOf(order), currency: order.currency! };
  return { ...changed(order, [{ type: 'ordering.refund-requested.v1', data }], context), created: true };
}

/** Pays it. What can not be paid is refused, and can be asked for again. One that has its end is left as it is. */
export function completeRefund(
  states: States,
  { orderId, refundId }: { orderId: string; refundId: string },
  payBack: PayBack,
  context: DecisionContext,
): Decision<OrderAnswer> {
  const order = states.of(orderStream(orderId));
  const refund = order.refunds.find((one) => one.refundId === refundId && one.status === 'requested');
  if (!refund) return unchanged(order);
  const refusal = payBack();
  if (refusal) return changed(order, [{ type: 'ordering.refund-refused.v1', data: { orderId, refundId, refusal } }], context);
  const paid = order.refunds.filter((one) => one.status === 'paid' || one === refund);
  const sum = paid.reduce((total, one) => total + BigInt(one.amount), 0n);
  const status = sum === BigInt(order.total) ? 'refunded' : 'partially-refunded';
  return changed(order, [{ type: 'ordering.refund-paid.v1', data: { orderId, refundId, status } }], context);
}

/** What has become of it. Refusals: order-not-found. Changes nothing. */
export function lookAtOrder(states: States, { orderId }: { orderId: string }): Decision<OrderAnswer> {
  return unchanged(existing(states, orderId));
}

// ---- Answers

/** The order as writes and reads answer with it. */
export interface OrderAnswer {
  readonly orderId: string;
  readonly customerId: string;
  readonly status: OrderStatus;
  readonly lines: readonly (OrderLine & { readonly total?: string })[];
  readonly total: string;
  readonly currency: string | null;
  readonly payment: PaymentSource & { readonly transactionId?: string };
  readonly autoFulfil: boolean;
  readonly refusal?: Refusal;
  readonly refunds: readonly OrderRefund[];
  readonly history: OrderState['history'];
  readonly placedAt: string;
  readonly metadata: object;
}

export function answerOf(order: OrderState): OrderAnswer {
  const { orderId, customerId, status, lines, total, currency, payment, refusal, refunds, history } = order;
  return {
    orderId,
    customerId,
    status: status as OrderStatus,
    lines: lines.map((line) => (line.unitPrice === undefined ? line : { ...line, total: totalOf(line).toString() })),
    total,
    currency: currency ?? null,
    payment,
    autoFulfil: order.autoFulfil ?? false,
    ...(refusal && { refusal }),
    refunds,
    history,
    placedAt: history[0]!.at,
    metadata: order.metadata ?? {},
  };
}

export function orderNotFound(orderId: string): Rejection {
  return new Rejection('order-not-found', `there is no order ${orderId}`);
}

// ---- How it is done

function changed(order: OrderState, events: readonly OrderEvent[], { now }: DecisionContext): Decision<OrderAnswer> {
  return { events, answer: answerOf(events.reduce((state, event) => evolveOrder(state, event, now), order)) };
}

/** Confirmed when everything that it needs can be taken, and rejected when something can not. */
function verdictOn(order: OrderPlaced['data'] | OrderState, take: Take): OrderEvent {
  const { orderId, lines, payment, total, currency, autoFulfil } = order;
  const refusal = take({ orderId, lines, payment, total, currency: currency! });
  if (refusal) {
    const { ledger, account } = payment;
    const data = { orderId, refusal, taken: nothingTaken, payment: { ledger, account } };
    return { type: 'ordering.order-rejected.v1', data };
  }
  const transactionId = total === '0' ? undefined : paymentOf(orderId);
  const data = { orderId, ...(transactionId && { transactionId }), ...(autoFulfil && { autoFulfil }) };
  return { type: 'ordering.order-confirmed.v1', data };
}

function unchanged(order: OrderState): Decision<OrderAnswer> {
  return { events: [], answer: answerOf(order) };
}

function existing(states: States, orderId: string): OrderState {
  const order = states.of(orderStream(orderId));
  if (order.status === 'absent') throw orderNotFound(orderId);
  return order;
}

/** A repeated SKU is summed before anything is checked. */
function summed(lines: PlaceOrderInput['lines']): { sku: string; quantity: number }[] {
  const quantities = new Map<string, number>();
  for (const { sku, quantity } of lines) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity);
  return [...quantities].map(([sku, quantity]) => ({ sku, quantity }));
}

function refusalOf(lines: readonly OrderLine[], prices: ReadonlyMap<string, Price>): Refusal | undefined {
  const missing = lines.find(({ sku }) => !prices.get(sku)?.isOrderable);
  if (missing) return { code: 'product-not-available', detail: `${missing.sku} can not be ordered` };
  const currencies = [...new Set(lines.map(({ sku }) => prices.get(sku)!.currency))];
  if (currencies.length === 1) return undefined;
  return { code: 'currency-mismatch', detail: `the lines are priced in ${currencies.join(' and ')}` };
}

function isSameOrder(
  order: OrderState,
  { customerId, payment, autoFulfil, metadata }: PlaceOrderInput,
  lines: readonly { sku: string; quantity: number }[],
): boolean {
  const there = {
    customerId: order.customerId,
    ledger: order.payment.ledger,
    account: order.payment.account,
    autoFulfil: order.autoFulfil ?? false,
    metadata: order.metadata ?? {},
    lines: order.lines.map(({ sku, quantity }) => ({ sku, quantity })),
  };
  const { ledger, account } = payment;
  const asked = { customerId, ledger, account, autoFulfil: autoFulfil ?? false, metadata: metadata ?? {}, lines };
  return canonicalJson(there) === canonicalJson(asked);
}

const nothingTaken: Taken = { skus: [], payment: false };

function everythingOf(order: OrderState): Taken {
  return { skus: skusOf(order), payment: order.total !== '0' };
}

const sourceOf = ({ payment: { ledger, account } }: OrderState): PaymentSource => ({ ledger, account });
const skusOf = (order: OrderState): string[] => order.lines.map(({ sku }) => sku);
const totalOf = ({ unitPrice, quantity }: OrderLine): bigint => BigInt(unitPrice ?? 0) * BigInt(quantity);
const wasFulfilled = (status: OrderState['status']): boolean =>
  status === 'fulfilled' || status === 'partially-refunded' || status === 'refunded';

function priceIn(order: OrderState, sku: string): bigint {
  return BigInt(order.lines.find((line) => line.sku === sku)!.unitPrice!);
}

function checkQuantity(order: OrderState, open: readonly Refund[], line: RefundLine, lines: readonly RefundLine[]): void {
  const { sku } = line;
  const of = (some: readonly RefundLine[]) =>
    some.filter((one) => one.sku === sku).reduce((sum, one) => sum + one.quantity, 0);
  const ordered = order.lines.find((one) => one.sku === sku)?.quantity ?? 0;
  const left = ordered - open.reduce((sum, refund) => sum + of(refund.lines), 0);
  if (of(lines) > left) {
    throw new Rejection('refund-exceeds-quantity', `${of(lines)} of ${sku}, of which ${left} are left to refund`);
  }
}

const timeOutKey = (orderId: string): string => `time-out-order/${orderId}`;

function timeOut(orderId: string, now: string): ScheduledCommand {
  const dueAt = addSeconds(now, checkoutTimeoutSeconds);
  return { key: timeOutKey(orderId), type: 'ordering.time-out-order', payload: { orderId }, dueAt };
}
