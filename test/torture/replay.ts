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
  /** By `product/<id>`. */
  readonly products: ReadonlyMap<string, readonly ProductVersion[]>;
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

/** What a list of all that happened says of it, as far as the log says so too. */
export type Line = Readonly<Record<string, string | number | null>>;

export interface AccountVersion extends Version {
  readonly balance: bigint;
  readonly pendingIn: bigint;
  readonly pendingOut: bigint;
  /** How far below zero it may go. */
  readonly limit: bigint;
  /** What its event is on the account's statement. */
  readonly lines: readonly Line[];
}

export interface StockVersion extends Version {
  /** By location. */
  readonly levels: ReadonlyMap<string, { readonly onHand: number; readonly versions: number }>;
  readonly onHand: number;
  /** What was reserved when its event was recorded. */
  readonly held: number;
  /** What its event is among the SKU's movements. */
  readonly lines: readonly Line[];
}

export type OrderStatus = 'placed' | 'confirmed' | 'fulfilled' | 'rejected' | 'cancelled' | 'partially-refunded' | 'refunded';

export interface OrderVersion extends Version {
  readonly orderId: string;
  readonly customerId: string;
  /** RFC 3339. */
  readonly placedAt: string;
  readonly status: OrderStatus;
  readonly statuses: readonly OrderStatus[];
  readonly isShipping: boolean;
  readonly autoFulfil: boolean;
  readonly total: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: { readonly ledger: string; readonly account: string };
  readonly refunds: ReadonlyMap<string, { readonly amount: string; readonly status: 'requested' | 'paid' | 'refused' }>;
}

export interface ProductVersion extends Version {
  readonly productId: string;
  readonly name: string;
  readonly status: 'active' | 'archived';
  /** By SKU, in their order. */
  readonly variants: ReadonlyMap<string, { readonly name: string | null; readonly price: { readonly amount: string; readonly currency: string } }>;
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
  const products = new Map<string, ProductVersion[]>();
  for (const event of [...events].sort((a, b) => a.partition - b.partition || a.position - b.position)) {
    if (event.type.startsWith('ledger.')) foldLedger(event, books);
    if (event.type.startsWith('inventory.')) store.fold(event);
    if (event.type.startsWith('ordering.')) foldOrder(event, orders);
    if (event.type.startsWith('catalog.')) foldProduct(event, products);
  }
  return { ...books, stock: store.stock, reservations: store.reservations, oversold: store.oversold, orders, products };
}

// ---- Accounts

interface Books {
  readonly accounts: Map<string, AccountVersion[]>;
  readonly transactions: Map<string, Transaction>;
}

function foldLedger(event: LoggedEvent, { accounts, transactions }: Books): void {
  const { type, data } = event;
  const changes = new Map<string, { balance: bigint; pendingIn: bigint; pendingOut: bigint }>();
  const moves: { readonly accountId: string; readonly amount: bigint; readonly counterparty: string }[] = [];
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
    if (isPendingOnly) continue;
    moves.push({ accountId: source, amount: -value, counterparty: destination }, { accountId: destination, amount: value, counterparty: source });
  }
  for (const [accountId, { balance, pendingIn, pendingOut }] of changes) {
    const name = `account/${data.ledger}/${accountId}`;
    const versions = accounts.get(name) ?? [];
    accounts.set(name, versions);
    const before = versions.at(-1) ?? { balance: 0n, pendingIn: 0n, pendingOut: 0n, limit: limitOf(data.overdraft) };
    let after = before.balance;
    const lines = moves.filter((move) => move.accountId === accountId).map(({ amount, counterparty }) => {
      after += amount;
      const said = { transactionId: data.transactionId, amount: String(amount), balanceAfter: String(after), counterparty };
      return { ...said, reference: data.reference ?? null, recordedAt: timeOf(event) };
    });
    versions.push({
      event,
      lines,
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
    const movements: Line[] = [];
    lines.forEach(({ location, quantity, onHand, reserved }, index) => {
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
      const { reference = null, reason = null } = event.data;
      const after = { onHandAfter: level.onHand, reservedAfter: reserved };
      movements.push({ type: movementOf(event), location, quantity, ...after, reservationId: reservationId ?? null, reference, reason, recordedAt: timeOf(event) });
      if (onHand !== level.onHand) this.oversold.push({ sentence: `${where} is said to have ${onHand} on hand, and has ${level.onHand}`, event });
    });
    const versions = this.stock.get(`sku/${sku}`) ?? [];
    this.stock.set(`sku/${sku}`, versions);
    const levels = new Map([...locations].map(([location, { onHand, versions }]) => [location, { onHand, versions }]));
    const sum = (of: (level: Level) => number) => [...locations.values()].reduce((total, level) => total + of(level), 0);
    versions.push({ event, lines: movements, levels, onHand: sum(({ onHand }) => onHand), held: sum((level) => heldAt(level, atMs)) });
  }
}

function heldAt({ open }: Level, atMs: number): number {
  let held = 0;
  for (const { quantity, expiresAtMs } of open.values()) if (expiresAtMs > atMs) held += quantity;
  return held;
}

/** As lists call it: received, adjusted, reserved, committed, released, expired. */
function movementOf({ type }: LoggedEvent): string {
  return /-(\w+)\.v1$/.exec(type)![1]!;
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
    const placedAt = timeOf(event);
    const statuses: OrderStatus[] = refusal ? ['placed', 'rejected'] : ['placed'];
    versions.push({ ...before, customerId, placedAt, total, lines, payment, autoFulfil, statuses, status: statuses.at(-1)! });
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
    case 'ordering.fulfilment-refused.v1':
      return void stay({ isShipping: false });
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
  const unknown = { customerId: '', placedAt: '', total: '0', lines: [], payment: { ledger: '', account: '' }, refunds: new Map() };
  return { event, orderId, ...unknown, status: 'placed', statuses: [], isShipping: false, autoFulfil: false };
}

// ---- Products

function foldProduct(event: LoggedEvent, products: Map<string, ProductVersion[]>): void {
  const { type, data } = event;
  const name = `product/${data.productId}`;
  const versions = products.get(name) ?? [];
  products.set(name, versions);
  const before = versions.at(-1) ?? { productId: data.productId, name: '', status: 'active' as const, variants: new Map() };
  const become = (what: Partial<ProductVersion>) => void versions.push({ ...before, ...what, event });
  const variants = new Map(before.variants);
  const put = ({ sku, name = null, price }: { sku: string; name?: string | null; price: { amount: string; currency: string } }) =>
    variants.set(sku, { name, price });
  switch (type) {
    case 'catalog.product-created.v1':
      data.variants.forEach(put);
      return become({ name: data.name, variants });
    case 'catalog.product-changed.v1':
      return become({ name: data.name ?? before.name });
    case 'catalog.variant-added.v1':
    case 'catalog.variant-changed.v1':
      return become({ variants: put(data) });
    case 'catalog.product-archived.v1':
      return become({ status: 'archived' });
    case 'catalog.product-restored.v1':
      return become({ status: 'active' });
    default:
      return become({});
  }
}

/** As answers say it. */
function timeOf({ recordedAt }: LoggedEvent): string {
  return new Date(recordedAt).toISOString();
}
