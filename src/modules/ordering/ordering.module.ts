import { Module } from '@nestjs/common';
import { Audit } from '../../platform/audit/audit.js';
import { ProjectionCatalogue } from '../../platform/consumers/projection-catalogue.js';
import { ProblemCatalogue } from '../../platform/http/problem.js';
import { EventCatalogue } from '../../platform/log/catalogue.js';
import { CancelOrderHandler } from './commands/cancel-order.js';
import { CheckOutHandler } from './commands/check-out.js';
import { FulfilOrderHandler } from './commands/fulfil-order.js';
import { LookAtOrderHandler } from './commands/look-at-order.js';
import { PayRefundHandler } from './commands/pay-refund.js';
import { PlaceOrderHandler } from './commands/place-order.js';
import { ReleaseOrderHandler } from './commands/release-order.js';
import { RequestRefundHandler } from './commands/request-refund.js';
import { ShipOrderHandler } from './commands/ship-order.js';
import { TimeOutOrderHandler } from './commands/time-out-order.js';
import { orderingEvents } from './domain/order.js';
import { orderingProblems } from './domain/problems.js';
import { OrderNews } from './order-news.js';
import { orderingInvariants } from './ordering.audit.js';
import { OrderingController } from './ordering.controller.js';
import { OrderingQueriesController } from './ordering.queries.controller.js';
import { CarryOutOrder } from './sagas/carry-out-order.js';
import { GetOrderHandler, ListOrdersHandler, orderingOrders } from './views/orders.js';

const commands = [
  PlaceOrderHandler,
  CheckOutHandler,
  TimeOutOrderHandler,
  CancelOrderHandler,
  ReleaseOrderHandler,
  FulfilOrderHandler,
  ShipOrderHandler,
  RequestRefundHandler,
  PayRefundHandler,
  LookAtOrderHandler,
];

const queries = [GetOrderHandler, ListOrdersHandler];

/** Orders, from the checkout to the refund. Partition key: the order's id. */
@Module({
  controllers: [OrderingController, OrderingQueriesController],
  providers: [...commands, ...queries, CarryOutOrder, OrderNews],
})
export class OrderingModule {
  constructor(events: EventCatalogue, problems: ProblemCatalogue, projections: ProjectionCatalogue, audit: Audit) {
    events.add(orderingEvents);
    problems.add(orderingProblems);
    projections.add(orderingOrders);
    audit.add(...orderingInvariants);
  }
}
