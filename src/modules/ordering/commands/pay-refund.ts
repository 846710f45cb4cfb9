import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { ReceiveStock } from '../../inventory/index.js';
import { PostTransaction } from '../../ledger/index.js';
import {
  completeRefund,
  merchantAccount,
  orderStream,
  refundPaymentOf,
  refuseRefund,
  type PaymentSource,
  type Refund,
} from '../domain/order.js';

interface PayRefundInput extends Refund {
  readonly orderId: string;
  readonly payment: PaymentSource;
  readonly currency: string;
}

/** Pays from the merchant's account, puts back into stock what is to be put back, and notes it with the order. */
export class PayRefund extends LogCommand<PayRefundInput> {
  static readonly type = 'ordering.pay-refund';
  static partitionKey = ({ orderId }: PayRefundInput): string => orderId;
}

@CommandHandler(PayRefund)
export class PayRefundHandler implements ICommandHandler<PayRefund> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: PayRefund): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, refundId, amount, currency, payment } = input;
    if (amount !== '0') {
      const postings = [{ source: merchantAccount, destination: payment.account, amount }];
      const transactionId = refundPaymentOf(orderId, refundId);
      const transaction = { ledger: payment.ledger, transactionId, postings, currency, reference: orderId };
      const paid = await this.steps.run(PostTransaction, transaction, envelope, 'pay', { isIdempotent: true });
      if (paid.status === 'refused') {
        const { code, detail } = paid.rejection;
        return this.writer.execute(
          command.write({
            streams: () => [orderStream(orderId)],
            decide: (states, context) => refuseRefund(states, { orderId, refundId, refusal: { code, detail } }, context),
          }),
        );
      }
    }
    await this.restock(command);
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        decide: (states, context) => completeRefund(states, input, context),
      }),
    );
  }

  private async restock({ input, envelope }: PayRefund): Promise<void> {
    const { orderId, lines } = input;
    const outcomes = await Promise.all(
      lines
        .filter(({ restock }) => restock)
        .map(({ sku, quantity }, index) =>
          this.steps.run(ReceiveStock, { sku, quantity, location: 'main', reference: orderId }, envelope, `restock/${index}`),
        ),
    );
    const refused = outcomes.find((outcome) => outcome.status === 'refused');
    if (refused) throw new Error(`what comes back of order ${orderId} can not be stocked: ${refused.rejection.detail}`);
  }
}
