import { inventoryEvents } from '../../src/modules/inventory/domain/events.js';
import * as reservations from '../../src/modules/inventory/domain/reservation.js';
import * as stock from '../../src/modules/inventory/domain/stock.js';
import { scenariosOf, type Decider } from './given.js';

/** The inventory's events and commands in the words of somebody who keeps a store. All of the SKU `mug`. */
export const sku = 'mug';

export const given = scenariosOf(inventoryEvents, [stock.stockType, reservations.reservationType]);

// ---- What has happened. `onHand` and `reserved` are what an event left behind; they matter where they are expected.

export function received(quantity: number, level: Partial<stock.StockReceived['data']> = {}): stock.StockReceived {
  const data = { sku, location: 'main', quantity, onHand: quantity, reserved: 0, ...level };
  return { type: 'inventory.stock-received.v1', data };
}

export function adjusted(delta: number, reason: string, level: Partial<stock.StockAdjusted['data']> = {}): stock.StockAdjusted {
  const data = { sku, location: 'main', delta, reason, onHand: 0, reserved: 0, ...level };
  return { type: 'inventory.stock-adjusted.v1', data };
}

/** `quantity` of a location, which then has so many on hand and reserved. */
export function from(location: string, quantity: number, [onHand, inReserve] = [0, 0]): reservations.AllocationLine {
  return { location, quantity, onHand, reserved: inReserve };
}

type Lines = reservations.AllocationLine | readonly reservations.AllocationLine[];

export function reserved(
  reservationId: string,
  lines: Lines,
  expiry: { expiresAt?: string; expiresInSeconds?: number } = {},
): reservations.StockReserved {
  const allocations = [lines].flat();
  const quantity = allocations.reduce((sum, line) => sum + line.quantity, 0);
  return { type: 'inventory.stock-reserved.v1', data: { sku, reservationId, quantity, allocations, ...expiry } };
}

export function committed(reservationId: string, lines: Lines, expiresAt?: string): reservations.ReservationCommitted {
  return { type: 'inventory.reservation-committed.v1', data: held(reservationId, lines, expiresAt) };
}

export function released(reservationId: string, lines: Lines, expiresAt?: string): reservations.ReservationReleased {
  return { type: 'inventory.reservation-released.v1', data: held(reservationId, lines, expiresAt) };
}

export function expired(reservationId: string, lines: Lines, expiresAt: string): reservations.ReservationExpired {
  return { type: 'inventory.reservation-expired.v1', data: held(reservationId, lines, expiresAt) };
}

const held = (reservationId: string, lines: Lines, expiresAt: string | undefined) => ({
  sku,
  reservationId,
  allocations: [lines].flat(),
  ...(expiresAt && { expiresAt }),
});

// ---- What somebody wants

type Answer<Decide extends (...args: never[]) => { answer: unknown }> = ReturnType<Decide>['answer'];

export function receives(quantity: number, location = 'main', reference?: string): Decider<stock.StockAnswer> {
  const input = { sku, location, quantity, reference };
  return {
    streams: () => [stock.stockStream(sku)],
    decide: (states, context) => stock.receiveStock(states, input, context),
  };
}

export function adjusts(delta: number, reason = 'counted', location = 'main'): Decider<stock.StockAnswer> {
  const input = { sku, location, delta, reason };
  return {
    streams: () => [stock.stockStream(sku)],
    decide: (states, context) => stock.adjustStock(states, input, context),
  };
}

export function reserves(
  reservationId: string,
  quantity: number,
  expiresInSeconds?: number,
): Decider<reservations.ReservationAnswer> {
  const input = { sku, reservationId, quantity, ...(expiresInSeconds !== undefined && { expiresInSeconds }) };
  return {
    streams: () => reservations.streamsOf(input),
    decide: (states, context) => reservations.reserveStock(states, input, context),
  };
}

export function commits(reservationId: string): Decider<reservations.ReservationAnswer> {
  const input = { sku, reservationId };
  return {
    streams: () => reservations.streamsOf(input),
    decide: (states, context) => reservations.commitReservation(states, input, context),
  };
}

export function releases(reservationId: string, evenIfAbsent?: true): Decider<reservations.ReservationAnswer> {
  const input = { sku, reservationId, evenIfAbsent };
  return {
    streams: () => reservations.streamsOf(input),
    decide: (states, context) => reservations.releaseReservation(states, input, context),
  };
}

export function expires(reservationId: string): Decider<Answer<typeof reservations.expireReservation>> {
  const input = { sku, reservationId };
  return {
    streams: () => reservations.streamsOf(input),
    decide: (states, context) => reservations.expireReservation(states, input, context),
  };
}
