import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import type { PartsDecided } from '../../../platform/log/decision.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { LookUpPrices, type SkuPrice } from '../../catalog/index.js';
import { orderStream, placeOrder, type PlaceOrderInput } from '../domain/order.js';
import { partsFor, takeWith } from '../taking.js';

type Input = PlaceOrderInput & {
  /**
   * It is checked out in the commit that places it: somebody waits for the verdict, or for nothing at all (`respond-async`).
   * Else, who is told that it is placed shall not wait for more, and a saga has it checked out.
   */
  readonly checksOut?: boolean;
};

export class PlaceOrder extends LogCommand<Input> {
  static readonly type = 'ordering.place-order';
  static partitionKey = ({ orderId }: Input): string => orderId;
}

@CommandHandler(PlaceOrder)
export class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  execute(command: PlaceOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, isNew, lines, payment, checksOut } = input;
    const skus = [...new Set(lines.map(({ sku }) => sku))];
    // Of the log, not of a view: who has just made a product can order it, and an archived one is so at once.
    const lookUpPrices = this.steps.part(LookUpPrices, { skus }, envelope, 'prices');
    // Named beforehand, for their states to be there. What the order costs is known only when it is decided.
    const toTake = checksOut ? partsFor({ orderId, lines, payment, total: 'unknown', currency: '' }, this.steps, envelope, isNew) : [];
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId, isNew)],
        parts: [lookUpPrices, ...toTake],
        decide: (states, context, decideParts) => {
          const prices = pricesIn(decideParts([lookUpPrices]));
          const take = checksOut ? takeWith(decideParts, this.steps, envelope, isNew) : undefined;
          return placeOrder(states, input, prices, context, take);
        },
      }),
    );
  }
}

function pricesIn(parts: PartsDecided): Map<string, SkuPrice> {
  if (parts.refusal) throw new Error(`prices can not be refused: ${parts.refusal.code}`);
  const [{ prices }] = parts.answers as [{ prices: SkuPrice[] }];
  return new Map(prices.map((price) => [price.sku, price]));
}
