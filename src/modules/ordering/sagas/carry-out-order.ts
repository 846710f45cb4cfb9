import { Injectable } from '@nestjs/common';
import { Saga } from '@nestjs/cqrs';
import { mergeMap, type Observable } from 'rxjs';
import { request, type CommandRequest, type EventOf } from '../../../platform/consumers/saga.js';
import { CheckOut } from '../commands/check-out.js';
import { FulfilOrder } from '../commands/fulfil-order.js';
import { PayRefund } from '../commands/pay-refund.js';
import { ReleaseOrder } from '../commands/release-order.js';
import { ShipOrder } from '../commands/ship-order.js';
import type { OrderEvent } from '../domain/order.js';

/**
 * What follows from what has happened to an order, in other partitions (ADR 0010):
 *
 *   placed              → check out, unless that was done at once: reserve the stock, authorise the payment, and
 *                         confirm or reject the order
 *   rejected, cancelled → release what was taken for it
 *   came late           → release it, too (of old logs: a checkout that was under way had found its order ended)
 *   confirmed           → fulfil it, when it is to go out by itself
 *   fulfilment started  → ship: capture the payment, commit the stock
 *   refund requested    → pay it
 */
@Injectable()
export class CarryOutOrder {
  static readonly type = 'ordering.carry-out-order';
  static readonly eventTypes = [
    'ordering.order-placed.v1',
    'ordering.order-rejected.v1',
    'ordering.order-cancelled.v1',
    'ordering.checkout-came-late.v1',
    'ordering.order-confirmed.v1',
    'ordering.fulfilment-started.v1',
    'ordering.refund-requested.v1',
  ] as const satisfies readonly OrderEvent['type'][];

  @Saga()
  carryOut(events$: Observable<EventOf<typeof CarryOutOrder, OrderEvent>>): Observable<CommandRequest> {
    return events$.pipe(mergeMap(commandsAfter));
  }
}

/** Of every event that is named above, and of no other: the compiler says so. */
function commandsAfter({ type, data }: EventOf<typeof CarryOutOrder, OrderEvent>): CommandRequest[] {
  switch (type) {
    case 'ordering.order-placed.v1': {
      const { orderId, payment, total, currency, refusal, isCheckedOut } = data;
      if (refusal || isCheckedOut) return [];
      const lines = data.lines.map(({ sku, quantity }) => ({ sku, quantity }));
      return [request(CheckOut, { orderId, lines, payment, total, currency: currency! })];
    }
    case 'ordering.order-rejected.v1':
    case 'ordering.order-cancelled.v1':
    case 'ordering.checkout-came-late.v1': {
      const { orderId, taken, payment } = data;
      return taken.payment || taken.skus.length > 0 ? [request(ReleaseOrder, { orderId, taken, payment })] : [];
    }
    case 'ordering.order-confirmed.v1':
      return data.autoFulfil ? [request(FulfilOrder, { orderId: data.orderId })] : [];
    case 'ordering.fulfilment-started.v1':
      return [request(ShipOrder, data)];
    case 'ordering.refund-requested.v1':
      return [request(PayRefund, data)];
  }
}
