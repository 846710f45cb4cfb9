import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { reserveStock, streamsOf, type ReserveStockInput } from '../domain/reservation.js';

export class ReserveStock extends LogCommand<ReserveStockInput> {
  static readonly type = 'inventory.reserve-stock';
  static partitionKey = ({ sku }: ReserveStockInput): string => sku;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: () => streamsOf(input),
      decide: (states, context) => reserveStock(states, input, context),
    });
  }
}

@CommandHandler(ReserveStock)
export class ReserveStockHandler implements ICommandHandler<ReserveStock> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ReserveStock): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
