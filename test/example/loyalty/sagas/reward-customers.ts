import { Injectable } from '@nestjs/common';
import { Saga } from '@nestjs/cqrs';
import { map, type Observable } from 'rxjs';
import type { OrderEvent } from '../../../../src/modules/ordering/index.js';
import { ofType, request, type CommandRequest } from '../../../../src/platform/consumers/saga.js';
import type { RecordedEvent } from '../../../../src/platform/log/recorded-event.js';
import { RewardOrder } from '../commands/reward-order.js';

/** An order that is fulfilled earns its customer points: what was only placed may still come to nothing. */
@Injectable()
export class RewardCustomers {
  static readonly type = 'loyalty.reward-customers';

  @Saga()
  rewardCustomers(events$: Observable<RecordedEvent>): Observable<CommandRequest> {
    return events$.pipe(
      ofType<OrderEvent, 'ordering.order-fulfilled.v1'>('ordering.order-fulfilled.v1'),
      map(({ data: { orderId } }) => request(RewardOrder, { orderId })),
    );
  }
}
