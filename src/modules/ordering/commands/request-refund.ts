import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { orderStream, requestRefund, type RefundInput } from '../domain/order.js';

/** Sets the amount aside, so that however many ask at once never get more than was captured; PayRefund does the rest. */
export class RequestRefund extends LogCommand<RefundInput> {
  static readonly type = 'ordering.request-refund';
  static partitionKey = ({ orderId }: RefundInput): string => orderId;
}

@CommandHandler(RequestRefund)
export class RequestRefundHandler implements ICommandHandler<RequestRefund> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: RequestRefund): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId)],
        decide: (states, context) => requestRefund(states, input, context),
      }),
    );
  }
}
