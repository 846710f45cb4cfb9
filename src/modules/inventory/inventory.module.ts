import { Module } from '@nestjs/common';
import { Audit } from '../../platform/audit/audit.js';
import { ProjectionCatalogue } from '../../platform/consumers/projection-catalogue.js';
import { ProblemCatalogue } from '../../platform/http/problem.js';
import { EventCatalogue } from '../../platform/log/catalogue.js';
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

const commands = [
  ReceiveStockHandler,
  AdjustStockHandler,
  ReserveStockHandler,
  CommitReservationHandler,
  ReleaseReservationHandler,
  ExpireReservationHandler,
];

const queries = [GetStockHandler, GetAvailableHandler, ListMovementsHandler, GetReservationHandler];

/** Stock: what is there, where, and for whom it is kept. Partition key: the SKU. */
@Module({
  controllers: [InventoryController, InventoryQueriesController],
  providers: [...commands, ...queries],
})
export class InventoryModule {
  constructor(events: EventCatalogue, problems: ProblemCatalogue, projections: ProjectionCatalogue, audit: Audit) {
    events.add(inventoryEvents);
    problems.add(inventoryProblems);
    projections.add(inventoryStock, inventoryReservations, inventoryMovements);
    audit.add(...inventoryInvariants);
  }
}
