import fc from 'fast-check';
import pMap from 'p-map';
import pg from 'pg';
import { type Answer, HttpClient } from '../support/client.js';
import { Acquaintance, openShop, type Thing } from './acquaintance.js';
import { Contract, type Document, type Operation } from './contract.js';
import { described, type Plan, plansFor, type Request, requestOf } from './requests.js';
import { changedTables, Contents, isOverdue } from './unchanged.js';

export interface FuzzedServer {
  readonly url: string;
  readonly role: 'all' | 'command' | 'query';
}

export interface FuzzOptions {
  /** Processes of one database, ready. */
  readonly servers: readonly FuzzedServer[];
  readonly databaseUrl: string;
  readonly requests: number;
  readonly seed: number;
}

export interface Violation {
  readonly route: string;
  readonly what: string;
  /** Made as small as it can be and still do that. */
  readonly request: string;
  /** How many requests did the same. */
  times: number;
}

export interface FuzzReport {
  requests: number;
  /** By route and status; `(none)` is every address that no route has. */
  readonly statuses: Map<string, Map<number, number>>;
  readonly violations: Violation[];
  /** Refused requests that were seen to leave every table as it was. */
  unchanged: number;
  seconds: number;
}

const roundRequests = 400;
/** So often a new shop opens: of the last one, much is sold, closed or archived by then. */
const roundsPerShop = 6;
const parkedPerShop = 12;
const againAtOnce = 8;
const shrinkMsMax = 4_000;
const violationsMax = 60;

/**
 * Sends requests to every route of the document, well-meant and hostile ones, one after the other, and holds each answer
 * to the document. They come in rounds. At the end of a round, when all that was asked for is done, its refused requests
 * are sent once more, and not a row of any table may change.
 *
 * What a refusal leaves behind by design, and this allows for:
 * - with an Idempotency-Key the refusal itself is kept in `commands`, to be answered again. Sent once more with the same
 *   key it writes nothing, so nothing is left out of the comparison; and the first time it may have written no event.
 * - an order that is refused for stock or money has been placed, and then rejected; a refund likewise. These are not sent
 *   once more.
 *
 * Each request follows from the seed, its number, and what the answers before it have named.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const run = new Fuzzing(options);
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

interface Sent {
  readonly request: Request;
  readonly server: number;
  readonly requestId: string | undefined;
}

class Fuzzing {
  private readonly clients: HttpClient[];
  private readonly pool: pg.Pool;
  private readonly contents: Contents;
  private readonly report: FuzzReport = { requests: 0, statuses: new Map(), violations: [], unchanged: 0, seconds: 0 };
  private contract!: Contract;
  private known = new Acquaintance();
  private plans!: fc.Arbitrary<Plan>;
  private drawn = 0;

  constructor(private readonly options: FuzzOptions) {
    this.clients = options.servers.map((server) => new HttpClient(server));
    this.pool = new pg.Pool({ connectionString: options.databaseUrl, max: 2 });
    this.pool.on('error', () => undefined);
    this.contents = new Contents(this.pool);
  }

  async run(): Promise<FuzzReport> {
    const beganMs = performance.now();
    const document = (await this.clients[0]!.get('/openapi.json')).body as Document;
    this.contract = new Contract(document);
    for (let round = 0; this.report.requests < this.options.requests; round++) {
      if (this.report.violations.length >= violationsMax) break;
      if (round % roundsPerShop === 0) await this.openShop(round / roundsPerShop);
      await this.round();
    }
    this.report.seconds = (performance.now() - beganMs) / 1_000;
    return this.report;
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.pool.end();
  }

  private async openShop(number: number): Promise<void> {
    const name = `shop-${number}`;
    const { words, things } = await openShop(this.clients[this.serverFor('POST', '/v1/products')]!, name);
    this.known = new Acquaintance();
    for (const thing of things) this.known.meet(thing);
    for (let parked = 0; parked < parkedPerShop; parked++) this.known.meet({ commandId: await this.contents.park(`parked-${number}-${parked}`, name) });
    this.plans = plansFor(this.contract.operations, words);
  }

  private async round(): Promise<void> {
    const refused: Sent[] = [];
    const last = Math.min(roundRequests, this.options.requests - this.report.requests);
    for (let index = 0; index < last; index++) {
      const number = this.drawn++;
      const seed = mixed(this.options.seed, number);
      const [plan] = fc.sample(this.plans, { seed, numRuns: 1 }) as [Plan];
      const sent = this.make(plan, `${this.options.seed}-${number}`);
      const { answer, complaint } = await this.send(sent);
      if (complaint !== undefined) await this.violated(sent, complaint, seed);
      else if (isDone(answer!)) this.known.learn(plan.operation.name, sent.parameters, answer!);
      else if (this.isRefused(sent.request, answer!)) refused.push(sent);
    }
    await this.contents.settle();
    await this.provesUnrecorded(refused);
    await this.provesUnchanged(refused);
  }

  private make(plan: Plan, id: string): Sent & { readonly parameters: Thing } {
    const { request, parameters } = requestOf(plan, this.known);
    const own = request.headers['request-id'];
    const requestId = own === undefined ? id : undefined;
    const headers = requestId === undefined ? request.headers : { ...request.headers, 'request-id': requestId };
    return { request: { ...request, headers }, server: this.serverOf(plan), requestId, parameters };
  }

  /** Mostly one that serves the route; now and then any, to be told where it belongs. */
  private serverOf({ operation, server }: Plan): number {
    return server % 10 === 0 ? (server / 10) % this.clients.length : this.serverFor(operation.method, operation.path);
  }

  private serverFor(method: string, path: string): number {
    const role = method === 'GET' && !path.startsWith('/v1/commands') ? 'query' : 'command';
    const index = this.options.servers.findIndex((server) => server.role === 'all' || server.role === role);
    if (index < 0) throw new Error(`no server has the role ${role}`);
    return index;
  }

  private async send({ request, server }: Sent): Promise<{ answer?: Answer; complaint?: string }> {
    const { method, path, headers, body } = request;
    this.report.requests++;
    try {
      const answer = await this.clients[server]!.request(method, path, { headers, body, contentType: null });
      const route = this.routeOf(request);
      const statuses = this.report.statuses.get(route) ?? new Map<number, number>();
      this.report.statuses.set(route, statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1));
      return { answer, complaint: this.contract.complaint(request, answer) };
    } catch (error) {
      return { complaint: `no answer: ${(error as Error).message}` };
    }
  }

  private isRefused(request: Request, answer: Answer): boolean {
    return isRefusedWithoutTrace(this.contract.operationOf(request)?.path, request, answer);
  }

  private routeOf(request: Request): string {
    return this.contract.operationOf(request)?.name ?? '(none)';
  }

  /** Notes what a request has done, the first time as the smallest request that still does it. */
  private async violated(sent: Sent, complaint: string, seed: number): Promise<void> {
    const route = this.routeOf(sent.request);
    if (this.alreadyNoted(route, complaint)) return this.note(route, complaint, sent.request);
    let smallest = { request: sent.request, complaint };
    const property = fc.asyncProperty(this.plans, async (plan) => {
      const smaller = this.make(plan, 'shrunk');
      const { complaint: found } = await this.send(smaller);
      if (found === undefined || !isAlike(found, complaint)) return true;
      smallest = { request: smaller.request, complaint: found };
      return false;
    });
    await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: shrinkMsMax });
    this.note(route, smallest.complaint, smallest.request);
  }

  private alreadyNoted(route: string, what: string): Violation | undefined {
    return this.report.violations.find((violation) => violation.route === route && isAlike(violation.what, what));
  }

  private note(route: string, what: string, request: Request): void {
    const noted = this.alreadyNoted(route, what);
    if (noted) noted.times++;
    else this.report.violations.push({ route, what, request: described(request), times: 1 });
  }

  /** By the ids that requests bring and events keep: what was refused has recorded nothing, the first time it came. */
  private async provesUnrecorded(refused: readonly Sent[]): Promise<void> {
    const byId = new Map(refused.flatMap((sent) => (sent.requestId === undefined ? [] : [[sent.requestId, sent]])));
    for (const id of await this.contents.recordedFor([...byId.keys()])) {
      const { request } = byId.get(id)!;
      this.note(this.routeOf(request), 'was refused, and has recorded events', request);
    }
  }

  /** Sends what was refused once more. What is not refused any more is left out, and all is sent again without it. */
  private async provesUnchanged(refused: readonly Sent[]): Promise<void> {
    for (let left = refused; left.length > 0; ) {
      const { stillRefused, changed } = await this.changedBy(left);
      if (stillRefused.length === left.length) {
        if (changed.length === 0) this.report.unchanged += left.length;
        else await this.blame(left, changed);
        return;
      }
      left = stillRefused;
      await this.contents.settle();
    }
  }

  private async changedBy(requests: readonly Sent[]): Promise<{ stillRefused: Sent[]; changed: string[] }> {
    const before = await this.contents.fingerprint();
    const stillRefused: Sent[] = [];
    const again = async (sent: Sent) => {
      const { answer, complaint } = await this.send(sent);
      if (complaint !== undefined) this.note(this.routeOf(sent.request), `sent once more: ${complaint}`, sent.request);
      if (!answer || this.isRefused(sent.request, answer)) stillRefused.push(sent);
    };
    await pMap(requests, again, { concurrency: againAtOnce });
    const changed = changedTables(before, await this.contents.fingerprint());
    if (stillRefused.length < requests.length || !isOverdue(changed)) return { stillRefused, changed };
    await this.contents.settle();
    return this.changedBy(requests);
  }

  private async blame(requests: readonly Sent[], changedTogether: readonly string[]): Promise<void> {
    for (const sent of requests) {
      await this.contents.settle();
      const { changed } = await this.changedBy([sent]);
      if (changed.length > 0) return this.note(this.routeOf(sent.request), `was refused, and has changed ${changed.join()}`, sent.request);
    }
    this.note('(any)', `refused requests together have changed ${changedTogether.join()}, and none does alone`, requests[0]!.request);
  }
}

/** Two complaints begin with what is wrong, and go on with the answer. */
function isAlike(one: string, other: string): boolean {
  return one.slice(0, 60) === other.slice(0, 60);
}

function isDone({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

/** An order that stock or money refuses is on record with that, and so is a refund. */
const leavesNoTrace: Readonly<Record<string, RegExp>> = {
  '/v1/orders': /^order-exists$/,
  '/v1/orders/{orderId}/refunds': /^(not-|refund-)/,
};

function isRefusedWithoutTrace(path: string | undefined, { method }: Request, { status, body }: Answer): boolean {
  if (status < 400 || status >= 500) return false;
  const codes = leavesNoTrace[path ?? ''];
  return !codes || method !== 'POST' || status !== 409 || codes.test(String(body.code));
}

/** Neighbouring seeds would begin alike. */
function mixed(seed: number, number: number): number {
  let hash = Math.imul(seed ^ Math.imul(number + 1, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Routes that never answered with this class of statuses, of those in the document. */
export function routesWithout(statusClass: 2 | 4, report: FuzzReport, routes: readonly Operation[]): string[] {
  return routes.map(({ name }) => name).filter((name) => ![...(report.statuses.get(name)?.keys() ?? [])].some((status) => Math.floor(status / 100) === statusClass));
}
