import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { archiveProduct, catalogKey, streamsWithSkus } from '../domain/product.js';

interface ArchiveProductInput {
  readonly productId: string;
}

export class ArchiveProduct extends LogCommand<ArchiveProductInput> {
  static readonly type = 'catalog.archive-product';
  static partitionKey = (): string => catalogKey;
}

@CommandHandler(ArchiveProduct)
export class ArchiveProductHandler implements ICommandHandler<ArchiveProduct> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ArchiveProduct): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: (states) => streamsWithSkus(states, input.productId),
        decide: (states, context) => archiveProduct(states, input, context),
      }),
    );
  }
}
