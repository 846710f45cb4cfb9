import { Injectable } from '@nestjs/common';
import { Saga } from '@nestjs/cqrs';
import { map, type Observable } from 'rxjs';
import type { OrderEvent } from '../../../../src/modules/ordering/index.js';
import { request, type CommandRequest, type EventOf } from '../../../../src/platform/consumers/saga.js';
import { RewardOrder } from '../commands/reward-order.js';

/** An order that is fulfilled earns its customer points: what was only placed may still come to nothing. */
@Injectable()
export class RewardCustomers {
  static readonly type = 'loyalty.reward-customers';
  static readonly eventTypes = ['ordering.order-fulfilled.v1'] as const satisfies readonly OrderEvent['type'][];

  @Saga()
  rewardCustomers(events$: Observable<EventOf<typeof RewardCustomers, OrderEvent>>): Observable<CommandRequest> {
    return events$.pipe(map(({ data: { orderId } }) => request(RewardOrder, { orderId })));
  }
}
