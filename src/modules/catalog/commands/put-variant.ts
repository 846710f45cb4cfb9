import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { catalogKey, productStream, putVariant, type PutVariantInput } from '../domain/product.js';
import { skuStream } from '../domain/sku.js';

export class PutVariant extends LogCommand<PutVariantInput> {
  static readonly type = 'catalog.put-variant';
  static partitionKey = (): string => catalogKey;
}

@CommandHandler(PutVariant)
export class PutVariantHandler implements ICommandHandler<PutVariant> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: PutVariant): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [productStream(input.productId), skuStream(input.sku)],
        decide: (states, context) => putVariant(states, input, context),
      }),
    );
  }
}
