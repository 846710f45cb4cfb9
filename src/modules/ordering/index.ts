/** Ordering's face: what other modules may use. */
export { orderingModule } from './ordering.module.js';
export { PlaceOrder } from './commands/place-order.js';
export { CancelOrder } from './commands/cancel-order.js';
export { FulfilOrder } from './commands/fulfil-order.js';
export { RequestRefund } from './commands/request-refund.js';
export { LookAtOrder } from './commands/look-at-order.js';
export { GetOrder } from './views/orders.js';
export type { OrderAnswer, OrderEvent } from './domain/order.js';
