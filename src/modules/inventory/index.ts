/** The inventory's face: what other modules may use. */
export { inventoryModule } from './inventory.module.js';
export { ReceiveStock } from './commands/receive-stock.js';
export { AdjustStock } from './commands/adjust-stock.js';
export { ReserveStock } from './commands/reserve-stock.js';
export { ReleaseReservation } from './commands/release-reservation.js';
export { CommitReservation } from './commands/commit-reservation.js';
/** The query, and the view that it reads: for whoever waits for a consistency token. */
export { GetAvailable, inventoryStock } from './views/stock.js';
export { inventoryProblems } from './domain/problems.js';
export type { InventoryEvent } from './domain/events.js';
