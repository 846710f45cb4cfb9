import type { EventModule, EventType } from '../../../platform/log/stream.js';
import { streamsOfReservation, type ReservationEvent } from './reservation.js';
import { stockStream, type StockEvent } from './stock.js';

export type InventoryEvent = StockEvent | ReservationEvent;

const ofStock = (type: StockEvent['type']): EventType<StockEvent> => ({ type, streams: ({ sku }) => [stockStream(sku)] });
const ofReservation = (type: ReservationEvent['type']): EventType<ReservationEvent> => ({
  type,
  streams: streamsOfReservation,
});

/** The inventory's part of the log. docs/events.md lists the same events; a test holds them equal. */
export const inventoryEvents: EventModule = {
  events: [
    ofStock('inventory.stock-received.v1'),
    ofStock('inventory.stock-adjusted.v1'),
    ofReservation('inventory.stock-reserved.v1'),
    ofReservation('inventory.reservation-released.v1'),
    ofReservation('inventory.reservation-committed.v1'),
    ofReservation('inventory.reservation-expired.v1'),
  ],
};
