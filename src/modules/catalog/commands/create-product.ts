import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { catalogKey, createProduct, streamsToCreate, type CreateProductInput } from '../domain/product.js';

export class CreateProduct extends LogCommand<CreateProductInput> {
  static readonly type = 'catalog.create-product';
  static partitionKey = (): string => catalogKey;
}

@CommandHandler(CreateProduct)
export class CreateProductHandler implements ICommandHandler<CreateProduct> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: CreateProduct): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => streamsToCreate(input),
        decide: (states, context) => createProduct(states, input, context),
      }),
    );
  }
}
