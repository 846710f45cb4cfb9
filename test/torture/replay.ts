import type { LogContents, LoggedEvent } from '../chaos/log-contents.js';

/**
 * The log folded once more, by other code than the product's: so a mistake in the product's folding does not hide
 * itself. Of every stream it keeps each version's state, to which answers can be held.
 */
export interface Replay {
  /** By `account/<ledger>/<id>`; the state of version n is at n − 1. */
  readonly accounts: ReadonlyMap<string, readonly AccountVersion[]>;
  /** By `sku/<sku>`. */
  readonly stock: ReadonlyMap<string, readonly StockVersion[]>;
  /** By `order/<id>`. */
  readonly orders: ReadonlyMap<string, readonly OrderVersion[]>;
  /** By `reservation/<sku>/<id>`, as it is in the end. */
  readonly reservations: ReadonlyMap<string, Reservation>;
  /** By `transaction/<ledger>/<id>`, as it is in the end. */
  readonly transactions: ReadonlyMap<string, Transaction>;
  /** What the events say that can not be, in words, and where. */
  readonly oversold: readonly { readonly sentence: string; readonly event: LoggedEvent }[];
}

/** Of every stream's version: the event it came with. */
interface Version {
  readonly event: LoggedEvent;
}

export interface AccountVersion extends Version {
  readonly balance: bigint;
  readonly pendingIn: bigint;
  readonly pendingOut: bigint;
  /** How far below zero it may go. */
  readonly limit: bigint;
}

export interface StockVersion extends Version {
  /** By location. */
  readonly levels: ReadonlyMap<string, { readonly onHand: number; readonly versions: number }>;
  readonly onHand: number;
  /** What was reserved when its event was recorded. */
  readonly held: number;
}

export type OrderStatus = 'placed' | 'confirmed' | 'fulfilled' | 'rejected' | 'cancelled' | 'partially-refunded' | 'refunded';

export interface OrderVersion extends Version {
  readonly orderId: string;
  readonly customerId: string;
  readonly status: OrderStatus;
  readonly statuses: readonly OrderStatus[];
  readonly isShipping: boolean;
  readonly autoFulfil: boolean;
  readonly total: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: { readonly ledger: string; readonly account: string };
  readonly refunds: ReadonlyMap<string, { readonly amount: string; readonly status: 'requested' | 'paid' | 'refused' }>;
}

export interface Reservation {
  readonly sku: string;
  readonly reservationId: string;
  readonly quantity: number;
  readonly allocations: readonly { readonly location: string; readonly quantity: number }[];
  readonly expiresAt?: string;
  readonly status: 'reserved' | 'released' | 'committed' | 'expired';
  readonly event: LoggedEvent;
}

export interface Transaction {
  readonly status: 'pending' | 'posted' | 'voided' | 'expired';
  readonly amount: bigint;
  readonly source: string;
  readonly destination: string;
  readonly event: LoggedEvent;
}

export function replay({ events }: LogContents): Replay {
  const books = { accounts: new Map<string, AccountVersion[]>(), transactions: new Map<string, Transaction>() };
  const store = new Store();
  const orders = new Map<string, OrderVersion[]>();
  for (const event of [...events].sort((a, b) => a.partition - b.partition || a.position - b.position)) {
    if (event.type.startsWith('ledger.')) foldLedger(event, books);
    if (event.type.startsWith('inventory.')) store.fold(event);
    if (event.type.startsWith('ordering.')) foldOrder(event, orders);
  }
  return { ...books, stock: store.stock, reservations: store.reservations, oversold: store.oversold, orders };
}

// ---- Accounts

interface Books {
  readonly accounts: Map<string, AccountVersion[]>;
  readonly transactions: Map<string, Transaction>;
}

function foldLedger(event: LoggedEvent, { accounts, transactions }: Books): void {
  const { type, data } = event;
  const changes = new Map<string, { balance: bigint; pendingIn: bigint; pendingOut: bigint }>();
  const change = (accountId: string, balance: bigint, pendingIn: bigint, pendingOut: bigint) => {
    const sum = changes.get(accountId) ?? { balance: 0n, pendingIn: 0n, pendingOut: 0n };
    changes.set(accountId, { balance: sum.balance + balance, pendingIn: sum.pendingIn + pendingIn, pendingOut: sum.pendingOut + pendingOut });
  };
  if (data.accountId !== undefined) change(data.accountId, 0n, 0n, 0n);
  for (const { source, destination, amount, authorised = '0' } of data.postings ?? []) {
    const [value, pending] = [BigInt(amount), type === 'ledger.transaction-authorised.v1' ? BigInt(amount) : -BigInt(authorised)];
    const isPendingOnly = type === 'ledger.transaction-authorised.v1' || type === 'ledger.transaction-released.v1';
    const moved = isPendingOnly ? 0n : value;
    const held = type === 'ledger.transaction-released.v1' ? -value : pending;
    change(source, -moved, 0n, held);
    change(destination, moved, held, 0n);
  }
  for (const [accountId, { balance, pendingIn, pendingOut }] of changes) {
    const name = `account/${data.ledger}/${accountId}`;
    const versions = accounts.get(name) ?? [];
    accounts.set(name, versions);
    const before = versions.at(-1) ?? { balance: 0n, pendingIn: 0n, pendingOut: 0n, limit: limitOf(data.overdraft) };
    versions.push({
      event,
      balance: before.balance + balance,
      pendingIn: before.pendingIn + pendingIn,
      pendingOut: before.pendingOut + pendingOut,
      limit: before.limit,
    });
  }
  if (data.transactionId === undefined) return;
  const [{ source, destination }] = data.postings;
  const amount = data.postings.reduce((sum: bigint, posting: { amount: string }) => sum + BigInt(posting.amount), 0n);
  const status = type === 'ledger.transaction-authorised.v1' ? 'pending' : type === 'ledger.transaction-released.v1' ? data.reason : 'posted';
  transactions.set(`transaction/${data.ledger}/${data.transactionId}`, { status, amount, source, destination, event });
}

function limitOf(overdraft: 'none' | 'unlimited' | { readonly limit: string } = 'none'): bigint {
  if (overdraft === 'none') return 0n;
  return overdraft === 'unlimited' ? 2n ** 63n - 1n : BigInt(overdraft.limit);
}

// ---- Stock

interface Level {
  onHand: number;
  versions: number;
  /** Reservations that hold something there. */
  readonly open: Map<string, { readonly quantity: number; readonly expiresAtMs: number }>;
}

class Store {
  readonly stock = new Map<string, StockVersion[]>();
  readonly reservations = new Map<string, Reservation>();
  readonly oversold: { sentence: string; event: LoggedEvent }[] = [];
  private readonly levels = new Map<string, Map<string, Level>>();

  fold(event: LoggedEvent): void {
    const { type, data } = event;
    switch (type) {
      case 'inventory.stock-received.v1':
        return this.move(event, [{ ...data, quantity: data.quantity }], 1);
      case 'inventory.stock-adjusted.v1':
        return this.move(event, [{ ...data, quantity: data.delta }], 1);
      case 'inventory.stock-reserved.v1':
        this.become(event, { ...data, status: 'reserved', event });
        return this.move(event, data.allocations, 0, 'reserve');
      case 'inventory.reservation-committed.v1':
        this.become(event, { status: 'committed', event });
        return this.move(event, data.allocations, -1, 'settle');
      case 'inventory.reservation-released.v1':
        this.become(event, { ...(data.allocations.length === 0 && { ...data, quantity: 0 }), status: 'released', event });
        return this.move(event, data.allocations, 0, 'settle');
      case 'inventory.reservation-expired.v1':
        this.become(event, { status: 'expired', event });
        return this.move(event, data.allocations, 0, 'settle');
    }
  }

  private become({ data }: LoggedEvent, what: Partial<Reservation>): void {
    const name = `reservation/${data.sku}/${data.reservationId}`;
    this.reservations.set(name, { ...this.reservations.get(name)!, ...what });
  }

  private move(
    event: LoggedEvent,
    lines: readonly { location: string; quantity: number; onHand: number; reserved: number }[],
    sign: number,
    hold?: 'reserve' | 'settle',
  ): void {
    if (lines.length === 0) return;
    const { sku, reservationId, expiresAt } = event.data;
    const locations = this.levels.get(sku) ?? new Map<string, Level>();
    this.levels.set(sku, locations);
    const atMs = Date.parse(event.recordedAt);
    lines.forEach(({ location, quantity, onHand }, index) => {
      const level = locations.get(location) ?? { onHand: 0, versions: 0, open: new Map() };
      locations.set(location, level);
      level.onHand += sign * quantity;
      if (index === 0) level.versions++;
      if (hold === 'reserve') level.open.set(reservationId, { quantity, expiresAtMs: expiresAt ? Date.parse(expiresAt) : Infinity });
      if (hold === 'settle') level.open.delete(reservationId);
      const held = heldAt(level, atMs);
      const where = `${sku} at ${location}`;
      if (level.onHand < 0) this.oversold.push({ sentence: `${where} has ${level.onHand} on hand`, event });
      if (held > level.onHand) this.oversold.push({ sentence: `${where} has ${level.onHand} on hand, and ${held} are reserved`, event });
      if (onHand !== level.onHand) this.oversold.push({ sentence: `${where} is said to have ${onHand} on hand, and has ${level.onHand}`, event });
    });
    const versions = this.stock.get(`sku/${sku}`) ?? [];
    this.stock.set(`sku/${sku}`, versions);
    const levels = new Map([...locations].map(([location, { onHand, versions }]) => [location, { onHand, versions }]));
    const sum = (of: (level: Level) => number) => [...locations.values()].reduce((total, level) => total + of(level), 0);
    versions.push({ event, levels, onHand: sum(({ onHand }) => onHand), held: sum((level) => heldAt(level, atMs)) });
  }
}

function heldAt({ open }: Level, atMs: number): number {
  let held = 0;
  for (const { quantity, expiresAtMs } of open.values()) if (expiresAtMs > atMs) held += quantity;
  return held;
}

// ---- Orders

function foldOrder(event: LoggedEvent, orders: Map<string, OrderVersion[]>): void {
  const { type, data } = event;
  const name = `order/${data.orderId}`;
  const versions = orders.get(name) ?? [];
  orders.set(name, versions);
  const before = versions.at(-1) ?? notPlaced(event);
  if (type === 'ordering.order-placed.v1' && versions.length === 0) {
    const { customerId, total, lines, payment, autoFulfil = false, refusal } = data;
    const statuses: OrderStatus[] = refusal ? ['placed', 'rejected'] : ['placed'];
    versions.push({ ...before, customerId, total, lines, payment, autoFulfil, statuses, status: statuses.at(-1)! });
    return;
  }
  const become = (status: OrderStatus, what: Partial<OrderVersion> = {}) =>
    versions.push({ ...before, ...what, event, status, statuses: [...before.statuses, status] });
  const stay = (what: Partial<OrderVersion>) => versions.push({ ...before, ...what, event });
  const refunds = new Map(before.refunds);
  switch (type) {
    case 'ordering.order-confirmed.v1':
      return void become('confirmed');
    case 'ordering.order-rejected.v1':
      return void become('rejected');
    case 'ordering.order-cancelled.v1':
      return void become('cancelled');
    case 'ordering.fulfilment-started.v1':
      return void stay({ isShipping: true });
    case 'ordering.order-fulfilled.v1':
      return void become('fulfilled', { isShipping: false });
    case 'ordering.refund-requested.v1':
      return void stay({ refunds: refunds.set(data.refundId, { amount: data.amount, status: 'requested' }) });
    case 'ordering.refund-paid.v1':
      refunds.set(data.refundId, { ...refunds.get(data.refundId)!, status: 'paid' });
      return void (data.status === before.status ? stay({ refunds }) : become(data.status, { refunds }));
    case 'ordering.refund-refused.v1':
      return void stay({ refunds: refunds.set(data.refundId, { ...refunds.get(data.refundId)!, status: 'refused' }) });
    default:
      // Another placing of it: C11 sees two of them.
      return void stay(type === 'ordering.order-placed.v1' ? { statuses: [...before.statuses, 'placed'] } : {});
  }
}

/** Nothing is known of an order that begins otherwise than by being placed. */
function notPlaced(event: LoggedEvent): OrderVersion {
  const { orderId } = event.data;
  const unknown = { customerId: '', total: '0', lines: [], payment: { ledger: '', account: '' }, refunds: new Map() };
  return { event, orderId, ...unknown, status: 'placed', statuses: [], isShipping: false, autoFulfil: false };
}
