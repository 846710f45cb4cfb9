import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { orderStream, timeOutOrder } from '../domain/order.js';

interface TimeOutOrderInput {
  readonly orderId: string;
}

/** The deadline of a checkout: scheduled when the order is placed, taken back when it has its verdict. */
export class TimeOutOrder extends LogCommand<TimeOutOrderInput> {
  static readonly type = 'ordering.time-out-order';
  static partitionKey = ({ orderId }: TimeOutOrderInput): string => orderId;
}

@CommandHandler(TimeOutOrder)
export class TimeOutOrderHandler implements ICommandHandler<TimeOutOrder> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: TimeOutOrder): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId)],
        decide: (states, context) => timeOutOrder(states, input, context),
      }),
    );
  }
}
