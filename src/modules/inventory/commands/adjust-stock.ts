import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { adjustStock, stockStream, type AdjustStockInput } from '../domain/stock.js';

export class AdjustStock extends LogCommand<AdjustStockInput> {
  static readonly type = 'inventory.adjust-stock';
  static partitionKey = ({ sku }: AdjustStockInput): string => sku;
}

@CommandHandler(AdjustStock)
export class AdjustStockHandler implements ICommandHandler<AdjustStock> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: AdjustStock): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [stockStream(input.sku)],
        decide: (states, context) => adjustStock(states, input, context),
      }),
    );
  }
}
