import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { catalogKey, changeProduct, productStream, type ChangeProductInput } from '../domain/product.js';

export class ChangeProduct extends LogCommand<ChangeProductInput> {
  static readonly type = 'catalog.change-product';
  static partitionKey = (): string => catalogKey;
}

@CommandHandler(ChangeProduct)
export class ChangeProductHandler implements ICommandHandler<ChangeProduct> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ChangeProduct): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [productStream(input.productId)],
        decide: (states, context) => changeProduct(states, input, context),
      }),
    );
  }
}
