import type { Entry } from './history.js';
import type { Line, OrderVersion, Replay } from './replay.js';

/**
 * Answers that do not say of which version of a stream they are: lines of a statement, orders in a list, a SKU with its
 * price. The log tells which versions would be answered so: the latest of them is what the answer counts as, so that
 * nothing is called old that may be new, and the first is what its client has certainly seen.
 */
export interface Dated {
  /** As the replay names the stream. */
  readonly name: string;
  readonly first: number;
  readonly latest: number;
  /** What it says that no version does. */
  readonly wrong?: string;
}

/** How many versions of a stream had been recorded when the answer ended. */
export type Known = (name: string) => number;

/** The versions of which something is true. Later ones than are known count only if there are no others. */
function saying<V>(versions: readonly V[], known: number, says: (version: V) => boolean): { first: number; latest: number } {
  const latest = versions.slice(0, known).findLastIndex(says);
  return { first: versions.findIndex(says) + 1, latest: (latest === -1 ? versions.findLastIndex(says) : latest) + 1 };
}

// ---- Pages of what happened to an account or a SKU, newest first

/**
 * A first page shows what happened last, all of it up to its end, in the log's order. The stream may have gone on with
 * what is no line of it: money that is only set aside.
 */
export function linesOf({ action, body }: Entry, { accounts, stock }: Replay, known: Known): Dated[] {
  if (action.kind !== 'list-entries' && action.kind !== 'list-movements') return [];
  const name = action.kind === 'list-entries' ? `account/${action.ledger}/${action.accountId}` : `sku/${action.sku}`;
  const parameters = new URLSearchParams(action.query);
  if ([...parameters.keys()].some((key) => key !== 'limit')) return [];
  const versions = (action.kind === 'list-entries' ? accounts : stock).get(name) ?? [];
  const lines = versions.flatMap(({ lines }, index) => lines.map((line) => ({ line, version: index + 1 })));
  const items: readonly Line[] = body.items;
  const newest = items.length === 0 ? -1 : lines.findLastIndex(({ line }) => isSaid(line, items[0]!));
  const first = lines[newest]?.version ?? 0;
  // Up to the next line nothing would be answered otherwise.
  const latest = Math.max(first, Math.min(known(name), (lines[newest + 1]?.version ?? versions.length + 1) - 1));
  const due = lines.slice(0, newest + 1).reverse().map(({ line }) => line);
  return [{ name, first, latest, wrong: contradiction(items, due, Number(parameters.get('limit') ?? 50), body.nextCursor !== null) }];
}

/** `due` is what the log has from the newest item on. */
function contradiction(items: readonly Line[], due: readonly Line[], limit: number, hasMore: boolean): string | undefined {
  const index = items.findIndex((item, index) => !due[index] || !isSaid(due[index], item));
  if (index !== -1) return `in line ${index + 1} ${textOf(items[index]!)}, where the log has ${due[index] ? textOf(due[index]) : 'nothing such'}`;
  const left = due.length - items.length;
  if (hasMore ? left > 0 && items.length === limit : left === 0 && items.length <= limit) return undefined;
  return `${items.length} lines of ${limit} and ${hasMore ? 'that there are others' : 'no others'}, and there are ${left}`;
}

function isSaid(line: Line, item: Line): boolean {
  return Object.entries(line).every(([field, value]) => item[field] === value);
}

function textOf({ transactionId, type, amount, quantity, balanceAfter, onHandAfter }: Line): string {
  return [type, transactionId, amount ?? quantity, 'makes', balanceAfter ?? onHandAfter].filter((word) => word !== undefined).join(' ');
}

// ---- Lists of resources

interface Member {
  readonly name: string;
  /** What the list is sorted by. */
  readonly key: string;
}

interface List {
  readonly isNewestFirst: boolean;
  /** All that can ever be in it. */
  readonly members: readonly Member[];
  /** What its items are named by. */
  nameOf(item: { readonly [id: string]: string }): string;
}

/** In the order of texts: the parts count one after the other. */
const keyOf = (...parts: readonly string[]): string => parts.join('\0');

/** Lists whose filters are others are left out. */
function listOf({ action }: Entry, { accounts, orders, products }: Replay): List | undefined {
  const given = new URLSearchParams('query' in action ? action.query : undefined);
  const isPlain = (...known: readonly string[]) => [...given.keys()].every((key) => ['limit', ...known].includes(key));
  switch (action.kind) {
    case 'list-orders': {
      if (!isPlain('customerId')) return undefined;
      const customerId = given.get('customerId');
      const own = [...orders].filter(([, [placed]]) => customerId === null || placed!.customerId === customerId);
      const members = own.map(([name, [placed]]) => ({ name, key: keyOf(placed!.placedAt, placed!.orderId) }));
      return { isNewestFirst: true, members, nameOf: ({ orderId }) => `order/${orderId}` };
    }
    case 'list-accounts': {
      if (!isPlain()) return undefined;
      const prefix = `account/${action.ledger}/`;
      const own = [...accounts.keys()].filter((name) => name.startsWith(prefix));
      return { isNewestFirst: false, members: own.map((name) => ({ name, key: name })), nameOf: ({ accountId }) => `${prefix}${accountId}` };
    }
    case 'list-products': {
      if (!isPlain('sort') || given.get('sort') !== 'name') return undefined;
      // One that was called otherwise, or archived for a while, has no place of its own.
      const steady = [...products].filter(([, [made, ...more]]) => more.every(({ name, status }) => name === made!.name && status === 'active'));
      const members = steady.map(([name, [made]]) => ({ name, key: keyOf(made!.name.toLowerCase(), made!.productId) }));
      return { isNewestFirst: false, members, nameOf: ({ productId }) => `product/${productId}` };
    }
    default:
      return undefined;
  }
}

/**
 * What has its place before the last item of a first page, and is not there, counts as version 0, like anything that is
 * absent. And what stands before an item that it should follow is out of place.
 */
export function placesIn(entry: Entry, folded: Replay): Dated[] {
  const list = listOf(entry, folded);
  if (!list) return [];
  const { members, nameOf, isNewestFirst } = list;
  const isBefore = (one: string, other: string) => (isNewestFirst ? one > other : one < other);
  const keys = new Map(members.map(({ name, key }) => [name, key]));
  const shown: string[] = entry.body.items.map(nameOf);
  const isShown = new Set(shown);
  const last = keys.get(shown.at(-1) ?? '');
  const isDue = (key: string) => entry.body.nextCursor === null || (last !== undefined && isBefore(key, last));
  const missing = members.filter(({ name, key }) => !isShown.has(name) && isDue(key));
  const placed = shown.filter((name) => keys.has(name));
  const misplaced = placed.filter((name, index) => index > 0 && !isBefore(keys.get(placed[index - 1]!)!, keys.get(name)!));
  return [
    ...missing.map(({ name }) => ({ name, first: 0, latest: 0 })),
    ...misplaced.map((name) => ({ name, first: 0, latest: 0, wrong: 'that it follows what comes after it' })),
  ];
}

/** The orders of a list. */
export function ordersIn({ action, body }: Entry, { orders }: Replay, known: Known): Dated[] {
  if (action.kind !== 'list-orders') return [];
  return body.items.map((item: OrderItem) => {
    const name = `order/${item.orderId}`;
    const said = textOfItem(item);
    const versions = saying(orders.get(name) ?? [], known(name), (version) => textOfOrder(version) === said);
    return { name, ...versions, wrong: versions.latest === 0 ? `that it is ${said}, and it never was` : undefined };
  });
}

interface OrderItem {
  readonly orderId: string;
  readonly customerId: string;
  readonly total: string;
  readonly placedAt: string;
  readonly history: readonly { readonly status: string }[];
  readonly refunds: readonly { readonly refundId: string; readonly amount: string; readonly status: string }[];
}

function textOfItem({ customerId, total, placedAt, history, refunds }: OrderItem): string {
  return [customerId, total, placedAt, ...history.map(({ status }) => status), ...refunds.map(textOfRefund)].join(', ');
}

function textOfOrder({ customerId, total, placedAt, statuses, refunds }: OrderVersion): string {
  const asked = [...refunds].map(([refundId, refund]) => textOfRefund({ refundId, ...refund }));
  return [customerId, total, placedAt, ...statuses, ...asked].join(', ');
}

function textOfRefund({ refundId, amount, status }: OrderItem['refunds'][number]): string {
  return `${refundId} ${amount} ${status}`;
}

// ---- The catalogue

/** A SKU's price and its product's name are of two views, each of its own time; together they are of the older one. */
export function skuIn({ action, status, body }: Entry, { products }: Replay, known: Known): Dated[] {
  if (action.kind !== 'read-sku') return [];
  const [name, versions] = [...products].find(([, versions]) => versions.at(-1)!.variants.has(action.sku)) ?? [];
  if (name === undefined || versions === undefined) return [];
  if (status === 404) return [{ name, first: 0, latest: 0 }];
  const { amount, currency } = body.price;
  const costs = saying(versions, known(name), ({ variants }) => {
    const variant = variants.get(action.sku);
    return variant?.price.amount === amount && variant?.price.currency === currency && variant?.name === body.name;
  });
  const isCalled = saying(versions, known(name), (version) => version.name === body.productName && version.status === body.status);
  const latest = Math.min(costs.latest, isCalled.latest);
  const wrong = latest === 0 ? `that ${action.sku} of ${body.productName} (${body.status}) costs ${amount} ${currency}, and it never did` : undefined;
  return [{ name, first: Math.max(costs.first, isCalled.first), latest, wrong }];
}
