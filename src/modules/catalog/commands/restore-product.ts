import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { catalogKey, restoreProduct, streamsWithSkus } from '../domain/product.js';

interface RestoreProductInput {
  readonly productId: string;
}

export class RestoreProduct extends LogCommand<RestoreProductInput> {
  static readonly type = 'catalog.restore-product';
  static partitionKey = (): string => catalogKey;
}

@CommandHandler(RestoreProduct)
export class RestoreProductHandler implements ICommandHandler<RestoreProduct> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: RestoreProduct): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: (states) => streamsWithSkus(states, input.productId),
        decide: (states, context) => restoreProduct(states, input, context),
      }),
    );
  }
}
