import { Rejection, type Decision, type DecisionContext, type States } from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Event, type Stream, type StreamType } from '../../../platform/log/stream.js';
import { secondsOf } from '../../../shared/time.js';
import type { ReservationEvent } from './reservation.js';

// ---- Events

/** What an event left behind at the location it is about, so that views need no running sums. */
export interface Level {
  readonly location: string;
  readonly onHand: number;
  /** What counted as reserved when the event was recorded. */
  readonly reserved: number;
}

export type StockReceived = Event<
  'inventory.stock-received.v1',
  Level & { sku: string; quantity: number; reference?: string }
>;
/** A stock-take's correction; `delta` is never 0. */
export type StockAdjusted = Event<'inventory.stock-adjusted.v1', Level & { sku: string; delta: number; reason: string }>;
export type StockEvent = StockReceived | StockAdjusted;

// ---- State

/**
 * How much of `reserved` at a location stops counting at a moment (in whole seconds since 1970), over all reservations
 * that expire then. `location` is an index.
 */
export type ExpiringSum = readonly [expiresAtSeconds: number, location: number, quantity: number];

/**
 * What decisions look at: sums, however many reservations are open. Locations are in the order in which the SKU first
 * received stock there, which is their priority when stock is allocated.
 */
export interface StockState {
  readonly sku: string;
  readonly locations: readonly Level[];
  /** By moment, then location. Those of the past are gone: bounded by the granularity of expiries. */
  readonly expiring: readonly ExpiringSum[];
  readonly version: number;
}

/** So many that no shop comes by the bound, and few enough that every state and every answer stays small. */
export const maxLocations = 100;

export const stockType: StreamType<StockState, StockEvent | ReservationEvent> = {
  name: 'stock',
  stateVersion: 1,
  stateBytes: ({ locations, expiring }) => 200 + locations.length * 150 + expiring.length * 80,
  initial: (sku) => ({ sku, locations: [], expiring: [], version: 0 }),
  evolve: evolveStock,
};

export function stockStream(sku: string): Stream<StockState> {
  return stream(stockType, sku);
}

function evolveStock(state: StockState, event: StockEvent | ReservationEvent, recordedAt: string): StockState {
  const stock = { ...asOf(state, recordedAt), version: state.version + 1 };
  switch (event.type) {
    case 'inventory.stock-received.v1':
      return move(stock, event.data.location, event.data.quantity, 0);
    case 'inventory.stock-adjusted.v1':
      return move(stock, event.data.location, event.data.delta, 0);
    case 'inventory.stock-reserved.v1':
      return allocate(stock, event.data, 0, 1, recordedAt);
    case 'inventory.reservation-committed.v1':
      return allocate(stock, event.data, -1, -1, recordedAt);
    case 'inventory.reservation-released.v1':
    case 'inventory.reservation-expired.v1':
      return allocate(stock, event.data, 0, -1, recordedAt);
    default:
      return unknownEvent(event);
  }
}

/** The stock as it is at a time: without the reservations that have expired by then. */
export function asOf(stock: StockState, time: string): StockState {
  const { expiring } = stock;
  if (expiring.length === 0) return stock;
  const seconds = secondsOf(time);
  const open = expiring.findIndex(([expiresAtSeconds]) => expiresAtSeconds > seconds);
  const passed = open < 0 ? expiring : expiring.slice(0, open);
  if (passed.length === 0) return stock;
  const locations = [...stock.locations];
  for (const [, index, quantity] of passed) {
    const level = locations[index]!;
    locations[index] = { ...level, reserved: level.reserved - quantity };
  }
  return { ...stock, locations, expiring: expiring.slice(passed.length) };
}

/** Moves what a reservation holds, in units of on hand and of reserved for each of its own. */
function allocate(
  stock: StockState,
  { allocations, expiresAt }: ReservationEvent['data'],
  onHand: -1 | 0,
  reserved: -1 | 1,
  recordedAt: string,
): StockState {
  let moved = stock;
  for (const { location, quantity } of allocations) {
    // When it has expired before, it does not count any more.
    const counts = expiresAt === undefined || recordedAt < expiresAt;
    moved = move(moved, location, onHand * quantity, counts ? reserved * quantity : 0);
    if (counts && expiresAt !== undefined) moved = expire(moved, location, secondsOf(expiresAt), reserved * quantity);
  }
  return moved;
}

function move(stock: StockState, location: string, onHand: number, reserved: number): StockState {
  const index = indexOf(stock, location);
  const before = stock.locations[index];
  if (!before) return { ...stock, locations: [...stock.locations, { location, onHand, reserved }] };
  const after = { location, onHand: before.onHand + onHand, reserved: before.reserved + reserved };
  return { ...stock, locations: stock.locations.with(index, after) };
}

function expire(stock: StockState, location: string, seconds: number, quantity: number): StockState {
  const { expiring } = stock;
  const index = indexOf(stock, location);
  // From the end: what is reserved last mostly expires last.
  let place = expiring.length;
  for (; place > 0; place--) {
    const [otherSeconds, otherIndex, sum] = expiring[place - 1]!;
    if (otherSeconds === seconds && otherIndex === index) {
      const changed: ExpiringSum[] = sum + quantity === 0 ? [] : [[seconds, index, sum + quantity]];
      return { ...stock, expiring: expiring.toSpliced(place - 1, 1, ...changed) };
    }
    if (otherSeconds < seconds || (otherSeconds === seconds && otherIndex < index)) break;
  }
  return { ...stock, expiring: expiring.toSpliced(place, 0, [seconds, index, quantity]) };
}

const indexOf = ({ locations }: StockState, location: string): number =>
  locations.findIndex((level) => level.location === location);

// ---- Decisions

export interface StockAnswer {
  readonly sku: string;
  readonly onHand: number;
  readonly reserved: number;
  readonly available: number;
  readonly locations: readonly (Level & { readonly available: number })[];
}

export interface ReceiveStockInput {
  readonly sku: string;
  readonly location: string;
  readonly quantity: number;
  readonly reference?: string;
}

/** Refusals: too-many-locations, quantity-out-of-range. */
export function receiveStock(
  states: States,
  { sku, location, quantity, reference }: ReceiveStockInput,
  context: DecisionContext,
): Decision<StockAnswer> {
  const stock = asOf(states.of(stockStream(sku)), context.now);
  const level = levelAt(stock, location);
  if (!level && stock.locations.length >= maxLocations) {
    throw new Rejection('too-many-locations', `${sku} is at ${maxLocations} locations, and ${location} is none of them`);
  }
  const { onHand, reserved } = level ?? { onHand: 0, reserved: 0 };
  requireRange(stock, quantity);
  const received: StockReceived = {
    type: 'inventory.stock-received.v1',
    data: { sku, location, quantity, ...(reference !== undefined && { reference }), onHand: onHand + quantity, reserved },
  };
  return { events: [received], answer: answerOf(evolveStock(stock, received, context.now)), created: true };
}

export interface AdjustStockInput {
  readonly sku: string;
  readonly location: string;
  readonly delta: number;
  readonly reason: string;
}

/**
 * Corrects what is on hand where stock was received before. Refusals: stock-not-found, quantity-out-of-range,
 * insufficient-stock (what is reserved has to stay).
 */
export function adjustStock(
  states: States,
  { sku, location, delta, reason }: AdjustStockInput,
  context: DecisionContext,
): Decision<StockAnswer> {
  const stock = asOf(states.of(stockStream(sku)), context.now);
  const level = levelAt(stock, location);
  if (!level) throw stockNotFound(sku, location);
  const { onHand, reserved } = level;
  requireRange(stock, delta);
  if (onHand + delta < reserved) {
    const detail = `location ${location} has ${onHand} of ${sku} on hand, ${reserved} of them reserved: ${-delta} can not be taken away`;
    throw new Rejection('insufficient-stock', detail);
  }
  const adjusted: StockAdjusted = {
    type: 'inventory.stock-adjusted.v1',
    data: { sku, location, delta, reason, onHand: onHand + delta, reserved },
  };
  return { events: [adjusted], answer: answerOf(evolveStock(stock, adjusted, context.now)), created: true };
}

export interface Allocation {
  readonly location: string;
  readonly quantity: number;
}

/** Takes from the first location what it has, the rest from the next, and so on. Refusals: insufficient-stock. */
export function allocationsFor(stock: StockState, quantity: number): Allocation[] {
  const allocations: Allocation[] = [];
  let missing = quantity;
  for (const { location, onHand, reserved } of stock.locations) {
    const taken = Math.min(onHand - reserved, missing);
    if (taken > 0) allocations.push({ location, quantity: taken });
    missing -= taken;
    if (missing === 0) return allocations;
  }
  const detail = `${stock.sku} has ${quantity - missing} available, ${quantity} is needed`;
  throw new Rejection('insufficient-stock', detail);
}

export function levelAt(stock: StockState, location: string): Level | undefined {
  return stock.locations[indexOf(stock, location)];
}

export function stockNotFound(sku: string, location?: string): Rejection {
  const where = location === undefined ? '' : ` at location ${location}`;
  return new Rejection('stock-not-found', `there never was any stock of ${sku}${where}`);
}

/** Views and clients add up a SKU's locations, in numbers that are exact up to 53 bits. */
function requireRange({ sku, locations }: StockState, more: number): void {
  const onHand = locations.reduce((sum, level) => sum + level.onHand, 0);
  if (onHand + more > Number.MAX_SAFE_INTEGER) {
    throw new Rejection('quantity-out-of-range', `${sku} has ${onHand} on hand, and ${more} more is more than can be counted`);
  }
}

function answerOf({ sku, locations }: StockState): StockAnswer {
  let [onHand, reserved] = [0, 0];
  for (const level of locations) {
    onHand += level.onHand;
    reserved += level.reserved;
  }
  const levels = locations.map((level) => ({ ...level, available: level.onHand - level.reserved }));
  return { sku, onHand, reserved, available: onHand - reserved, locations: levels };
}
