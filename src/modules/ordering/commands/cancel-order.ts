import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { cancelOrder, orderStream } from '../domain/order.js';

interface CancelOrderInput {
  readonly orderId: string;
  readonly reason?: string;
}

export class CancelOrder extends LogCommand<CancelOrderInput> {
  static readonly type = 'ordering.cancel-order';
  static partitionKey = ({ orderId }: CancelOrderInput): string => orderId;
}

@CommandHandler(CancelOrder)
export class CancelOrderHandler implements ICommandHandler<CancelOrder> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: CancelOrder): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId)],
        decide: (states, context) => cancelOrder(states, input, context),
      }),
    );
  }
}
