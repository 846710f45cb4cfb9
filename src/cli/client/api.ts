import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';

type Headers = Readonly<Record<string, string>>;

export interface Answer<Body> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Body;
}

interface Problem {
  readonly code?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

export interface ApiOptions {
  /** Requests under way at the same time; the others wait for one of its keep-alive connections. */
  readonly connections?: number;
  /** A request that has no answer after so long, with all its tries, is given up. */
  readonly patienceSeconds?: number;
}

/** Longer than any `Prefer: wait=`, which is 30 s at most. */
const answerTimeoutMs = 45_000;
const pauseMsMin = 100;
const pauseMsMax = 2_000;

/**
 * A client that does not let go: what the server could not do just now, and what got no answer of it, is sent again
 * until it has one. So every write sent with it is one that may be sent twice: it has an Idempotency-Key, or names
 * what it makes.
 */
export class Api {
  /** How often something had to be sent again. */
  retries = 0;
  private readonly pool: Pool;
  private isClosed = false;
  private readonly patienceMs: number;

  constructor(
    readonly url: string,
    { connections = 64, patienceSeconds = 30 }: ApiOptions = {},
  ) {
    const { protocol, origin } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`${url} is not the address of an HTTP server`);
    this.pool = new Pool(origin, { connections, headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs });
    this.patienceMs = patienceSeconds * 1_000;
  }

  get<Body = unknown>(path: string, headers: Headers = {}): Promise<Answer<Body>> {
    return this.send('GET', path, undefined, headers);
  }

  post<Body = unknown>(path: string, body: unknown, headers: Headers = {}): Promise<Answer<Body>> {
    return this.send('POST', path, body, headers);
  }

  async send<Body>(method: Dispatcher.HttpMethod, path: string, body?: unknown, headers: Headers = {}): Promise<Answer<Body>> {
    const request = {
      method,
      path,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    };
    const giveUpAtMs = performance.now() + this.patienceMs;
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
      const { answer, trouble, retryAfterMs = 0 } = await this.tryOnce<Body>(request);
      if (answer) return answer;
      // Thousands may be waiting for the same server to come back: they should not all come at the same moment.
      const waitMs = Math.max(pauseMs, retryAfterMs) * (0.5 + Math.random());
      if (this.isClosed || performance.now() + waitMs > giveUpAtMs) throw new Error(`${this.url} has no answer to ${method} ${path}: ${trouble}`);
      this.retries++;
      await sleep(waitMs);
    }
  }

  /** All items of a list, page by page. */
  async *list<Item>(path: string, query: Readonly<Record<string, string>>, headers: Headers = {}): AsyncGenerator<Item> {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const parameters = new URLSearchParams({ limit: '500', ...query, ...(cursor && { cursor }) });
      const answer = await this.get<{ items: Item[]; nextCursor: string | null }>(`${path}?${parameters}`, headers);
      const page = expectStatus(answer, `GET ${path}`, 200);
      yield* page.items;
      cursor = page.nextCursor;
    }
  }

  /** What is still under way fails. */
  close(): Promise<void> {
    this.isClosed = true;
    return this.pool.destroy();
  }

  private async tryOnce<Body>(
    request: Dispatcher.RequestOptions,
  ): Promise<{ answer?: Answer<Body>; trouble?: string; retryAfterMs?: number }> {
    try {
      const { statusCode, headers, body } = await this.pool.request(request);
      const text = await body.text();
      if (isNoAnswer(statusCode)) return { trouble: `${statusCode} ${text}`, retryAfterMs: 1_000 * Number(headers['retry-after'] ?? 0) };
      const isJson = /json/.test(String(headers['content-type']));
      return { answer: { status: statusCode, headers, body: (isJson ? JSON.parse(text) : text) as Body } };
    } catch (error) {
      // An answer cut off in the middle is no answer either.
      return { trouble: (error as Error).message || String((error as NodeJS.ErrnoException).code) };
    }
  }
}

/** The server can not now (503), or a load balancer has no answer of one (502, 504). */
function isNoAnswer(status: number): boolean {
  return status >= 502 && status <= 504;
}

/** The answer's body, when it has one of these statuses; anything else is a surprise to whoever asked. */
export function expectStatus<Body>({ status, body }: Answer<Body>, what: string, ...statuses: number[]): Body {
  if (statuses.includes(status)) return body;
  throw new Error(`${what} was answered with ${status}: ${refusalOf(body)}`);
}

/** What a problem document says, in a line. */
export function refusalOf(body: unknown): string {
  const { code, detail, errors = [] } = body as Problem;
  const where = errors.map(({ path, message }) => `${path} ${message}`).join('; ');
  return code === undefined ? JSON.stringify(body).slice(0, 200) : `${code}: ${where || detail}`;
}

export function codeOf(body: unknown): string | undefined {
  return (body as Problem).code;
}
