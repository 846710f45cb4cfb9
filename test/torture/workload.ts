import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from '../support/client.js';
import { isRead, requestOf, type Action, type Line, type Read, type Write } from './actions.js';
import type { Dice } from './dice.js';
import type { Entry, Recorder } from './history.js';

/** Somebody who answers requests, and which of them. */
export interface Door {
  readonly name: string;
  readonly url: string;
  readonly serves: 'all' | 'writes' | 'reads';
}

export interface Mix {
  readonly clients: number;
  /** How many of a hundred transfers and reservations are about the one hot account or SKU. */
  readonly hotPercent: number;
}

/** What there is to move about. Few things, so that clients meet; each run makes them anew. */
const ledgers = ['north', 'south'] as const;
const accountsPerLedger = 6;
const shop = 'shop';
const customers = 5;
const skus = Array.from({ length: 6 }, (_, index) => `sku-${index}`);
/**
 * What orders are about. The others only clients write to, and nothing of them expires or is accepted for later: every change
 * of them has a beginning and an end in the history, and their order can be searched for. The same goes for one ledger.
 */
const sold = skus.slice(0, 4);
const followedLedger = 'south';
const currency = 'EUR';
const answerWithinMs = 8_000;
/** How often a client asks before it gives up, and leaves open what became of it. */
const attempts = 6;

type Weighted = { readonly weight: number; readonly make: () => Write | undefined };

/**
 * Clients who each do one thing after the other: they move money, keep stock, buy, cancel and ask for their money back,
 * and read what came of it, with a token and without. One that has no answer asks again with the same key, as often as
 * not at another door; some give up, and never know. What each does is decided by its own dice; in which order their
 * requests meet is not, since the processes are real.
 */
export class Workload {
  private readonly clients: Client[];
  private running: Promise<unknown> | undefined;

  constructor(
    private readonly recorder: Recorder,
    doors: readonly Door[],
    { clients, hotPercent }: Mix,
    diceOf: (name: string) => Dice,
  ) {
    const things = new Things();
    this.clients = Array.from(
      { length: clients },
      (_, index) => new Client(index + 1, recorder, doors, diceOf(`client ${index + 1}`), things, hotPercent),
    );
  }

  /** Opens accounts, and puts goods on the shelves. Before the first fault: all of it must succeed. */
  async open(): Promise<void> {
    const [first] = this.clients;
    for (const ledger of [...ledgers, shop]) {
      await first!.insist({ kind: 'open-account', ledger, accountId: 'world', currency, overdraft: 'unlimited' });
    }
    const accounts = [
      ...ledgers.flatMap((ledger) => accountNames(accountsPerLedger).map((accountId) => ({ ledger, accountId }))),
      ...[...customerNames(), 'merchant'].map((accountId) => ({ ledger: shop, accountId })),
    ];
    await Promise.all(
      accounts.map(async ({ ledger, accountId }, index) => {
        const client = this.clients[index % this.clients.length]!;
        await client.insist({ kind: 'open-account', ledger, accountId, currency, overdraft: 'none' });
        if (accountId !== 'merchant') await client.insist(client.payIn(ledger, accountId, '2000'));
      }),
    );
    await Promise.all(
      skus.map(async (sku, index) => {
        const client = this.clients[index % this.clients.length]!;
        const variants = [{ sku, amount: String(100 + index), currency }];
        await client.insist({ kind: 'create-product', productId: `product-${sku}`, name: `Product ${sku}`, variants });
        await client.insist({ kind: 'receive-stock', sku, quantity: 50, reference: `first-${sku}` });
      }),
    );
  }

  begin(): void {
    this.running = Promise.all(this.clients.map((client) => client.run()));
  }

  /** Lets every client finish what it is at. */
  async end(): Promise<void> {
    for (const client of this.clients) client.isStopping = true;
    await this.running;
  }

  /** Asks again about everything whose fate its client never learned, until it is known. */
  async resolve(deadlineMs: number): Promise<void> {
    const open = this.clients.flatMap((client) => client.abandoned.map((entry) => ({ client, entry })));
    await Promise.all(
      this.clients.map(async () => {
        for (let next = open.pop(); next; next = open.pop()) await next.client.settle(next.entry, deadlineMs);
      }),
    );
  }

  /** Reads everything once more, at every door that serves reads. */
  async lookAround(): Promise<void> {
    const reads: Read[] = [
      ...ledgers.flatMap((ledger) => accountNames(accountsPerLedger).map((accountId) => ({ kind: 'read-account', ledger, accountId }) as const)),
      ...[...customerNames(), 'merchant'].map((accountId) => ({ kind: 'read-account', ledger: shop, accountId }) as const),
      ...skus.flatMap((sku) => (['read-stock', 'read-sku'] as const).map((kind) => ({ kind, sku }))),
      ...accountNames(accountsPerLedger).map((accountId) => ({ kind: 'list-entries', ledger: followedLedger, accountId, query: 'limit=500' }) as const),
      ...skus.map((sku) => ({ kind: 'list-movements', sku, query: 'limit=500' }) as const),
      ...customerNames().map((customerId) => ({ kind: 'list-orders', query: `limit=500&customerId=${customerId}` }) as const),
    ];
    for (const read of reads) await Promise.all(this.clients.map((client) => client.read(read, client.token)));
  }

  close(): void {
    for (const client of this.clients) client.close();
  }

  get nowMs(): number {
    return this.recorder.nowMs();
  }
}

/** Ids of what clients have made, for others to do something with. */
class Things {
  readonly transactions: { ledger: string; transactionId: string }[] = [];
  readonly pending: { ledger: string; transactionId: string }[] = [];
  readonly reservations: { sku: string; reservationId: string }[] = [];
  readonly orders: { orderId: string; lines: readonly Line[] }[] = [];
}

class Client {
  isStopping = false;
  /** Attempts that were given up while nobody knew what became of them. */
  readonly abandoned: Entry[] = [];
  /** Of everything this client has been told of: the furthest position in each partition. */
  private readonly seen = new Map<number, number>();
  private readonly https = new Map<string, HttpClient>();
  private made = 0;

  constructor(
    private readonly number: number,
    private readonly recorder: Recorder,
    private readonly doors: readonly Door[],
    private readonly dice: Dice,
    private readonly things: Things,
    private readonly hotPercent: number,
  ) {
    for (const { name, url } of doors) this.https.set(name, new HttpClient({ url }));
  }

  get token(): string | undefined {
    const positions = [...this.seen].map(([partition, position]) => `${partition}@${position}`);
    return positions.length > 0 ? positions.join() : undefined;
  }

  async run(): Promise<void> {
    while (!this.isStopping) {
      if (this.dice.percent(45)) await this.read(this.anyRead(), this.dice.percent(60) ? this.token : undefined);
      else await this.write(this.anyWrite());
      await sleep(this.dice.between(0, 20));
    }
  }

  /** Before there are faults. */
  async insist(action: Write): Promise<void> {
    const key = this.newId('key');
    for (let attempt = 0; attempt < 20; attempt++) {
      const { fate, status, body } = await this.ask(action, { key });
      if (fate === 'acknowledged') return;
      if (fate === 'refused') throw new Error(`${action.kind} was refused: ${status} ${JSON.stringify(body)}`);
      await sleep(100);
    }
    throw new Error(`${action.kind} was not done`);
  }

  payIn(ledger: string, accountId: string, amount: string): Write {
    return { kind: 'transfer', ledger, ...this.transfer('world', accountId, amount) };
  }

  async read(action: Read, tokenSent: string | undefined): Promise<void> {
    const entry = await this.ask(action, { tokenSent });
    // What was read is what this client goes on from.
    if (entry.fate === 'acknowledged') this.note(entry.tokenReceived);
  }

  /** Asks until it is known what became of it, or gives up. */
  async settle({ action, key, prefer }: Entry, deadlineMs: number): Promise<void> {
    while (this.recorder.nowMs() < deadlineMs) {
      const { fate } = await this.ask(action, { key, prefer });
      if (fate === 'acknowledged' || fate === 'refused') return;
      await sleep(50);
    }
  }

  close(): void {
    for (const http of this.https.values()) http.close();
  }

  private async write(action: Write | undefined): Promise<void> {
    if (!action) return;
    const key = this.newId('key');
    const prefer = this.preferenceOf(action);
    // Some ask twice at the same time, as impatient people do.
    if (this.dice.percent(5)) await Promise.all([this.ask(action, { key, prefer }), this.ask(action, { key, prefer })]);
    const patience = this.dice.percent(85) ? attempts : 1;
    for (let attempt = 1; ; attempt++) {
      const entry = await this.ask(action, { key, prefer });
      const { fate } = entry;
      if (fate === 'acknowledged') this.remember(action);
      if (fate === 'acknowledged' || fate === 'refused' || fate === 'unexpected') return;
      if (attempt >= patience || this.isStopping) return void this.abandoned.push(entry);
      await sleep(this.dice.between(10, 200));
    }
  }

  private preferenceOf(action: Write): string | undefined {
    if (action.kind === 'place-order') return this.dice.percent(60) ? 'wait=5' : undefined;
    return this.dice.percent(8) && !isFollowed(action) ? 'respond-async' : undefined;
  }

  private async ask(action: Action, with_: { key?: string; prefer?: string; tokenSent?: string }): Promise<Entry> {
    const isReading = isRead(action);
    const door = this.dice.oneOf(this.doors.filter(({ serves }) => serves === 'all' || serves === (isReading ? 'reads' : 'writes')));
    const { method, path, body } = requestOf(action);
    const { key, prefer, tokenSent } = with_;
    const headers = {
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(prefer !== undefined && { prefer }),
      ...(tokenSent !== undefined && { 'consistency-token': tokenSent }),
    };
    const asking = { client: this.number, server: door.name, action, ...with_ };
    const entry = await this.recorder.attempt(asking, () =>
      this.https.get(door.name)!.request(method, path, { headers, body, timeoutMs: answerWithinMs }),
    );
    if (!isReading && (entry.fate === 'acknowledged' || entry.fate === 'refused')) this.note(entry.tokenReceived);
    return entry;
  }

  private note(token: string | undefined): void {
    for (const part of token?.split(',') ?? []) {
      const [partition, position] = part.trim().split('@').map(Number) as [number, number];
      this.seen.set(partition, Math.max(position, this.seen.get(partition) ?? 0));
    }
  }

  // ---- What to do

  private anyWrite(): Write | undefined {
    const { dice } = this;
    const choices: Weighted[] = [
      { weight: 30, make: () => this.anyTransfer() },
      { weight: 3, make: () => ({ kind: 'bulk-transfer', ...this.severalTransfers() }) },
      { weight: 6, make: () => this.anyAuthorisation() },
      { weight: 5, make: () => this.pending((one) => ({ kind: 'capture', ...one })) },
      { weight: 3, make: () => this.pending((one) => ({ kind: 'void', ...one })) },
      { weight: 5, make: () => this.reversal() },
      { weight: 6, make: () => ({ kind: 'receive-stock', sku: this.anySku(), quantity: dice.between(1, 8), reference: this.newId('receipt') }) },
      { weight: 2, make: () => ({ kind: 'adjust-stock', sku: this.anySku(), delta: dice.oneOf([-2, -1, 1, 2]), reason: this.newId('count') }) },
      { weight: 14, make: () => this.reservation() },
      { weight: 5, make: () => this.reserved((one) => ({ kind: 'release', ...one })) },
      { weight: 5, make: () => this.reserved((one) => ({ kind: 'commit', ...one })) },
      { weight: 14, make: () => this.order() },
      { weight: 4, make: () => this.placed(({ orderId }) => ({ kind: 'cancel-order', orderId })) },
      { weight: 5, make: () => this.placed(({ orderId }) => ({ kind: 'fulfil-order', orderId })) },
      { weight: 3, make: () => this.placed(({ orderId }) => ({ kind: 'refund-order', orderId, amount: String(dice.between(1, 200)) })) },
      { weight: 1, make: () => this.newPrice() },
      { weight: 3, make: () => this.payIn(shop, dice.oneOf(customerNames()), String(dice.between(100, 1_000))) },
    ];
    return dice.weighted(choices).make();
  }

  private anyRead(): Read {
    const { dice } = this;
    const ledger = dice.oneOf([...ledgers, shop]);
    const accountId = ledger === shop ? dice.oneOf([...customerNames(), 'merchant']) : this.anyAccount();
    const order = this.things.orders.length > 0 ? dice.oneOf(this.things.orders) : undefined;
    const choices: { weight: number; read: Read }[] = [
      { weight: 30, read: { kind: 'read-account', ledger, accountId } },
      { weight: 4, read: { kind: 'list-entries', ledger, accountId, query: 'limit=20' } },
      { weight: 4, read: { kind: 'list-accounts', ledger, query: 'limit=50' } },
      { weight: 3, read: { kind: 'read-trial-balance', ledger } },
      { weight: 20, read: { kind: 'read-stock', sku: this.anySku() } },
      { weight: 3, read: { kind: 'list-movements', sku: this.anySku(), query: 'limit=20' } },
      ...(order ? [{ weight: 15, read: { kind: 'read-order', orderId: order.orderId } as const }] : []),
      { weight: 3, read: { kind: 'list-orders', query: dice.percent(50) ? 'limit=20' : `limit=10&customerId=${dice.oneOf(customerNames())}` } },
      { weight: 4, read: { kind: 'read-sku', sku: this.anySku() } },
      { weight: 2, read: { kind: 'read-product', productId: `product-${this.anySku()}` } },
      { weight: 2, read: { kind: 'list-products', query: 'limit=10&sort=name' } },
    ];
    return dice.weighted(choices).read;
  }

  private anyTransfer(): Write {
    const ledger = this.dice.oneOf(ledgers);
    return { kind: 'transfer', ledger, ...this.anyPosting() };
  }

  private severalTransfers() {
    const transfers = Array.from({ length: this.dice.between(2, 5) }, () => this.anyPosting());
    return { ledger: this.dice.oneOf(ledgers), transfers };
  }

  private anyAuthorisation(): Write {
    const ledger = this.dice.oneOf(ledgers);
    const expires = ledger !== followedLedger && this.dice.percent(60) ? { expiresInSeconds: this.dice.between(1, 10) } : {};
    return { kind: 'authorise', ledger, ...this.anyPosting(), ...expires };
  }

  /** More than some accounts can pay. */
  private anyPosting() {
    const source = this.anyAccount();
    const destination = this.dice.oneOf(accountNames(accountsPerLedger).filter((name) => name !== source));
    return this.transfer(source, destination, String(this.dice.between(1, 900)));
  }

  private transfer(source: string, destination: string, amount: string) {
    const transactionId = this.newId('transaction');
    return { source, destination, amount, currency, reference: transactionId, transactionId };
  }

  private reversal(): Write | undefined {
    if (this.things.transactions.length === 0) return undefined;
    return { kind: 'reverse', ...this.dice.oneOf(this.things.transactions), reversalId: this.newId('reversal') };
  }

  private reservation(): Write {
    const sku = this.anySku();
    const expires = sold.includes(sku) && this.dice.percent(40) ? { expiresInSeconds: this.dice.between(1, 8) } : {};
    return { kind: 'reserve', sku, reservationId: this.newId('reservation'), quantity: this.dice.between(1, 6), ...expires };
  }

  private order(): Write {
    const account = this.dice.oneOf(customerNames());
    const sku = () => (this.dice.percent(this.hotPercent) ? skus[0]! : this.dice.oneOf(sold));
    const lines = Array.from(new Set([sku(), sku()]), (sku) => ({ sku, quantity: this.dice.between(1, 3) }));
    const autoFulfil = this.dice.percent(20) ? { autoFulfil: true } : {};
    return { kind: 'place-order', orderId: this.newId('order'), customerId: account, ledger: shop, account, lines, ...autoFulfil };
  }

  private newPrice(): Write {
    const sku = this.anySku();
    return { kind: 'change-price', productId: `product-${sku}`, sku, amount: String(this.dice.between(50, 300)), currency };
  }

  private pending(make: (one: { ledger: string; transactionId: string }) => Write): Write | undefined {
    return this.ofSome(this.things.pending, make);
  }

  private reserved(make: (one: { sku: string; reservationId: string }) => Write): Write | undefined {
    return this.ofSome(this.things.reservations, make);
  }

  private placed(make: (one: { orderId: string }) => Write): Write | undefined {
    return this.ofSome(this.things.orders, make);
  }

  private ofSome<T>(some: readonly T[], make: (one: T) => Write): Write | undefined {
    return some.length === 0 ? undefined : make(this.dice.oneOf(some));
  }

  private remember(action: Write): void {
    const { transactions, pending, reservations, orders } = this.things;
    if (action.kind === 'transfer') keep(transactions, { ledger: action.ledger, transactionId: action.transactionId });
    if (action.kind === 'authorise') keep(pending, { ledger: action.ledger, transactionId: action.transactionId });
    if (action.kind === 'reserve') keep(reservations, { sku: action.sku, reservationId: action.reservationId });
    if (action.kind === 'place-order') keep(orders, { orderId: action.orderId, lines: action.lines });
  }

  private anyAccount(): string {
    return this.dice.percent(this.hotPercent) ? 'account-0' : this.dice.oneOf(accountNames(accountsPerLedger));
  }

  private anySku(): string {
    return this.dice.percent(this.hotPercent) ? skus[0]! : this.dice.oneOf(skus);
  }

  private newId(what: string): string {
    return `${what}-${this.number}-${++this.made}-${this.dice.word(6)}`;
  }
}

function isFollowed(action: Write): boolean {
  return ('ledger' in action && action.ledger === followedLedger) || ('sku' in action && !sold.includes(action.sku));
}

function accountNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `account-${index}`);
}

function customerNames(): string[] {
  return Array.from({ length: customers }, (_, index) => `customer-${index}`);
}

/** The latest of them: what is older is left alone. */
function keep<T>(things: T[], one: T): void {
  things.push(one);
  if (things.length > 100) things.shift();
}
