import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { LookUpPrices, type SkuPrice } from '../../catalog/index.js';
import { orderStream, placeOrder, type PlaceOrderInput } from '../domain/order.js';

export class PlaceOrder extends LogCommand<PlaceOrderInput> {
  static readonly type = 'ordering.place-order';
  static partitionKey = ({ orderId }: PlaceOrderInput): string => orderId;
}

@CommandHandler(PlaceOrder)
export class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: PlaceOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const skus = [...new Set(input.lines.map(({ sku }) => sku))];
    // Of the log, not of a view: who has just made a product can order it, and an archived one is so at once.
    const prices = await this.steps.run(LookUpPrices, { skus }, envelope, 'prices', { isIdempotent: true });
    const known = new Map(pricesIn(prices).map((price) => [price.sku, price]));
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId, input.isNew)],
        decide: (states, context) => placeOrder(states, input, known, context),
      }),
    );
  }
}

function pricesIn(outcome: Outcome): SkuPrice[] {
  if (outcome.status === 'refused') throw new Error(`prices can not be refused: ${outcome.rejection.code}`);
  return (JSON.parse(outcome.answer) as { prices: SkuPrice[] }).prices;
}
