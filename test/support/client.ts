import { Agent, request as send, type IncomingHttpHeaders } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; `{}` when there is none. */
  // Tests look into many shapes of answers; what they expect of each is what they assert.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Sent as JSON, unless it is a string or a Buffer, which are sent as they are. */
  readonly body?: unknown;
  readonly contentType?: string | null;
  /** How long the server may say nothing; then there is no answer. Default: for ever. */
  readonly timeoutMs?: number;
}

/** A keep-alive HTTP client of one server. Rejects when there is no answer. */
export class HttpClient {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 256 });

  constructor(private readonly server: { readonly url: string }) {}

  get url(): string {
    return this.server.url;
  }

  request(method: string, path: string, { headers = {}, body, contentType, timeoutMs }: RequestOptions = {}): Promise<Answer> {
    const payload =
      body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const { hostname, port } = new URL(this.server.url);
    const type = contentType === undefined ? 'application/json' : contentType;
    return new Promise((resolve, reject) => {
      const outgoing = send(
        {
          method,
          path,
          hostname,
          port,
          agent: this.agent,
          headers: {
            ...(payload !== undefined && type !== null && { 'content-type': type }),
            ...(payload !== undefined && { 'content-length': String(Buffer.byteLength(payload)) }),
            ...headers,
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: incoming.statusCode!, headers: incoming.headers, text, body: parsed(text) });
          });
        },
      );
      outgoing.on('error', reject);
      if (timeoutMs) outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer for ${timeoutMs} ms`)));
      outgoing.end(payload);
    });
  }

  get(path: string, headers?: RequestOptions['headers']): Promise<Answer> {
    return this.request('GET', path, { headers });
  }

  post(path: string, body?: unknown, headers?: RequestOptions['headers']): Promise<Answer> {
    return this.request('POST', path, { body, headers });
  }

  close(): void {
    this.agent.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    return {};
  }
}

type Headers = Readonly<Record<string, string>>;

export interface TransferOptions {
  readonly transactionId?: string;
  readonly pending?: boolean;
  readonly expiresInSeconds?: number;
  readonly reference?: string;
  readonly metadata?: object;
  readonly headers?: Headers;
}

/** One ledger, in the words of those who keep books. */
export class LedgerClient {
  constructor(
    readonly http: HttpClient,
    readonly ledger: string,
  ) {}

  path(rest: string): string {
    return `/v1/ledgers/${this.ledger}/${rest}`;
  }

  openAccount(accountId: string, options: { currency?: string; overdraft?: unknown; metadata?: object } = {}, headers?: Headers) {
    return this.http.post(this.path('accounts'), { accountId, currency: 'EUR', ...options }, headers);
  }

  /** An account money comes from: its overdraft is unlimited. */
  openSource(accountId: string, currency = 'EUR') {
    return this.openAccount(accountId, { currency, overdraft: 'unlimited' });
  }

  closeAccount(accountId: string, headers?: Headers) {
    return this.http.post(this.path(`accounts/${accountId}/close`), undefined, headers);
  }

  transfer(source: string, destination: string, amount: string | number, options: TransferOptions = {}) {
    const { headers, ...body } = options;
    return this.http.post(this.path('transactions'), { postings: [{ source, destination, amount }], ...body }, headers);
  }

  /** Sets an amount aside until it is captured or voided. */
  authorise(source: string, destination: string, amount: string | number, options: TransferOptions = {}) {
    return this.transfer(source, destination, amount, { pending: true, ...options });
  }

  post(body: object, headers?: Headers) {
    return this.http.post(this.path('transactions'), body, headers);
  }

  bulk(items: unknown, query = '', headers?: Headers) {
    return this.http.post(this.path(`transactions/bulk${query}`), items, headers);
  }

  bulkLines(lines: string, query = '', headers?: Headers) {
    const options = { body: lines, contentType: 'application/x-ndjson', headers };
    return this.http.request('POST', this.path(`transactions/bulk${query}`), options);
  }

  capture(transactionId: string, amount?: string, headers?: Headers) {
    const body = amount === undefined ? undefined : { amount };
    return this.http.post(this.path(`transactions/${transactionId}/capture`), body, headers);
  }

  voidTransaction(transactionId: string, headers?: Headers) {
    return this.http.post(this.path(`transactions/${transactionId}/void`), undefined, headers);
  }

  reverse(transactionId: string, body?: object, headers?: Headers) {
    return this.http.post(this.path(`transactions/${transactionId}/reverse`), body, headers);
  }

  account(accountId: string, query = '', headers?: Headers) {
    return this.http.get(this.path(`accounts/${accountId}${query}`), headers);
  }

  accounts(query = '', headers?: Headers) {
    return this.http.get(this.path(`accounts${query}`), headers);
  }

  statement(accountId: string, query = '', headers?: Headers) {
    return this.http.get(this.path(`accounts/${accountId}/entries${query}`), headers);
  }

  transaction(transactionId: string, headers?: Headers) {
    return this.http.get(this.path(`transactions/${transactionId}`), headers);
  }

  trialBalance(headers?: Headers) {
    return this.http.get(this.path('trial-balance'), headers);
  }
}

/** The catalogue, in the words of those who keep a shop. */
export class CatalogClient {
  constructor(readonly http: HttpClient) {}

  create(body: unknown, headers?: Headers) {
    return this.http.post('/v1/products', body, headers);
  }

  change(productId: string, body: unknown, headers?: Headers) {
    return this.http.request('PATCH', `/v1/products/${productId}`, { body, headers });
  }

  putVariant(productId: string, sku: string, body: unknown, headers?: Headers) {
    return this.http.request('PUT', `/v1/products/${productId}/variants/${sku}`, { body, headers });
  }

  archive(productId: string, headers?: Headers) {
    return this.http.post(`/v1/products/${productId}/archive`, undefined, headers);
  }

  restore(productId: string, headers?: Headers) {
    return this.http.post(`/v1/products/${productId}/restore`, undefined, headers);
  }

  product(productId: string, headers?: Headers) {
    return this.http.get(`/v1/products/${productId}`, headers);
  }

  products(query: Readonly<Record<string, string | number>> = {}, headers?: Headers) {
    const text = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return this.http.get(`/v1/products?${text.join('&')}`, headers);
  }

  sku(sku: string, headers?: Headers) {
    return this.http.get(`/v1/skus/${sku}`, headers);
  }
}

/** What a read sends to see what a write did. */
export function after(...writes: Answer[]): Headers {
  return { 'consistency-token': writes.map((write) => String(write.headers['consistency-token'])).join() };
}

/** One SKU, in the words of those who keep a store. */
export class StockClient {
  constructor(
    readonly http: HttpClient,
    readonly sku: string,
  ) {}

  path(rest = ''): string {
    return `/v1/stock/${this.sku}${rest}`;
  }

  receive(quantity: number, options: { location?: string; reference?: string } = {}, headers?: Headers) {
    return this.http.post(this.path('/receipts'), { quantity, ...options }, headers);
  }

  adjust(delta: number, options: { location?: string; reason?: string } = {}, headers?: Headers) {
    return this.http.post(this.path('/adjustments'), { delta, reason: 'counted', ...options }, headers);
  }

  reserve(quantity: number, options: { reservationId?: string; expiresInSeconds?: number } = {}, headers?: Headers) {
    return this.http.post(this.path('/reservations'), { quantity, ...options }, headers);
  }

  release(reservationId: string, headers?: Headers) {
    return this.http.post(this.path(`/reservations/${reservationId}/release`), undefined, headers);
  }

  commit(reservationId: string, headers?: Headers) {
    return this.http.post(this.path(`/reservations/${reservationId}/commit`), undefined, headers);
  }

  stock(headers?: Headers) {
    return this.http.get(this.path(), headers);
  }

  reservation(reservationId: string, headers?: Headers) {
    return this.http.get(this.path(`/reservations/${reservationId}`), headers);
  }

  movements(query = '', headers?: Headers) {
    return this.http.get(this.path(`/movements${query}`), headers);
  }
}
