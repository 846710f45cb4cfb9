import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { CommitReservation } from '../../inventory/index.js';
import { CaptureTransaction, LookAtTransaction } from '../../ledger/index.js';
import { completeFulfilment, orderStream, reservationOf, type PaymentSource } from '../domain/order.js';
import { doAll, paymentIn } from '../parts.js';

interface ShipOrderInput {
  readonly orderId: string;
  readonly skus: readonly string[];
  readonly payment: PaymentSource;
  readonly transactionId?: string;
}

/**
 * Captures the payment and commits the stock, and the order is fulfilled, all in one commit. Both were set aside for it
 * without a deadline, so neither can be refused but by somebody's doing behind the order's back; then nothing is done.
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

  execute(command: ShipOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, skus, payment, transactionId } = input;
    const reservationId = reservationOf(orderId);
    const commits = skus.map((sku) => this.steps.part(CommitReservation, { sku, reservationId }, envelope, `commit/${sku}`));
    // What is given away has no payment.
    const transactions = transactionId === undefined ? [] : [{ ledger: payment.ledger, transactionId }];
    const look = transactions.map((transaction) => this.steps.part(LookAtTransaction, transaction, envelope, 'payment'));
    const capture = transactions.map((transaction) => this.steps.part(CaptureTransaction, transaction, envelope, 'capture'));
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        parts: [...look, ...capture, ...commits],
        decide: (states, context, decideParts) =>
          completeFulfilment(
            states,
            input,
            ({ total }) => {
              // Who has captured all of it by hand has done what was to be done here.
              const isCaptured = paymentIn(look, decideParts).captured === total;
              return doAll(isCaptured ? commits : [...capture, ...commits], decideParts);
            },
            context,
          ),
      }),
    );
  }
}
