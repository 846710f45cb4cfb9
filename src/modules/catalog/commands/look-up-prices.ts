import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { catalogKey } from '../domain/product.js';
import { pricesOf, skuStream } from '../domain/sku.js';

interface LookUpPricesInput {
  readonly skus: readonly string[];
}

/**
 * What an order must know of its SKUs, as the log has it at this moment: a view may not have heard yet that a product
 * was made, changed its price or was archived. Changes nothing. SKUs that nobody owns are left out of the answer.
 */
export class LookUpPrices extends LogCommand<LookUpPricesInput> {
  static readonly type = 'catalog.look-up-prices';
  static partitionKey = (): string => catalogKey;

  toWrite() {
    const { skus } = this.input;
    return this.write({
      streams: () => skus.map(skuStream),
      decide: (states) => ({ events: [], answer: pricesOf(states, skus) }),
    });
  }
}

@CommandHandler(LookUpPrices)
export class LookUpPricesHandler implements ICommandHandler<LookUpPrices> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: LookUpPrices): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
