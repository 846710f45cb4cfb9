import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { CommitReservation } from '../../inventory/index.js';
import { CaptureTransaction } from '../../ledger/index.js';
import { completeFulfilment, orderStream, reservationOf, type PaymentSource } from '../domain/order.js';

interface ShipOrderInput {
  readonly orderId: string;
  readonly skus: readonly string[];
  readonly payment: PaymentSource;
  readonly transactionId?: string;
}

/**
 * Captures the payment and commits the stock. Both were set aside for the order without a deadline, so neither can be
 * refused but by somebody's doing behind the order's back: that is an operator's affair, and the command is parked.
 */
export class ShipOrder extends LogCommand<ShipOrderInput> {
  static readonly type = 'ordering.ship-order';
  static partitionKey = ({ orderId }: ShipOrderInput): string => orderId;
}

@CommandHandler(ShipOrder)
export class ShipOrderHandler implements ICommandHandler<ShipOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: ShipOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, skus, payment, transactionId } = input;
    if (transactionId) {
      const capture = { ledger: payment.ledger, transactionId };
      // Recorded, unlike the others: a capture can not be told from one that somebody else made.
      expectDone(orderId, await this.steps.run(CaptureTransaction, capture, envelope, 'capture'));
    }
    const reservationId = reservationOf(orderId);
    const committed = await Promise.all(
      skus.map((sku) =>
        this.steps.run(CommitReservation, { sku, reservationId }, envelope, `commit/${sku}`, { isIdempotent: true }),
      ),
    );
    for (const outcome of committed) expectDone(orderId, outcome);
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        decide: (states, context) => completeFulfilment(states, input, context),
      }),
    );
  }
}

function expectDone(orderId: string, outcome: Outcome): void {
  if (outcome.status === 'executed') return;
  throw new Error(`order ${orderId} can not be fulfilled: ${outcome.rejection.code}, ${outcome.rejection.detail}`);
}
