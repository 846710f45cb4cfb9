import type { LogContents, LoggedEvent, RecordedCommand, StreamLink } from '../chaos/log-contents.js';
import { isRead, type Action, type Read, type Write } from './actions.js';
import type { FinalState } from './final-state.js';
import type { Entry, Fault, History } from './history.js';

/** When an attempt was made, and what its client saw of it. Milliseconds. */
export interface Seen {
  readonly client?: number;
  readonly server?: string;
  readonly key?: string;
  readonly tokenSent?: string;
  /** The effect is this long after the invocation, and so long before the answer. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
  /** It took effect, and its client did not hear of it. */
  readonly isLost?: boolean;
  /** The client asks again, with the same key, and hears of it then. */
  readonly askedAgainAfterMs?: number;
}

type Happened = readonly [type: string, stream: string, data: object, links?: readonly string[]];

interface Account {
  balance: bigint;
  pendingIn: bigint;
  pendingOut: bigint;
  version: number;
  readonly isUnlimited: boolean;
}

/**
 * A system that does everything right, one thing after the other, in a few lines: it makes histories that checkers have
 * nothing to say against, and logs that fit them. Tests then change something. It knows transfers, pending ones apart,
 * reservations without an end, orders that are checked out as they are placed, and products with their prices.
 */
export class Pretend {
  readonly entries: Entry[] = [];
  readonly faults: Fault[] = [];
  private readonly startedAtMs = Date.parse('2026-01-31T12:00:00Z');
  private readonly events: LoggedEvent[] = [];
  private readonly links: StreamLink[] = [];
  private readonly commands: RecordedCommand[] = [];
  private readonly heads = [0, 0, 0];
  private readonly versions = new Map<string, number>();
  private readonly accounts = new Map<string, Account>();
  private readonly stock = new Map<string, { onHand: number; reserved: number; version: number }>();
  private readonly reservations = new Map<string, { quantity: number; status: string }>();
  private readonly orders = new Map<string, { status: string; version: number; action: Extract<Write, { kind: 'place-order' }> }>();
  private readonly products = new Map<string, { name: string; variants: Map<string, { amount: string; currency: string }>; version: number }>();
  private nowMs = 0;
  private keys = 0;

  get isUnderFault(): boolean {
    return (this.faults.at(-1)?.healedAtMs ?? 0) > this.nowMs;
  }

  /** The system does it now, at once; the client sees it as `seen` says. */
  do(action: Action, seen: Seen = {}): Entry {
    const { client = 1, server = 'all-1', tokenSent, beforeMs = 2, afterMs = 3, isLost, askedAgainAfterMs } = seen;
    this.nowMs += 10;
    const answer = isRead(action) ? this.read(action) : this.write(action);
    const { status, body, token, etag } = answer;
    const key = isRead(action) ? undefined : (seen.key ?? `key-${++this.keys}`);
    const asked = { number: this.entries.length + 1, client, server, action, ...(key && { key }), ...(tokenSent && { tokenSent }) };
    const times = { invokedAtMs: this.nowMs - beforeMs, endedAtMs: this.nowMs + afterMs };
    const answered = {
      fate: status < 300 ? 'acknowledged' : 'refused',
      status,
      body,
      ...(token && { tokenReceived: token }),
      ...(etag && { etag }),
    } as const;
    const entry: Entry = isLost ? { ...asked, ...times, fate: 'unknown', error: 'ECONNRESET' } : { ...asked, ...times, ...answered };
    this.entries.push(entry);
    if (askedAgainAfterMs !== undefined) {
      const invokedAtMs = times.endedAtMs + askedAgainAfterMs;
      this.entries.push({ ...asked, number: entry.number + 1, invokedAtMs, endedAtMs: invokedAtMs + 2, ...answered, isReplayed: true });
    }
    return entry;
  }

  fault(name: string, target: string, lastsMs: number): this {
    this.faults.push({ name, target, beganAtMs: this.nowMs, healedAtMs: this.nowMs + lastsMs });
    return this;
  }

  get history(): History {
    const entries = [...this.entries].sort((a, b) => a.invokedAtMs - b.invokedAtMs);
    const run = { seed: '42', command: 'npm run torture -- --seed 42', startedAt: new Date(this.startedAtMs).toISOString() };
    return { run: { ...run, endedAtMs: this.nowMs }, entries, faults: this.faults };
  }

  get log(): LogContents {
    const partitions = this.heads.map((head, partition) => ({ partition, head }));
    return structuredClone({ partitions, events: this.events, links: this.links, commands: this.commands });
  }

  get state(): FinalState {
    const { log } = this;
    const accounts = [...this.accounts].map(([name, { balance, pendingIn, pendingOut, version }]) => {
      const [ledger, accountId] = name.split('/');
      const pending = { pendingIn: String(pendingIn), pendingOut: String(pendingOut) };
      return { ledger, accountId, currency: 'EUR', balance: String(balance), ...pending, version, closed: false };
    });
    const ledgers = [...new Set(accounts.map(({ ledger }) => ledger))];
    return {
      log,
      ledger: {
        accounts,
        trialBalances: ledgers.map((ledger) => {
          const balances = accounts.filter((account) => account.ledger === ledger).map(({ balance }) => BigInt(balance));
          const sum = (some: bigint[]) => String(some.reduce((total, one) => total + one, 0n));
          const debits = sum(balances.filter((one) => one < 0n).map((one) => -one));
          return { ledger, currency: 'EUR', accounts: String(balances.length), debits, credits: sum(balances.filter((one) => one > 0n)) };
        }),
      },
      stock: [...this.stock].map(([sku, { version, ...levels }]) => ({ sku, location: 'main', versions: version, ...levels })),
      reservations: [...this.reservations].map(([name, { quantity, status }]) => {
        const [sku, reservationId] = name.split('/') as [string, string];
        return { sku, reservationId, quantity, status };
      }),
      orders: [...this.orders].map(([orderId, { status, version, action }]) => ({
        orderId,
        customerId: action.customerId,
        status,
        version,
        total: this.totalOf(action),
      })),
      work: { lagEvents: 0, stuck: [], commands: [] },
    };
  }

  // ---- What it does

  private write(action: Write): { status: number; body: object; token?: string; etag?: string } {
    switch (action.kind) {
      case 'open-account': {
        const { ledger, accountId, currency, overdraft } = action;
        this.accounts.set(`${ledger}/${accountId}`, { balance: 0n, pendingIn: 0n, pendingOut: 0n, version: 1, isUnlimited: overdraft === 'unlimited' });
        return this.commit(201, this.accountOf(ledger, accountId), [
          0,
          ['ledger.account-opened.v1', `account/${ledger}/${accountId}`, { ledger, accountId, currency, overdraft }],
        ]);
      }
      case 'transfer': {
        const { ledger, source, destination, amount, transactionId, reference } = action;
        const from = this.accounts.get(`${ledger}/${source}`)!;
        if (!from.isUnlimited && from.balance - from.pendingOut < BigInt(amount)) return this.refuse(0, 'insufficient-funds');
        const event = this.move(ledger, source, destination, amount, { transactionId, reference });
        const balances = Object.fromEntries([source, destination].map((id) => [id, this.balanceOf(ledger, id)]));
        return this.commit(201, { transactionId, status: 'posted', balances }, [0, event]);
      }
      case 'receive-stock': {
        const { sku, quantity, reference } = action;
        const stock = this.stock.get(sku) ?? { onHand: 0, reserved: 0, version: 0 };
        this.stock.set(sku, { ...stock, onHand: stock.onHand + quantity, version: stock.version + 1 });
        const levels = this.levelsOf(sku);
        return this.commit(201, { sku, ...levels }, [
          1,
          ['inventory.stock-received.v1', `stock/${sku}`, { sku, quantity, location: 'main', reference, ...levels }],
        ]);
      }
      case 'reserve': {
        const { sku, reservationId, quantity } = action;
        const event = this.hold(sku, reservationId, quantity);
        if (!event) return this.refuse(1, 'insufficient-stock');
        return this.commit(201, { sku, reservationId, quantity, status: 'reserved' }, [1, event]);
      }
      case 'release':
      case 'commit': {
        const { sku, reservationId, kind } = action;
        const status = kind === 'release' ? 'released' : 'committed';
        const reservation = this.reservations.get(`${sku}/${reservationId}`);
        if (!reservation) return this.refuse(1, 'reservation-not-found', 404);
        if (reservation.status !== 'reserved') {
          if (reservation.status === status) return this.commit(200, { sku, reservationId, ...reservation });
          return this.refuse(1, `reservation-${reservation.status}`);
        }
        const event = this.settle(sku, reservationId, status);
        return this.commit(200, { sku, reservationId, quantity: reservation.quantity, status }, [1, event]);
      }
      case 'place-order': {
        const { orderId, customerId, lines, ledger, account, autoFulfil } = action;
        const payment = { ledger, account };
        const total = this.totalOf(action);
        const placed: Happened = [
          'ordering.order-placed.v1',
          `order/${orderId}`,
          { orderId, customerId, lines, total, currency: 'EUR', payment, ...(autoFulfil && { autoFulfil }) },
        ];
        const isThere = lines.every(({ sku, quantity }) => this.availableOf(sku) >= quantity);
        const isPaid = BigInt(this.balanceOf(ledger, account).available) >= BigInt(total);
        if (!isThere || !isPaid) {
          this.orders.set(orderId, { status: 'rejected', version: 2, action });
          const code = isThere ? 'insufficient-funds' : 'insufficient-stock';
          const data = { orderId, refusal: { code, detail: '' }, taken: { skus: [], payment: false }, payment };
          this.commit(409, {}, [2, placed, ['ordering.order-rejected.v1', `order/${orderId}`, data]]);
          return { status: 409, body: { code } };
        }
        this.orders.set(orderId, { status: 'confirmed', version: 2, action });
        const authorised = this.authorise(ledger, account, total, orderId);
        const held = lines.map(({ sku, quantity }) => this.hold(sku, `order:${orderId}`, quantity)!);
        const confirmed: Happened = ['ordering.order-confirmed.v1', `order/${orderId}`, { orderId, transactionId: `order:${orderId}` }];
        return this.commit(201, { orderId, status: 'confirmed', total }, [0, authorised], [1, ...held], [2, placed, confirmed]);
      }
      case 'cancel-order': {
        const { orderId } = action;
        const order = this.orders.get(orderId)!;
        if (order.status !== 'confirmed') return this.refuse(2, 'not-cancellable');
        Object.assign(order, { status: 'cancelled', version: order.version + 1 });
        const { ledger, account, lines } = order.action;
        const released = this.releasePayment(ledger, account, this.totalOf(order.action), orderId);
        const freed = lines.map(({ sku }) => this.settle(sku, `order:${orderId}`, 'released'));
        const cancelled: Happened = ['ordering.order-cancelled.v1', `order/${orderId}`, { orderId }];
        return this.commit(200, { orderId, status: 'cancelled' }, [2, cancelled], [0, released], [1, ...freed]);
      }
      case 'fulfil-order': {
        const { orderId } = action;
        const order = this.orders.get(orderId)!;
        if (order.status !== 'confirmed') return this.refuse(2, 'not-confirmed');
        Object.assign(order, { status: 'fulfilled', version: order.version + 2 });
        const { ledger, account, lines } = order.action;
        const captured = this.capture(ledger, account, this.totalOf(order.action), orderId);
        const shipped = lines.map(({ sku }) => this.settle(sku, `order:${orderId}`, 'committed'));
        const begun: Happened = ['ordering.fulfilment-started.v1', `order/${orderId}`, { orderId }];
        const done: Happened = ['ordering.order-fulfilled.v1', `order/${orderId}`, { orderId }];
        return this.commit(200, { orderId, status: 'fulfilled' }, [2, begun, done], [0, captured], [1, ...shipped]);
      }
      case 'create-product': {
        const { productId, name } = action;
        const prices = action.variants.map(({ sku, amount, currency }) => [sku, { amount, currency }] as const);
        this.products.set(productId, { name, variants: new Map(prices), version: 1 });
        const variants = prices.map(([sku, price]) => ({ sku, price }));
        return this.commit(201, this.productOf(productId), [2, ['catalog.product-created.v1', `product/${productId}`, { productId, name, variants }]]);
      }
      case 'change-price': {
        const { productId, sku, amount, currency } = action;
        const product = this.products.get(productId)!;
        product.variants.set(sku, { amount, currency });
        product.version++;
        const data = { productId, sku, price: { amount, currency } };
        return this.commit(200, this.productOf(productId), [2, ['catalog.variant-changed.v1', `product/${productId}`, data]]);
      }
      default:
        throw new Error(`nobody pretends to ${action.kind}`);
    }
  }

  private read(action: Read): { status: number; body: object; token?: string; etag?: string } {
    const asOf = (partition: number) => `${partition}@${this.heads[partition]}`;
    switch (action.kind) {
      case 'read-account':
        return { status: 200, body: this.accountOf(action.ledger, action.accountId), token: asOf(0) };
      case 'read-stock': {
        const { sku } = action;
        return { status: 200, body: { sku, ...this.levelsOf(sku), version: this.stock.get(sku)!.version }, token: asOf(1) };
      }
      case 'read-order': {
        const { status, version } = this.orders.get(action.orderId)!;
        return { status: 200, body: { orderId: action.orderId, status }, token: asOf(2), etag: `"${version}"` };
      }
      case 'read-trial-balance': {
        const sum = [...this.accounts.values()].filter(({ balance }) => balance > 0n).reduce((total, { balance }) => total + balance, 0n);
        return { status: 200, body: { currencies: { EUR: { debits: String(sum), credits: String(sum) } } }, token: asOf(0) };
      }
      case 'list-entries':
        return this.page(action.query, this.events.flatMap((event) => this.entryOf(event, action.ledger, action.accountId)));
      case 'list-movements':
        return this.page(action.query, this.events.flatMap((event) => this.movementsOf(event, action.sku)));
      case 'list-orders':
        return this.page(action.query, [...this.orders.keys()].map((orderId) => this.orderOf(orderId)));
      case 'read-product':
        return { status: 200, body: this.productOf(action.productId), token: asOf(2), etag: `"${this.products.get(action.productId)!.version}"` };
      case 'list-products': {
        const newestFirst = [...this.products.keys()].sort().reverse();
        return this.page(action.query, newestFirst.map((productId) => this.productOf(productId)));
      }
      case 'read-sku': {
        const { sku } = action;
        const [productId, { name, variants }] = [...this.products].find(([, { variants }]) => variants.has(sku))!;
        const body = { sku, name: null, price: variants.get(sku), productId, productName: name, status: 'active', available: this.availableOf(sku) };
        return { status: 200, body, token: asOf(2) };
      }
      default:
        throw new Error(`nobody pretends to ${action.kind}`);
    }
  }

  // ---- How it does it

  /** The last come first. */
  private page(query: string | undefined, all: readonly object[]) {
    const limit = Number(new URLSearchParams(query).get('limit') ?? 50);
    return { status: 200, body: { items: all.toReversed().slice(0, limit), nextCursor: all.length > limit ? 'more' : null } };
  }

  private entryOf({ type, data, recordedAt }: LoggedEvent, ledger: string, accountId: string): object[] {
    if (!['ledger.transaction-posted.v1', 'ledger.transaction-captured.v1'].includes(type) || data.ledger !== ledger) return [];
    const { transactionId, reference = null, postings: [{ source, destination, amount, sourceBalance, destinationBalance }] } = data;
    const said = { transactionId, reference, recordedAt };
    if (source === accountId) return [{ ...said, amount: `-${amount}`, balanceAfter: sourceBalance, counterparty: destination }];
    return destination === accountId ? [{ ...said, amount, balanceAfter: destinationBalance, counterparty: source }] : [];
  }

  private movementsOf({ type, data, recordedAt }: LoggedEvent, of: string): object[] {
    if (!type.startsWith('inventory.') || data.sku !== of) return [];
    const { reservationId = null, reference = null, reason = null, allocations = [data] } = data;
    return allocations.map(({ location, quantity, onHand, reserved }: { location: string; quantity: number; onHand: number; reserved: number }) => ({
      type: type.slice(type.lastIndexOf('-') + 1, -'.v1'.length),
      ...{ location, quantity, onHandAfter: onHand, reservedAfter: reserved, reservationId, reference, reason, recordedAt },
    }));
  }

  private orderOf(orderId: string): object {
    const { action } = this.orders.get(orderId)!;
    const history = this.events.flatMap(({ type, data, recordedAt }) => {
      const [, status] = /^ordering\.order-(\w+)\.v1$/.exec(type) ?? [];
      return status && data.orderId === orderId ? [{ status, at: recordedAt }] : [];
    });
    return { orderId, customerId: action.customerId, total: this.totalOf(action), placedAt: history[0]!.at, status: history.at(-1)!.status, history, refunds: [] };
  }

  private productOf(productId: string): object {
    const { name, variants, version } = this.products.get(productId)!;
    return { productId, name, status: 'active', variants: [...variants].map(([sku, price]) => ({ sku, name: null, price })), version };
  }

  /** Each unit is one unit of money. */
  private totalOf({ lines }: { readonly lines: readonly { readonly quantity: number }[] }): string {
    return String(lines.reduce((sum, { quantity }) => sum + quantity, 0));
  }

  private balanceOf(ledger: string, id: string) {
    const { balance, pendingOut, isUnlimited } = this.accounts.get(`${ledger}/${id}`)!;
    const largest = 2n ** 63n - 1n;
    const sum = balance - pendingOut + (isUnlimited ? largest : 0n);
    const available = sum > largest ? largest : sum;
    return { balance: String(balance), available: String(available) };
  }

  private accountOf(ledger: string, accountId: string): object {
    const { version, pendingIn, pendingOut } = this.accounts.get(`${ledger}/${accountId}`)!;
    const pending = { pendingIn: String(pendingIn), pendingOut: String(pendingOut) };
    return { accountId, ledger, ...this.balanceOf(ledger, accountId), ...pending, version };
  }

  private levelsOf(sku: string) {
    const { onHand, reserved } = this.stock.get(sku)!;
    return { onHand, reserved, available: onHand - reserved };
  }

  private availableOf(sku: string): number {
    const stock = this.stock.get(sku);
    return stock ? stock.onHand - stock.reserved : 0;
  }

  private change(ledger: string, accountId: string, amount: bigint, pendingIn = 0n, pendingOut = 0n): string {
    const account = this.accounts.get(`${ledger}/${accountId}`)!;
    account.pendingIn += pendingIn;
    account.pendingOut += pendingOut;
    account.balance += amount;
    account.version++;
    return String(account.balance);
  }

  private move(ledger: string, source: string, destination: string, amount: string, more: object, type = 'posted'): Happened {
    const authorised = type === 'captured' ? { authorised: amount } : {};
    const held = type === 'captured' ? BigInt(amount) : 0n;
    const sourceBalance = this.change(ledger, source, -BigInt(amount), 0n, -held);
    const destinationBalance = this.change(ledger, destination, BigInt(amount), -held);
    const postings = [{ source, destination, amount, currency: 'EUR', sourceBalance, destinationBalance, ...authorised }];
    const { transactionId } = more as { transactionId: string };
    const links = [source, destination].map((id) => `account/${ledger}/${id}`);
    return [`ledger.transaction-${type}.v1`, `transaction/${ledger}/${transactionId}`, { ledger, ...more, postings }, links];
  }

  private authorise(ledger: string, source: string, amount: string, orderId: string): Happened {
    return this.pend(ledger, source, amount, orderId, 'authorised', {});
  }

  private releasePayment(ledger: string, source: string, amount: string, orderId: string): Happened {
    return this.pend(ledger, source, amount, orderId, 'released', { reason: 'voided' });
  }

  private capture(ledger: string, source: string, amount: string, orderId: string): Happened {
    return this.move(ledger, source, 'merchant', amount, { transactionId: `order:${orderId}` }, 'captured');
  }

  private pend(ledger: string, source: string, amount: string, orderId: string, what: string, more: object): Happened {
    const sign = what === 'authorised' ? 1n : -1n;
    this.change(ledger, source, 0n, 0n, sign * BigInt(amount));
    this.change(ledger, 'merchant', 0n, sign * BigInt(amount));
    const [transactionId, postings] = [`order:${orderId}`, [{ source, destination: 'merchant', amount }]];
    const links = [source, 'merchant'].map((id) => `account/${ledger}/${id}`);
    return [`ledger.transaction-${what}.v1`, `transaction/${ledger}/${transactionId}`, { ledger, transactionId, postings, ...more }, links];
  }

  private hold(sku: string, reservationId: string, quantity: number): Happened | undefined {
    if (this.availableOf(sku) < quantity) return undefined;
    const stock = this.stock.get(sku)!;
    Object.assign(stock, { reserved: stock.reserved + quantity, version: stock.version + 1 });
    this.reservations.set(`${sku}/${reservationId}`, { quantity, status: 'reserved' });
    return this.reservationEvent('inventory.stock-reserved.v1', sku, reservationId, quantity, { quantity });
  }

  private settle(sku: string, reservationId: string, status: string): Happened {
    const reservation = this.reservations.get(`${sku}/${reservationId}`)!;
    const stock = this.stock.get(sku)!;
    const { quantity } = reservation;
    const onHand = status === 'committed' ? stock.onHand - quantity : stock.onHand;
    Object.assign(stock, { onHand, reserved: stock.reserved - quantity, version: stock.version + 1 });
    reservation.status = status;
    return this.reservationEvent(`inventory.reservation-${status}.v1`, sku, reservationId, quantity, {});
  }

  private reservationEvent(type: string, sku: string, reservationId: string, quantity: number, more: object): Happened {
    const allocations = [{ location: 'main', quantity, ...this.levelsOf(sku) }];
    return [type, `reservation/${sku}/${reservationId}`, { sku, reservationId, allocations, ...more }, [`stock/${sku}`]];
  }

  private refuse(partition: number, code: string, status = 409) {
    this.commands.push({ partition, commandId: `${partition}.c${this.commands.length}`, status: 'refused', firstPosition: null, lastPosition: null });
    return { status, body: { code } };
  }

  private commit(status: number, body: object, ...parts: (readonly [partition: number, ...events: Happened[]])[]) {
    const recordedAt = new Date(this.startedAtMs + this.nowMs).toISOString();
    const tokens = parts.map(([partition, ...happened]) => {
      const commandId = `${partition}.c${this.commands.length}`;
      const firstPosition = this.heads[partition]! + 1;
      for (const [type, stream, data, links = []] of happened) {
        const position = ++this.heads[partition]!;
        this.events.push({ partition, position, stream, version: this.versionOf(stream), type, data, commandId, recordedAt });
        for (const link of links) this.links.push({ partition, stream: link, version: this.versionOf(link), position });
      }
      const lastPosition = this.heads[partition]!;
      this.commands.push({ partition, commandId, status: 'executed', firstPosition, lastPosition });
      return `${partition}@${lastPosition}`;
    });
    return { status, body, ...(tokens.length > 0 && { token: tokens.join() }) };
  }

  private versionOf(stream: string): number {
    const version = (this.versions.get(stream) ?? 0) + 1;
    this.versions.set(stream, version);
    return version;
  }
}

/** A run of so many operations of many clients: most overlap, some are lost, and now and then there is a fault. */
export function pretendRun(seed: number, operations: number): Pretend {
  const random = generator(seed);
  const below = (n: number) => Math.floor(random() * n);
  const system = new Pretend();
  const ids = ['ann', 'bob', 'eve', 'joe'];
  for (const accountId of ['world', 'merchant', 'cat', ...ids]) {
    const overdraft = accountId === 'world' ? 'unlimited' : 'none';
    system.do({ kind: 'open-account', ledger: 'north', accountId, currency: 'EUR', overdraft });
  }
  const transfer = (source: string, destination: string, amount: number, name: string): Write => ({
    ...{ kind: 'transfer', ledger: 'north', source, destination, amount: String(amount), currency: 'EUR' },
    ...{ reference: `r-${name}`, transactionId: `t-${name}` },
  });
  const receive = (sku: string, quantity: number, name: string): Write => ({ kind: 'receive-stock', sku, quantity, reference: `d-${name}` });
  for (const id of ['cat', ...ids]) system.do(transfer('world', id, 1_000, `first-${id}`));
  for (const sku of ['mug', 'pen', 'ink']) system.do(receive(sku, 20, 'first'));
  const reservations: { sku: string; reservationId: string }[] = [];
  const orders: string[] = [];

  const anything = (name: string): Action => {
    const dice = below(100);
    const sku = ['pen', 'ink'][below(2)]!;
    if (dice < 40) return transfer(ids[below(4)]!, ids[below(4)]! === 'ann' ? 'world' : 'cat', 1 + below(300), name);
    if (dice < 50) return transfer('world', ids[below(4)]!, 1 + below(500), name);
    if (dice < 57) return { kind: 'read-account', ledger: 'north', accountId: ids[below(4)]! };
    if (dice < 58) return { kind: 'list-entries', ledger: 'north', accountId: ids[below(4)]!, query: 'limit=10' };
    if (dice < 59) return { kind: 'list-movements', sku, query: 'limit=10' };
    if (dice < 60) return { kind: 'list-orders', query: 'limit=10' };
    if (dice < 64) return { kind: 'read-stock', sku };
    if (dice < 70) return receive(['mug', sku][below(2)]!, 1 + below(6), name);
    if (dice < 80) {
      reservations.push({ sku, reservationId: name });
      return { kind: 'reserve', sku, reservationId: name, quantity: 1 + below(4) };
    }
    if (dice < 90 && reservations.length > 0) {
      const [reservation] = reservations.splice(below(reservations.length), 1);
      return { kind: dice < 85 ? 'release' : 'commit', ...reservation! };
    }
    if (dice < 96 || orders.length === 0) {
      orders.push(name);
      const lines = [{ sku: 'mug', quantity: 1 + below(3) }];
      return { kind: 'place-order', orderId: name, customerId: 'cat', ledger: 'north', account: 'cat', lines };
    }
    const [orderId] = orders.splice(below(orders.length), 1);
    return { kind: dice < 98 ? 'cancel-order' : 'fulfil-order', orderId: orderId! };
  };

  for (let i = 0; i < operations; i++) {
    if (i % 500 === 250) system.fault(['postgres-crash', 'process-kill', 'redis-freeze'][below(3)]!, `node-${below(3) + 1}`, 200 + below(3_000));
    // Some are seen long after they were done; some never. Under a fault these are more.
    const slow = below(system.isUnderFault ? 8 : 50) === 0 ? (system.isUnderFault ? 1_500 : 300) : 40;
    const isLost = below(system.isUnderFault ? 30 : 200) === 0;
    const askedAgain = isLost && below(20) > 0 ? { askedAgainAfterMs: below(1_000) } : {};
    const [client, server] = [1 + below(12), `node-${below(3) + 1}`];
    const action = anything(String(i));
    system.do(action, { client, server, beforeMs: 1 + below(slow), afterMs: 1 + below(slow), isLost, ...(!isRead(action) && askedAgain) });
  }
  return system;
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
