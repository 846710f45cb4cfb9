import {
  Rejection,
  type Decision,
  type DecisionContext,
  type ScheduledCommand,
  type States,
} from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Event, type Stream, type StreamType } from '../../../platform/log/stream.js';
import { secondsOf, timeAt } from '../../../shared/time.js';
import {
  allocationsFor,
  asOf,
  levelAt,
  stockStream,
  type Allocation,
  type Level,
  type StockState,
} from './stock.js';

// ---- Events. Each belongs to its reservation's stream and to the stock's.

/** What a reservation holds at a location, and what that location was left with. */
export type AllocationLine = Allocation & Level;

interface Held {
  readonly sku: string;
  readonly reservationId: string;
  readonly allocations: readonly AllocationLine[];
  readonly expiresAt?: string;
}

export type StockReserved = Event<
  'inventory.stock-reserved.v1',
  Held & { quantity: number; expiresInSeconds?: number }
>;
/** Without allocations: released before it was made, which it now never will be. Of its own stream alone. */
export type ReservationReleased = Event<'inventory.reservation-released.v1', Held>;
/** What was reserved has left the house. */
export type ReservationCommitted = Event<'inventory.reservation-committed.v1', Held>;
/** On record some time after `expiresAt`, the moment from which on it did not count any more. */
export type ReservationExpired = Event<'inventory.reservation-expired.v1', Held>;
export type ReservationEvent = StockReserved | ReservationReleased | ReservationCommitted | ReservationExpired;

// ---- State

export type ReservationStatus = 'reserved' | 'committed' | 'released' | 'expired';

/** What each event makes of its reservation. */
export const statusAfter = {
  'inventory.stock-reserved.v1': 'reserved',
  'inventory.reservation-committed.v1': 'committed',
  'inventory.reservation-released.v1': 'released',
  'inventory.reservation-expired.v1': 'expired',
} as const satisfies Record<ReservationEvent['type'], ReservationStatus>;

export interface ReservationState {
  readonly reservationId: string;
  readonly status: 'absent' | ReservationStatus;
  /** 0: it was released before it was made. */
  readonly quantity: number;
  readonly allocations: readonly Allocation[];
  readonly expiresInSeconds?: number;
  readonly expiresAt?: string;
}

export const reservationType: StreamType<ReservationState, ReservationEvent> = {
  name: 'reservation',
  stateVersion: 1,
  stateBytes: (state) => 300 + state.allocations.length * 150,
  initial: (id) => ({
    reservationId: id.slice(id.indexOf('/') + 1),
    status: 'absent',
    quantity: 0,
    allocations: [],
  }),
  evolve: evolveReservation,
  // An open one is settled soon; then it is hardly ever looked at again.
  isWorthKeeping: (state) => state.status === 'reserved',
};

/** `sku` and `reservationId` are ids, so neither contains a slash. */
export function reservationStream(sku: string, reservationId: string, isNew = false): Stream<ReservationState> {
  return stream(reservationType, `${sku}/${reservationId}`, isNew);
}

export function streamsOfReservation({ sku, reservationId, allocations }: ReservationEvent['data']): Stream[] {
  const reservation: Stream = reservationStream(sku, reservationId);
  return allocations.length === 0 ? [reservation] : [reservation, stockStream(sku)];
}

function evolveReservation(state: ReservationState, event: ReservationEvent): ReservationState {
  switch (event.type) {
    case 'inventory.stock-reserved.v1': {
      const { quantity, allocations, expiresInSeconds, expiresAt } = event.data;
      return { ...state, status: 'reserved', quantity, allocations: allocations.map(plain), expiresInSeconds, expiresAt };
    }
    case 'inventory.reservation-committed.v1':
    case 'inventory.reservation-released.v1':
    case 'inventory.reservation-expired.v1':
      return { ...state, status: statusAfter[event.type] };
    default:
      return unknownEvent(event);
  }
}

/** An allocation without what it left behind. */
export const plain = ({ location, quantity }: Allocation): Allocation => ({ location, quantity });

// ---- Decisions

/** The longest that a reservation may wait for its deadline; one without a deadline waits for ever. */
export const maxExpirySeconds = 24 * 60 * 60;

const fineExpirySeconds = 15 * 60;

export interface ReserveStockInput {
  readonly sku: string;
  readonly reservationId: string;
  /** The id was made by the server just now. */
  readonly isNew?: boolean;
  readonly quantity: number;
  /** Absent: until it is committed or released. */
  readonly expiresInSeconds?: number;
}

/** The reservation as writes and reads answer with it. */
export interface ReservationAnswer {
  readonly reservationId: string;
  readonly sku: string;
  readonly quantity: number;
  readonly status: ReservationStatus;
  readonly allocations: readonly Allocation[];
  readonly expiresAt?: string;
}

/** A reservation and the stock it is of: what every decision here is about. */
export function streamsOf({ sku, reservationId, isNew }: { sku: string; reservationId: string; isNew?: boolean }): Stream[] {
  return [reservationStream(sku, reservationId, isNew), stockStream(sku)];
}

/**
 * Sets stock aside, over several locations if it must, or refuses all of it. Refusals: reservation-released (before it
 * was made), reservation-exists, insufficient-stock.
 */
export function reserveStock(
  states: States,
  input: ReserveStockInput,
  context: DecisionContext,
): Decision<ReservationAnswer> {
  const { sku, reservationId, quantity, expiresInSeconds } = input;
  const existing = states.of(reservationStream(sku, reservationId, input.isNew));
  if (existing.status !== 'absent') return repeated(existing, input, context);
  const stock = asOf(states.of(stockStream(sku)), context.now);
  const allocations = linesOf(stock, allocationsFor(stock, quantity), 0, 1);
  const expiresAt = expiresInSeconds === undefined ? undefined : expiryOf(context.now, expiresInSeconds);
  const reserved: StockReserved = {
    type: 'inventory.stock-reserved.v1',
    data: { sku, reservationId, quantity, allocations, ...(expiresAt && { expiresAt, expiresInSeconds }) },
  };
  return {
    events: [reserved],
    created: true,
    answer: answerOf(sku, evolveReservation(existing, reserved), context),
    ...(expiresAt && { schedule: [expiryCommand(sku, reservationId, expiresAt)] }),
  };
}

export interface SettleInput {
  readonly sku: string;
  readonly reservationId: string;
}

/**
 * Ships what was reserved. Refusals: reservation-not-found, reservation-released, reservation-expired. Committing it
 * again changes nothing.
 */
export function commitReservation(
  states: States,
  { sku, reservationId }: SettleInput,
  context: DecisionContext,
): Decision<ReservationAnswer> {
  const reservation = states.of(reservationStream(sku, reservationId));
  const status = statusAt(reservation, context.now);
  if (status === 'absent') throw reservationNotFound(sku, reservationId);
  if (status === 'committed') return unchanged(sku, reservation, context);
  if (status !== 'reserved') throw settled(reservation, status);
  const committed: ReservationCommitted = {
    type: 'inventory.reservation-committed.v1',
    data: held(states, sku, reservation, context, -1, -1),
  };
  return settle(sku, reservation, committed, context);
}

export interface ReleaseReservationInput extends SettleInput {
  /** Of one that does not exist: it is on record as released, and can not be made any more. */
  readonly evenIfAbsent?: true;
}

/**
 * Gives back what was reserved. Refusals: reservation-not-found, reservation-committed. One that was released before
 * or has expired holds nothing to give back: nothing changes.
 */
export function releaseReservation(
  states: States,
  { sku, reservationId, evenIfAbsent }: ReleaseReservationInput,
  context: DecisionContext,
): Decision<ReservationAnswer> {
  const reservation = states.of(reservationStream(sku, reservationId));
  const status = statusAt(reservation, context.now);
  if (status === 'absent' && !evenIfAbsent) throw reservationNotFound(sku, reservationId);
  if (status === 'committed') throw settled(reservation, status);
  if (status === 'released' || status === 'expired') return unchanged(sku, reservation, context);
  const released: ReservationReleased = {
    type: 'inventory.reservation-released.v1',
    data: held(states, sku, reservation, context, 0, -1),
  };
  return settle(sku, reservation, released, context);
}

/**
 * Puts on record that a reservation has expired, which its stock has known since. Whoever runs this is sure that the
 * moment has come: by the clock of a decision, which is behind the database's by a network's delay, it may be a few
 * milliseconds away. One that is settled is left as it is.
 */
export function expireReservation(
  states: States,
  { sku, reservationId }: SettleInput,
  context: DecisionContext,
): Decision<ReservationAnswer | null> {
  const reservation = states.of(reservationStream(sku, reservationId));
  if (reservation.status !== 'reserved') return { events: [], answer: null };
  const isCounted = statusAt(reservation, context.now) === 'reserved';
  const expired: ReservationExpired = {
    type: 'inventory.reservation-expired.v1',
    data: held(states, sku, reservation, context, 0, isCounted ? -1 : 0),
  };
  return settle(sku, reservation, expired, context);
}

// ---- How it is done

/**
 * When a reservation expires: not before the time asked for, at a whole second, or at a whole minute when it waits for
 * longer than a quarter of an hour. So a SKU's open reservations, however many, have no more than some 2,350 different
 * expiries, and its stock no more sums.
 */
function expiryOf(now: string, seconds: number): string {
  const granularitySeconds = seconds <= fineExpirySeconds ? 1 : 60;
  return timeAt(Math.ceil((secondsOf(now) + seconds) / granularitySeconds) * granularitySeconds);
}

function expiryCommand(sku: string, reservationId: string, dueAt: string): ScheduledCommand {
  const key = expiryKey(sku, reservationId);
  return { key, type: 'inventory.expire-reservation', payload: { sku, reservationId }, dueAt };
}

const expiryKey = (sku: string, reservationId: string): string => `expire-reservation/${sku}/${reservationId}`;

/** An open reservation is over the moment it expires, whether or not that is on record. */
function statusAt({ status, expiresAt }: ReservationState, now: string): ReservationState['status'] {
  return status === 'reserved' && expiresAt !== undefined && expiresAt <= now ? 'expired' : status;
}

function held(
  states: States,
  sku: string,
  { reservationId, allocations, expiresAt }: ReservationState,
  { now }: DecisionContext,
  onHand: -1 | 0,
  reserved: -1 | 0,
): Held {
  const stock = asOf(states.of(stockStream(sku)), now);
  return { sku, reservationId, allocations: linesOf(stock, allocations, onHand, reserved), ...(expiresAt && { expiresAt }) };
}

/** Allocations with what they leave behind, in units of on hand and of reserved for each of theirs. */
function linesOf(
  stock: StockState,
  allocations: readonly Allocation[],
  onHand: -1 | 0,
  reserved: -1 | 0 | 1,
): AllocationLine[] {
  return allocations.map(({ location, quantity }) => {
    const level = levelAt(stock, location)!;
    return { location, quantity, onHand: level.onHand + onHand * quantity, reserved: level.reserved + reserved * quantity };
  });
}

function repeated(
  existing: ReservationState,
  { sku, reservationId, quantity, expiresInSeconds }: ReserveStockInput,
  context: DecisionContext,
): Decision<ReservationAnswer> {
  if (existing.quantity === 0) throw settled(existing, 'released');
  if (existing.quantity !== quantity || existing.expiresInSeconds !== expiresInSeconds) {
    throw new Rejection('reservation-exists', `reservation ${reservationId} of ${sku} exists with other content`);
  }
  return unchanged(sku, existing, context);
}

function settle(
  sku: string,
  reservation: ReservationState,
  event: ReservationEvent,
  context: DecisionContext,
): Decision<ReservationAnswer> {
  const { reservationId, expiresAt } = reservation;
  return {
    events: [event],
    answer: answerOf(sku, evolveReservation(reservation, event), context),
    ...(expiresAt && { unschedule: [expiryKey(sku, reservationId)] }),
  };
}

function unchanged(sku: string, reservation: ReservationState, context: DecisionContext): Decision<ReservationAnswer> {
  return { events: [], answer: answerOf(sku, reservation, context) };
}

function answerOf(sku: string, reservation: ReservationState, { now }: DecisionContext): ReservationAnswer {
  const { reservationId, quantity, allocations, expiresAt } = reservation;
  const status = statusAt(reservation, now) as ReservationStatus;
  return { reservationId, sku, quantity, status, allocations, ...(expiresAt && { expiresAt }) };
}

function settled({ reservationId, expiresAt }: ReservationState, status: 'committed' | 'released' | 'expired'): Rejection {
  const when = status === 'expired' ? ` at ${expiresAt}` : '';
  return new Rejection(`reservation-${status}`, `reservation ${reservationId} ${verbs[status]}${when}`);
}

const verbs = { committed: 'was committed', released: 'was released', expired: 'has expired' };

export function reservationNotFound(sku: string, reservationId: string): Rejection {
  return new Rejection('reservation-not-found', `there is no reservation ${reservationId} of ${sku}`);
}
