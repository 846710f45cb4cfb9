import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { receiveStock, stockStream, type ReceiveStockInput } from '../domain/stock.js';

export class ReceiveStock extends LogCommand<ReceiveStockInput> {
  static readonly type = 'inventory.receive-stock';
  static partitionKey = ({ sku }: ReceiveStockInput): string => sku;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: () => [stockStream(input.sku)],
      decide: (states, context) => receiveStock(states, input, context),
    });
  }
}

@CommandHandler(ReceiveStock)
export class ReceiveStockHandler implements ICommandHandler<ReceiveStock> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ReceiveStock): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
