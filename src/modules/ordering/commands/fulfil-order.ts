import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { orderStream, startFulfilment } from '../domain/order.js';

interface FulfilOrderInput {
  readonly orderId: string;
}

/** From here on it can no longer be cancelled; ShipOrder does the rest. */
export class FulfilOrder extends LogCommand<FulfilOrderInput> {
  static readonly type = 'ordering.fulfil-order';
  static partitionKey = ({ orderId }: FulfilOrderInput): string => orderId;
}

@CommandHandler(FulfilOrder)
export class FulfilOrderHandler implements ICommandHandler<FulfilOrder> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: FulfilOrder): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId)],
        decide: (states, context) => startFulfilment(states, input, context),
      }),
    );
  }
}
