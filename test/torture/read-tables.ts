import { differences, readTablesGoneWrong, type Named } from '../chaos/checkers.js';
import type { FinalState } from './final-state.js';
import type { Replay } from './replay.js';
import { violations, type Violation } from './violation.js';

/**
 * Read tables are what their events add up to (C7): accounts and trial balances, stock, reservations and orders. What
 * is reserved is compared by reservation, not by level: a level is as of its last event, and time goes on.
 */
export function tablesGoneWrong(state: FinalState, { stock, reservations, orders }: Replay): Violation[] {
  const levels = [...stock].flatMap(([name, versions]): Named =>
    [...versions.at(-1)!.levels].map(([location, level]) => [`${name} at ${location}`, `${level.onHand} on hand, version ${level.versions}`]),
  );
  return violations('C7', [
    ...readTablesGoneWrong(state.log, state.ledger),
    ...differences(
      'inventory_stock',
      levels,
      state.stock.map((row) => [`sku/${row.sku} at ${row.location}`, `${row.onHand} on hand, version ${row.versions}`]),
    ),
    ...differences(
      'inventory_reservations',
      [...reservations].map(([name, { quantity, status }]) => [name, `${quantity} ${status}`]),
      state.reservations.map((row) => [`reservation/${row.sku}/${row.reservationId}`, `${row.quantity} ${row.status}`]),
    ),
    ...differences(
      'ordering_orders',
      [...orders].map(([name, versions]) => {
        const { customerId, status, total } = versions.at(-1)!;
        return [name, `${status} of ${customerId} for ${total}, version ${versions.length}`];
      }),
      state.orders.map((row) => [`order/${row.orderId}`, `${row.status} of ${row.customerId} for ${row.total}, version ${row.version}`]),
    ),
  ]);
}
