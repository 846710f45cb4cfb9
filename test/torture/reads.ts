import type { LogContents } from '../chaos/log-contents.js';
import { isRead } from './actions.js';
import { countWhile } from './count-while.js';
import type { Entry, Fault, History } from './history.js';
import { linesOf, ordersIn, placesIn, skuIn, type Dated, type Known } from './lists.js';
import type { Replay } from './replay.js';
import { violation, type CheckerId, type Violation } from './violation.js';

/**
 * What reads may answer with. An answer says which version of its stream it is of (accounts and stock in the body,
 * orders in the ETag), so it can be held to the log:
 *
 * - C8: with a token, it is no older than the last of the stream's events up to the token. (The token that it comes with
 *   may be: an answer that nothing has changed since then is still of its own time.)
 * - C9: whoever sends the token of a former read of the same thing gets no earlier version than then;
 * - C10: the version exists, what is said of it is what the log made of it, it was not answered before it was recorded,
 *   and without a token it is not older than `staleMs` while no fault is active. A cache's age can only be seen that
 *   way: an answer does not say where it comes from.
 *
 * A resource that is not there (404, or missing in a list between its neighbours) counts as version 0. What says nothing
 * of versions counts as the latest that would be answered so (lists.ts).
 */
export function readsGoneWrong(history: History, log: LogContents, folded: Replay, bounds: ReadBounds = usualBounds): Violation[] {
  const found: Violation[] = [];
  const heads = new Map(log.partitions.map(({ partition, head }) => [partition, head]));
  const lastSeen = new Map<string, Seen>();
  const timelines = new Timelines(folded, Date.parse(history.run.startedAt));
  const isCalm = calmTimes(history.faults, bounds);
  for (const entry of [...history.entries].sort((a, b) => a.invokedAtMs - b.invokedAtMs)) {
    if (!isRead(entry.action) || entry.endedAtMs === undefined) continue;
    const say = (checker: CheckerId, sentence: string, others: number[] = [], events: string[] = []) =>
      found.push(violation(checker, `#${entry.number} ${sentence}`, [...others, entry.number], events));
    const sent = tokenOf(entry.tokenSent);
    const received = tokenOf(entry.tokenReceived);
    for (const [partition, position] of received) {
      if (position > (heads.get(partition) ?? 0)) say('C10', `is as of ${partition}@${position}, and that partition ends at ${heads.get(partition) ?? 0}`);
    }
    const known: Known = (name) => countWhile(timelines.of(name), ({ recordedAtMs }) => recordedAtMs <= entry.endedAtMs! + bounds.clocksMs);
    for (const answer of answersOf(entry, folded, known)) {
      const { name, version } = answer;
      if (answer.wrong) {
        // Of no version, so there is nothing to compare.
        say('C10', `says of ${name} ${answer.wrong}`);
        continue;
      }
      const events = timelines.of(name);
      const partition = events[0]?.partition;
      const due = partition === undefined ? 0 : countWhile(events, ({ position }) => position <= (sent.get(partition) ?? 0));
      if (version < due) {
        const { position } = events[due - 1]!;
        say('C8', `says version ${version} of ${name}, and its token stands for version ${due}`, [], [`${partition}@${position}`]);
      }
      if (version > events.length) say('C10', `says version ${version} of ${name}, and there are ${events.length}`);
      const wrong = contradiction(answer, folded);
      if (wrong) say('C10', `says of version ${version} of ${name} ${wrong}`, [], [`${partition}@${events[version - 1]!.position}`]);
      const recordedAtMs = events[version - 1]?.recordedAtMs ?? 0;
      if (recordedAtMs > entry.endedAtMs + bounds.clocksMs) {
        say('C10', `says version ${version} of ${name} ${Math.round(recordedAtMs - entry.endedAtMs)} ms before that was recorded`);
      }
      if (isCalm(entry)) {
        const old = countWhile(events, ({ recordedAtMs }) => recordedAtMs < entry.invokedAtMs - bounds.staleMs);
        if (version < old) say('C10', `says version ${version} of ${name}, and version ${old} is more than ${bounds.staleMs} ms older than it`);
      }
      remember(entry, answer, say);
    }
  }
  return found;

  function remember(entry: Entry, { name, version, seen = version }: ReadAnswer, say: (c: CheckerId, s: string, o: number[]) => void): void {
    const [sent, received] = [tokenOf(entry.tokenSent), tokenOf(entry.tokenReceived)];
    const key = `${entry.client} ${name}`;
    const before = lastSeen.get(key);
    const follows =
      before && before.endedAtMs <= entry.invokedAtMs && [...before.token].every(([partition, position]) => (sent.get(partition) ?? 0) >= position);
    if (follows && version < before.version) {
      say('C9', `says version ${version} of ${name}, and client ${entry.client} had seen version ${before.version} and said so`, [before.number]);
    }
    if (received.size > 0) lastSeen.set(key, { version: seen, token: received, endedAtMs: entry.endedAtMs!, number: entry.number });
  }
}

export interface ReadBounds {
  /** How old an answer without a token may be while no fault is active. */
  readonly staleMs: number;
  /** How far the clocks of the recorder and of the database may be apart. */
  readonly clocksMs: number;
}

export const usualBounds: ReadBounds = { staleMs: 10_000, clocksMs: 500 };

type Token = ReadonlyMap<number, number>;

interface Seen {
  readonly version: number;
  readonly token: Token;
  readonly endedAtMs: number;
  readonly number: number;
}

export function tokenOf(text: string | undefined): Token {
  const token = new Map<number, number>();
  for (const part of text?.split(',') ?? []) {
    const [partition, position] = part.split('@').map(Number);
    token.set(partition!, Math.max(token.get(partition!) ?? 0, position!));
  }
  return token;
}

interface ReadAnswer {
  /** As the replay names the stream. */
  readonly name: string;
  /** At the latest. */
  readonly version: number;
  /** At least; absent: the same. */
  readonly seen?: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body?: any;
  /** What it says that no version does. */
  readonly wrong?: string;
}

/** The streams that an answer says something of. */
function answersOf(entry: Entry, folded: Replay, known: Known): ReadAnswer[] {
  const { action, status, body, etag } = entry;
  const isAbsent = status === 404;
  if (status !== 200 && !isAbsent) return [];
  const dated = (...answers: readonly Dated[]) => answers.map(({ name, first, latest, wrong }) => ({ name, version: latest, seen: first, wrong }));
  switch (action.kind) {
    case 'read-account': {
      const name = `account/${action.ledger}/${action.accountId}`;
      return [isAbsent ? { name, version: 0 } : { name, version: body.version, body }];
    }
    case 'list-accounts':
    case 'list-products': {
      if (isAbsent) return [];
      const nameOf = (item: { accountId: string; productId: string }) =>
        action.kind === 'list-accounts' ? `account/${action.ledger}/${item.accountId}` : `product/${item.productId}`;
      const items = body.items as { accountId: string; productId: string; version: number }[];
      return [...items.map((item) => ({ name: nameOf(item), version: item.version, body: item })), ...dated(...placesIn(entry, folded))];
    }
    case 'list-orders':
      return isAbsent ? [] : dated(...ordersIn(entry, folded, known), ...placesIn(entry, folded));
    case 'list-entries': {
      const name = `account/${action.ledger}/${action.accountId}`;
      return isAbsent ? [{ name, version: 0 }] : dated(...linesOf(entry, folded, known));
    }
    case 'list-movements':
      return isAbsent ? [{ name: `sku/${action.sku}`, version: 0 }] : dated(...linesOf(entry, folded, known));
    case 'read-sku':
      return dated(...skuIn(entry, folded, known));
    case 'read-product': {
      const name = `product/${action.productId}`;
      return [isAbsent ? { name, version: 0 } : { name, version: body.version, body }];
    }
    case 'read-stock': {
      const name = `sku/${action.sku}`;
      return [isAbsent ? { name, version: 0 } : { name, version: body.version, body }];
    }
    case 'read-order': {
      const name = `order/${action.orderId}`;
      const version = Number(/^"(\d+)"$/.exec(etag ?? '')?.[1] ?? NaN);
      if (isAbsent) return [{ name, version: 0 }];
      return Number.isNaN(version) ? [] : [{ name, version, body }];
    }
    default:
      return [];
  }
}

/** A version of a stream: where and when it came about, in the history's time. */
interface Moment {
  readonly partition: number;
  readonly position: number;
  readonly recordedAtMs: number;
}

class Timelines {
  private readonly known = new Map<string, readonly Moment[]>();

  constructor(
    private readonly folded: Replay,
    private readonly startedAtMs: number,
  ) {}

  of(name: string): readonly Moment[] {
    const { accounts, stock, orders, products } = this.folded;
    let timeline = this.known.get(name);
    if (!timeline) {
      const versions = accounts.get(name) ?? stock.get(name) ?? orders.get(name) ?? products.get(name) ?? [];
      timeline = versions.map(({ event: { partition, position, recordedAt } }) => ({
        partition,
        position,
        recordedAtMs: Date.parse(recordedAt) - this.startedAtMs,
      }));
      this.known.set(name, timeline);
    }
    return timeline;
  }
}

/** What an answer says otherwise than the log. What is reserved changes with time alone, and is left out. */
function contradiction({ name, version, body }: ReadAnswer, { accounts, stock, orders, products }: Replay): string | undefined {
  if (!body || version < 1) return undefined;
  const account = accounts.get(name)?.[version - 1];
  if (account) {
    const { balance, pendingIn, pendingOut } = account;
    const [said, is] = [`${body.balance} +${body.pendingIn} −${body.pendingOut}`, `${balance} +${pendingIn} −${pendingOut}`];
    return said === is ? undefined : `that its balance is ${said}, and it was ${is}`;
  }
  const level = stock.get(name)?.[version - 1];
  if (level) return body.onHand === level.onHand ? undefined : `that ${body.onHand} are on hand, and ${level.onHand} were`;
  const order = orders.get(name)?.[version - 1];
  if (order) return body.status === order.status ? undefined : `that it is ${body.status}, and it was ${order.status}`;
  const product = products.get(name)?.[version - 1];
  if (product) {
    const [said, is] = [textOfProduct(body), textOfProduct({ ...product, variants: [...product.variants].map(([sku, variant]) => ({ sku, ...variant })) })];
    return said === is ? undefined : `that it is ${said}, and it was ${is}`;
  }
  return undefined;
}

interface ProductBody {
  readonly name: string;
  readonly status: string;
  readonly variants: readonly { readonly sku: string; readonly name: string | null; readonly price: { readonly amount: string; readonly currency: string } }[];
}

function textOfProduct({ name, status, variants }: ProductBody): string {
  return [name, status, ...variants.map(({ sku, name, price }) => `${sku} ${name ?? ''} ${price.amount} ${price.currency}`)].join(', ');
}

/** Reads without a token, so long after every fault and before the next that nothing of it is left. */
function calmTimes(faults: readonly Fault[], { staleMs }: ReadBounds): (entry: Entry) => boolean {
  const recoveryMs = 3 * staleMs;
  return ({ tokenSent, invokedAtMs, endedAtMs }) =>
    tokenSent === undefined &&
    faults.every(({ beganAtMs, healedAtMs = Infinity }) => endedAtMs! < beganAtMs || invokedAtMs > healedAtMs + recoveryMs);
}

/** The sums that reads of a whole ledger answer with are those of one moment, in which no money is on its way (C1). */
export function sumsGoneWrong({ entries }: Pick<History, 'entries'>): Violation[] {
  const found: Violation[] = [];
  for (const { number, action, status, body } of entries) {
    if (status !== 200) continue;
    if (action.kind === 'read-trial-balance') {
      for (const [currency, { debits, credits }] of Object.entries<{ debits: string; credits: string }>(body.currencies)) {
        if (debits !== credits) found.push(violation('C1', `#${number} says ${debits} ${currency} of debits and ${credits} of credits`, [number]));
      }
    }
    const isWhole = action.kind === 'list-accounts' && body.nextCursor === null && !/cursor=|prefix=/.test(action.query ?? '');
    if (!isWhole) continue;
    const sums = new Map<string, bigint>();
    for (const { currency, balance } of body.items) sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(balance));
    for (const [currency, sum] of sums) {
      if (sum !== 0n) found.push(violation('C1', `#${number} lists balances that add up to ${sum} ${currency}`, [number]));
    }
  }
  return found;
}
