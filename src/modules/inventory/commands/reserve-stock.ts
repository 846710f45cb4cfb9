import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { reserveStock, streamsOf, type ReserveStockInput } from '../domain/reservation.js';

export class ReserveStock extends LogCommand<ReserveStockInput> {
  static readonly type = 'inventory.reserve-stock';
  static partitionKey = ({ sku }: ReserveStockInput): string => sku;
}

@CommandHandler(ReserveStock)
export class ReserveStockHandler implements ICommandHandler<ReserveStock> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ReserveStock): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => streamsOf(input),
        decide: (states, context) => reserveStock(states, input, context),
      }),
    );
  }
}
