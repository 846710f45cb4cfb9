import type { LogContents, LoggedEvent } from '../chaos/log-contents.js';
import { countWhile } from './count-while.js';
import { claimsByEffect, eventsByEffect } from './effects.js';
import { operationsOf, outcomeOf, type History, type Operation } from './history.js';
import { tokenOf } from './reads.js';
import type { Replay } from './replay.js';
import { violation, type Violation } from './violation.js';

/**
 * Whoever is refused for lack of money or stock must have found too little at some moment while the request was under
 * way. The log says what there was at each position; and of the positions that the request may have seen, the first is
 * the last that any client had heard of before it began, and the last comes before whatever was asked for after it had
 * ended. This needs no search, and holds of what sagas write to as well.
 *
 * Reservations that expire within that time are taken to be there for all of it, so it may miss a refusal that came
 * just after one had expired.
 */
export function refusalsGoneWrong(history: Pick<History, 'entries'>, log: LogContents, folded: Replay): Violation[] {
  const operations = operationsOf(history);
  const levels = new Levels(folded, new Windows(history, operations, log));
  return operations.flatMap((operation): Violation[] => {
    const outcome = outcomeOf(operation);
    if (outcome.kind !== 'refused') return [];
    const wanted = wantedBy(operation, outcome.code, folded);
    const wasThere = wanted.length > 0 && wanted.every(({ name, amount }) => amount <= levels.leastOf(name, operation));
    if (!wasThere) return [];
    const what = wanted.map(({ name, amount }) => `${amount} of ${name}`).join(' and ');
    const { number } = operation.verdict!;
    return [violation('L3', `#${number} was refused for lack of ${what}, which was there all the time`, [number])];
  });
}

interface Wanted {
  /** As the replay names the stream. */
  readonly name: string;
  readonly amount: bigint;
}

/** What there must have been too little of, at least of one. */
function wantedBy({ action }: Operation, code: string, { orders }: Replay): Wanted[] {
  if (code === 'insufficient-funds') {
    if (action.kind === 'transfer' || action.kind === 'authorise') {
      return [{ name: `account/${action.ledger}/${action.source}`, amount: BigInt(action.amount) }];
    }
    const order = action.kind === 'place-order' ? orders.get(`order/${action.orderId}`)?.[0] : undefined;
    return order ? [{ name: `account/${order.payment.ledger}/${order.payment.account}`, amount: BigInt(order.total) }] : [];
  }
  if (code !== 'insufficient-stock') return [];
  if (action.kind === 'reserve') return [{ name: `sku/${action.sku}`, amount: BigInt(action.quantity) }];
  if (action.kind !== 'place-order') return [];
  const quantities = new Map<string, number>();
  for (const { sku, quantity } of action.lines) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity);
  return [...quantities].map(([sku, quantity]) => ({ name: `sku/${sku}`, amount: BigInt(quantity) }));
}

interface Level {
  readonly partition: number;
  readonly position: number;
  readonly available: bigint;
}

/** What was available of each stream, by version. */
class Levels {
  private readonly known = new Map<string, readonly Level[]>();

  constructor(
    private readonly folded: Replay,
    private readonly windows: Windows,
  ) {}

  /** The least at any position that the operation may have seen. */
  leastOf(name: string, operation: Operation): bigint {
    const levels = this.of(name);
    if (levels.length === 0) return 0n;
    const [from, to] = this.windows.of(operation, levels[0]!.partition);
    // What there was at the first position came about at or before it; before the first event there was nothing.
    const first = countWhile(levels, ({ position }) => position <= from) - 1;
    if (first < 0) return 0n;
    const seen = levels.slice(first, countWhile(levels, ({ position }) => position <= to)).map(({ available }) => available);
    // A window that ends before it begins: the log is out of order (L2), and says nothing here.
    return seen.length === 0 ? 0n : seen.reduce((least, one) => (one < least ? one : least));
  }

  private of(name: string): readonly Level[] {
    const { accounts, stock } = this.folded;
    const known = this.known.get(name);
    if (known) return known;
    const levels =
      accounts.get(name)?.map(({ event, balance, pendingOut, limit }) => levelOf(event, balance - pendingOut + limit)) ??
      stock.get(name)?.map(({ event, onHand, held }) => levelOf(event, BigInt(onHand - held))) ??
      [];
    this.known.set(name, levels);
    return levels;
  }
}

function levelOf({ partition, position }: LoggedEvent, available: bigint): Level {
  return { partition, position, available };
}

interface Known {
  readonly atMs: number;
  readonly position: number;
}

/** Which positions of a partition an operation may have seen. */
class Windows {
  /** By partition, in the order of time: how far the log was known to be. */
  private readonly reached = new Map<number, Known[]>();
  /** By partition, from the last to the first: before what the log still was. */
  private readonly ahead = new Map<number, Known[]>();
  private readonly heads: ReadonlyMap<number, number>;

  constructor({ entries }: Pick<History, 'entries'>, operations: readonly Operation[], log: LogContents) {
    this.heads = new Map(log.partitions.map(({ partition, head }) => [partition, head]));
    for (const { endedAtMs, tokenReceived } of [...entries].sort((a, b) => (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0))) {
      if (endedAtMs === undefined) continue;
      for (const [partition, position] of tokenOf(tokenReceived)) {
        const own = this.reached.get(partition) ?? [];
        this.reached.set(partition, own);
        if (position > (own.at(-1)?.position ?? 0)) own.push({ atMs: endedAtMs, position });
      }
    }
    const events = eventsByEffect(log.events);
    const asked = [...claimsByEffect(operations)].flatMap(([effect, claims]) => {
      const [event] = events.get(effect) ?? [];
      const firstMs = Math.min(...claims.map(({ operation }) => operation.invokedAtMs));
      return event ? [{ atMs: firstMs, partition: event.partition, position: event.position }] : [];
    });
    for (const { atMs, partition, position } of asked.sort((a, b) => b.atMs - a.atMs)) {
      const own = this.ahead.get(partition) ?? [];
      this.ahead.set(partition, own);
      if (position < (own.at(-1)?.position ?? Infinity)) own.push({ atMs, position });
    }
  }

  of({ invokedAtMs, endedAtMs }: Operation, partition: number): [from: number, to: number] {
    const from = this.reached.get(partition)?.findLast(({ atMs }) => atMs < invokedAtMs)?.position ?? 0;
    const next = this.ahead.get(partition)?.findLast(({ atMs }) => atMs > endedAtMs!)?.position;
    return [from, next === undefined ? (this.heads.get(partition) ?? 0) : next - 1];
  }
}
