import type { DomainModule } from '../../platform/domain-module.js';
import { AdjustStockHandler } from './commands/adjust-stock.js';
import { CommitReservationHandler } from './commands/commit-reservation.js';
import { ExpireReservationHandler } from './commands/expire-reservation.js';
import { ReceiveStockHandler } from './commands/receive-stock.js';
import { ReleaseReservationHandler } from './commands/release-reservation.js';
import { ReserveStockHandler } from './commands/reserve-stock.js';
import { inventoryEvents } from './domain/events.js';
import { inventoryProblems } from './domain/problems.js';
import { inventoryInvariants } from './inventory.audit.js';
import { InventoryController } from './inventory.controller.js';
import { InventoryQueriesController } from './inventory.queries.controller.js';
import { inventoryMovements, ListMovementsHandler } from './views/movements.js';
import { GetReservationHandler, inventoryReservations } from './views/reservations.js';
import { GetAvailableHandler, GetStockHandler, inventoryStock } from './views/stock.js';

/** Stock: what is there, where, and for whom it is kept. Partition key: the SKU. */
export const inventoryModule: DomainModule = {
  name: 'inventory',
  events: inventoryEvents,
  problems: inventoryProblems,
  projections: [inventoryStock, inventoryReservations, inventoryMovements],
  invariants: inventoryInvariants,
  commands: {
    controllers: [InventoryController],
    providers: [
      ReceiveStockHandler,
      AdjustStockHandler,
      ReserveStockHandler,
      CommitReservationHandler,
      ReleaseReservationHandler,
      ExpireReservationHandler,
    ],
  },
  queries: {
    controllers: [InventoryQueriesController],
    providers: [GetStockHandler, GetAvailableHandler, ListMovementsHandler, GetReservationHandler],
  },
};
