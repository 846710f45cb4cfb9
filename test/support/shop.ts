import { CatalogClient, type Answer, type HttpClient, LedgerClient } from './client.js';

type Headers = Readonly<Record<string, string>>;
type Lines = readonly { readonly sku: string; readonly quantity: number }[];

export interface OrderOptions {
  readonly orderId?: string;
  readonly customerId?: string;
  readonly account?: string;
  readonly autoFulfil?: boolean;
  readonly metadata?: object;
  readonly headers?: Headers;
}

/** A shop of its own ledger, in the words of those who buy and sell. */
export class Shop {
  readonly ledger: LedgerClient;
  readonly catalog: CatalogClient;

  constructor(
    readonly http: HttpClient,
    readonly name: string,
  ) {
    this.ledger = new LedgerClient(http, name);
    this.catalog = new CatalogClient(http);
  }

  /** Opens the shop's account and where money comes from. */
  async open(): Promise<this> {
    await expectDone(this.ledger.openSource('world'), this.ledger.openAccount('merchant'));
    return this;
  }

  /** A product of one SKU, with so many units in stock. */
  async sells(sku: string, quantity: number, amount = '1000', currency = 'EUR'): Promise<void> {
    const product = { productId: `p-${sku}`, name: sku, variants: [{ sku, price: { amount, currency } }] };
    await expectDone(this.catalog.create(product));
    if (quantity > 0) await expectDone(this.receive(sku, quantity));
  }

  /** A customer with an account of the same name, and so much money. */
  async customer(account: string, amount = '1000000'): Promise<void> {
    await expectDone(this.ledger.openAccount(account));
    if (amount !== '0') await expectDone(this.ledger.transfer('world', account, amount));
  }

  receive(sku: string, quantity: number): Promise<Answer> {
    return this.http.post(`/v1/stock/${sku}/receipts`, { quantity });
  }

  /** Sets units aside for somebody who has not ordered yet. */
  reserve(sku: string, quantity: number, expiresInSeconds: number, headers?: Headers): Promise<Answer> {
    return this.http.post(`/v1/stock/${sku}/reservations`, { quantity, expiresInSeconds }, headers);
  }

  place(lines: Lines, { account = 'ann', customerId = account, headers, ...rest }: OrderOptions = {}): Promise<Answer> {
    return this.http.post('/v1/orders', { customerId, lines, payment: { ledger: this.name, account }, ...rest }, headers);
  }

  /** Places an order and waits for the verdict. */
  buy(lines: Lines, { headers, ...options }: OrderOptions = {}): Promise<Answer> {
    return this.place(lines, { ...options, headers: { prefer: 'wait=30', ...headers } });
  }

  cancel(orderId: string, body?: object, headers?: Headers): Promise<Answer> {
    return this.http.post(`/v1/orders/${orderId}/cancel`, body, headers);
  }

  fulfil(orderId: string, headers?: Headers): Promise<Answer> {
    return this.http.post(`/v1/orders/${orderId}/fulfil`, undefined, headers);
  }

  refund(orderId: string, body?: object, headers?: Headers): Promise<Answer> {
    return this.http.post(`/v1/orders/${orderId}/refunds`, body, headers);
  }

  order(orderId: string, headers?: Headers): Promise<Answer> {
    return this.http.get(`/v1/orders/${orderId}`, headers);
  }

  orders(query: string, headers?: Headers): Promise<Answer> {
    return this.http.get(`/v1/orders?${query}`, headers);
  }

  async stock(sku: string): Promise<{ onHand: number; reserved: number; available: number }> {
    const { onHand, reserved, available } = (await this.http.get(`/v1/stock/${sku}`)).body;
    return { onHand, reserved, available };
  }

  async balances(account: string): Promise<{ balance: string; available: string }> {
    const { balance, available } = (await this.ledger.account(account)).body;
    return { balance, available };
  }
}

async function expectDone(...answers: Promise<Answer>[]): Promise<void> {
  for (const { status, text } of await Promise.all(answers)) if (status >= 300) throw new Error(`${status} ${text}`);
}
