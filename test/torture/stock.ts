import { numbersOf, outcomeOf, type Operation, type Outcome } from './history.js';
import type { Call, Model } from './linearizability.js';

/**
 * SKUs as objects that do one thing after the other: what is on hand, what is reserved, and what has become of each
 * reservation. Receipts and adjustments are answered with the levels they left; a reservation with no more than that
 * it was made, and a refusal with no more than that there was too little. Reads are no calls (see accounts.ts).
 */
export interface StockCall {
  readonly what: 'receive' | 'adjust' | 'reserve' | 'release' | 'commit' | 'expire';
  readonly reservationId?: string;
  /** Units; of an adjustment, with its sign. */
  readonly quantity?: number;
  readonly says?: { readonly onHand: number; readonly reserved: number };
  /** Of a reservation, as answered. */
  readonly status?: string;
  readonly refusal?: string;
  readonly entries: readonly number[];
}

interface Reservation {
  readonly quantity: number;
  readonly status: 'reserved' | 'released' | 'committed' | 'expired';
}

export class Stock implements Model<StockCall> {
  private onHand = 0;
  private reserved = 0;
  private readonly reservations = new Map<string, Reservation>();

  take(call: StockCall): (() => void) | undefined {
    const { what, quantity = 0, refusal } = call;
    switch (what) {
      case 'receive':
        return this.change(call, quantity);
      case 'adjust': {
        const isPossible = this.onHand + quantity >= this.reserved;
        if (refusal) return isPossible ? undefined : nothing;
        return isPossible ? this.change(call, quantity) : undefined;
      }
      case 'reserve':
        return this.reserve(call);
      default:
        return this.settle(call);
    }
  }

  /** What has become of each reservation follows from the calls that were taken. */
  name(): string {
    return `${this.onHand} ${this.reserved}`;
  }

  private reserve({ reservationId, quantity = 0, refusal, status }: StockCall): (() => void) | undefined {
    const existing = this.reservations.get(reservationId!);
    const isPossible = this.onHand - this.reserved >= quantity;
    if (refusal === 'insufficient-stock') return existing || isPossible ? undefined : nothing;
    if (refusal) return existing ? nothing : undefined;
    if (existing) return status === existing.status ? nothing : undefined;
    if (!isPossible || (status !== undefined && status !== 'reserved')) return undefined;
    this.reserved += quantity;
    this.reservations.set(reservationId!, { quantity, status: 'reserved' });
    return () => {
      this.reserved -= quantity;
      this.reservations.delete(reservationId!);
    };
  }

  private settle({ what, reservationId, refusal, status }: StockCall): (() => void) | undefined {
    const reservation = this.reservations.get(reservationId!);
    if (refusal === 'reservation-not-found') return reservation ? undefined : nothing;
    if (!reservation) return undefined;
    if (refusal) return refusal === `reservation-${reservation.status}` ? nothing : undefined;
    if (reservation.status !== 'reserved') return status === reservation.status ? nothing : undefined;
    const becomes = what === 'release' ? 'released' : what === 'commit' ? 'committed' : 'expired';
    if (status !== undefined && status !== becomes) return undefined;
    const { quantity } = reservation;
    this.reserved -= quantity;
    if (becomes === 'committed') this.onHand -= quantity;
    this.reservations.set(reservationId!, { quantity, status: becomes });
    return () => {
      this.reserved += quantity;
      if (becomes === 'committed') this.onHand += quantity;
      this.reservations.set(reservationId!, reservation);
    };
  }

  private change({ says }: StockCall, quantity: number): (() => void) | undefined {
    if (says && (says.onHand !== this.onHand + quantity || says.reserved !== this.reserved)) return undefined;
    this.onHand += quantity;
    return () => void (this.onHand -= quantity);
  }
}

const nothing = () => undefined;

/** When a request does not say. */
const usualExpirySeconds = 15 * 60;
/** A deadline is a moment of another clock. */
const clockSlackMs = 2_000;

/**
 * Each SKU's calls, by `sku/<sku>`. Left out are SKUs that are ordered: what a checkout does to them is seen by no
 * client; and those whose stock is at several places, where a refused adjustment says nothing of the sum.
 */
export function stockCalls(operations: readonly Operation[]): { calls: Map<string, Call<StockCall>[]>; leftOut: Set<string> } {
  const calls = new Map<string, Call<StockCall>[]>();
  const leftOut = new Set<string>();
  const lastMs = operations.reduce((last, { endedAtMs = 0 }) => Math.max(last, endedAtMs), 0);
  for (const operation of operations) {
    const { action } = operation;
    if ('lines' in action) for (const { sku } of action.lines ?? []) leftOut.add(`sku/${sku}`);
    if ('location' in action && (action.location ?? 'main') !== 'main') leftOut.add(`sku/${action.sku}`);
    const outcome = outcomeOf(operation);
    if (outcome.kind === 'not tried') continue;
    const call = callOf(operation, outcome);
    if (!call) continue;
    const name = `sku/${'sku' in action ? action.sku : ''}`;
    const own = calls.get(name) ?? [];
    calls.set(name, own);
    own.push(call);
    if (action.kind !== 'reserve' || outcome.kind === 'refused') continue;
    const { reservationId, expiresInSeconds = usualExpirySeconds } = action;
    const expiresAtMs = operation.invokedAtMs + expiresInSeconds * 1_000 - clockSlackMs;
    if (expiresAtMs > lastMs) continue;
    own.push({ input: { what: 'expire', reservationId, entries: call.input.entries }, invokedAtMs: expiresAtMs });
  }
  for (const name of leftOut) calls.delete(name);
  return { calls, leftOut };
}

function callOf(operation: Operation, outcome: Outcome): Call<StockCall> | undefined {
  const { action, invokedAtMs, endedAtMs } = operation;
  const seen = {
    entries: numbersOf(operation),
    ...(outcome.kind === 'refused' && { refusal: outcome.code }),
  };
  const timed = (input: StockCall): Call<StockCall> => ({
    input,
    invokedAtMs,
    ...(outcome.kind !== 'open' && { endedAtMs: endedAtMs! }),
  });
  const body = outcome.kind === 'done' ? outcome.body : undefined;
  switch (action.kind) {
    case 'receive-stock':
      return outcome.kind === 'refused' ? undefined : timed({ what: 'receive', quantity: action.quantity, says: body, ...seen });
    case 'adjust-stock':
      if (outcome.kind === 'refused' && outcome.code !== 'insufficient-stock') return undefined;
      return timed({ what: 'adjust', quantity: action.delta, says: body, ...seen });
    case 'reserve':
      return timed({ what: 'reserve', reservationId: action.reservationId, quantity: action.quantity, status: body?.status, ...seen });
    case 'release':
    case 'commit':
      return timed({ what: action.kind, reservationId: action.reservationId, status: body?.status, ...seen });
    default:
      return undefined;
  }
}
