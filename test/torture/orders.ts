import { positionOf } from './effects.js';
import type { OrderStatus, OrderVersion, Replay } from './replay.js';
import { violation, type Violation } from './violation.js';

/** What may follow what. */
const next: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  placed: ['confirmed', 'rejected', 'cancelled'],
  confirmed: ['fulfilled', 'cancelled'],
  fulfilled: ['partially-refunded', 'refunded'],
  'partially-refunded': ['partially-refunded', 'refunded'],
  rejected: [],
  cancelled: [],
  refunded: [],
};

/**
 * Every order that was placed comes to one end, and holds what that says (C11), once all work is done: nothing when it
 * was rejected or cancelled; one reservation per line and its total pending when it was confirmed; the same committed
 * and captured when it was fulfilled; and no more paid back than that.
 */
export function ordersGoneWrong({ orders, reservations, transactions }: Replay): Violation[] {
  const found: Violation[] = [];
  for (const versions of orders.values()) {
    const order = versions.at(-1)!;
    const say = (sentence: string) =>
      found.push(violation('C11', `order ${order.orderId} ${sentence}`, [], versions.map(({ event }) => positionOf(event))));
    checkPath(order, say);
    checkEnd(order, say);
    checkStock(order, reservations, say);
    checkMoney(order, transactions, say);
  }
  for (const { reservationId, sku, status, event } of reservations.values()) {
    if (!reservationId?.startsWith('order:') || status === 'released') continue;
    if (orders.has(`order/${reservationId.slice('order:'.length)}`)) continue;
    found.push(violation('C11', `${sku} is ${status} for ${reservationId}, and there is no such order`, [], [positionOf(event)]));
  }
  return found;
}

type Say = (sentence: string) => void;

function checkPath({ statuses }: OrderVersion, say: Say): void {
  if (statuses[0] !== 'placed') say(`is ${statuses[0]} and was never placed`);
  statuses.slice(1).forEach((status, index) => {
    const before = statuses[index]!;
    if (!next[before].includes(status)) say(`was ${before} and then ${status}`);
  });
}

function checkEnd({ status, isShipping, autoFulfil, refunds }: OrderVersion, say: Say): void {
  if (status === 'placed') say('has no verdict');
  if (isShipping) say('is being fulfilled, and never was');
  if (status === 'confirmed' && autoFulfil) say('was to be fulfilled by itself, and is not');
  for (const [refundId, refund] of refunds) if (refund.status === 'requested') say(`has not got its refund ${refundId}`);
}

function checkStock({ orderId, status, lines }: OrderVersion, reservations: Replay['reservations'], say: Say): void {
  const holds = status === 'confirmed' ? 'reserved' : isFulfilled(status) ? 'committed' : undefined;
  for (const { sku, quantity } of lines) {
    const reservation = reservations.get(`reservation/${sku}/order:${orderId}`);
    const isHeld = reservation?.status === 'reserved' || reservation?.status === 'committed';
    if (!holds) {
      if (isHeld && status !== 'placed') say(`is ${status}, and ${reservation.quantity} of ${sku} are ${reservation.status} for it`);
    } else if (reservation?.status !== holds || reservation.quantity !== quantity) {
      const there = reservation ? `${reservation.quantity} are ${reservation.status}` : 'nothing is reserved';
      say(`is ${status}, and of ${quantity} of ${sku} ${there} for it`);
    }
  }
}

function checkMoney(order: OrderVersion, transactions: Replay['transactions'], say: Say): void {
  const { orderId, status, total, payment, refunds } = order;
  const paid = transactions.get(`transaction/${payment.ledger}/order:${orderId}`);
  const holds = status === 'confirmed' ? 'pending' : isFulfilled(status) ? 'posted' : undefined;
  if (!holds || total === '0') {
    const isHeld = paid?.status === 'pending' || paid?.status === 'posted';
    if (isHeld && status !== 'placed') say(`is ${status}, and ${paid.amount} are ${paid.status} for it`);
  } else if (paid?.status !== holds || String(paid.amount) !== total || paid.source !== payment.account || paid.destination !== 'merchant') {
    const there = paid ? `${paid.amount} are ${paid.status} from ${paid.source} to ${paid.destination}` : 'nothing is paid';
    say(`is ${status}, and of its total of ${total} ${there}`);
  }
  let [asked, back] = [0n, 0n];
  for (const [refundId, refund] of refunds) {
    const transaction = transactions.get(`transaction/${payment.ledger}/refund:${orderId}:${refundId}`);
    if (refund.status === 'paid') asked += BigInt(refund.amount);
    if (transaction) back += transaction.amount;
    if (refund.status === 'paid' && refund.amount !== '0' && !transaction) say(`was paid its refund ${refundId}, and no money moved`);
    if (refund.status === 'refused' && transaction) say(`was refused its refund ${refundId}, and money moved`);
  }
  if (back > asked) say(`was refunded ${asked}, and ${back} moved`);
  if (asked > BigInt(total)) say(`was refunded ${asked} of ${total}`);
  if (status === 'refunded' && asked !== BigInt(total)) say(`is refunded, and ${asked} of ${total} is`);
}

const isFulfilled = (status: OrderStatus): boolean => status === 'fulfilled' || status === 'partially-refunded' || status === 'refunded';
