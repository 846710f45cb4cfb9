import type { DomainModule } from '../../platform/domain-module.js';
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

/** Orders, from the checkout to the refund. Partition key: the order's id. */
export const orderingModule: DomainModule = {
  name: 'ordering',
  events: orderingEvents,
  problems: orderingProblems,
  projections: [orderingOrders],
  invariants: orderingInvariants,
  commands: {
    controllers: [OrderingController],
    providers: [
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
      CarryOutOrder,
      OrderNews,
    ],
  },
  queries: {
    controllers: [OrderingQueriesController],
    providers: [GetOrderHandler, ListOrdersHandler],
  },
};
