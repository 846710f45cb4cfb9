import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { lookAtOrder, orderStream } from '../domain/order.js';

interface LookAtOrderInput {
  readonly orderId: string;
}

/**
 * The order as it is in the log now, for the answers of writes and for other modules: a view may not be there yet.
 * Changes nothing.
 */
export class LookAtOrder extends LogCommand<LookAtOrderInput> {
  static readonly type = 'ordering.look-at-order';
  static partitionKey = ({ orderId }: LookAtOrderInput): string => orderId;
}

@CommandHandler(LookAtOrder)
export class LookAtOrderHandler implements ICommandHandler<LookAtOrder> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: LookAtOrder): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({ streams: () => [orderStream(input.orderId)], decide: (states) => lookAtOrder(states, input) }),
    );
  }
}
