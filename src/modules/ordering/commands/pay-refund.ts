import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { ReceiveStock } from '../../inventory/index.js';
import { LookAtTransaction, PostTransaction } from '../../ledger/index.js';
import {
  completeRefund,
  merchantAccount,
  orderStream,
  paymentOf,
  refundPaymentOf,
  type PaymentSource,
  type Refund,
} from '../domain/order.js';
import { doAll, paymentIn } from '../parts.js';

interface PayRefundInput extends Refund {
  readonly orderId: string;
  readonly payment: PaymentSource;
  readonly currency: string;
}

/**
 * Pays from the merchant's account, puts back into stock what is to be put back, and notes it with the order, all in one
 * commit. Nothing is paid back of a payment that was reversed in the ledger: the customer has that money already.
 */
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

  execute(command: PayRefund): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, refundId, amount, currency, payment, lines } = input;
    const { ledger } = payment;
    const captured = { ledger, transactionId: paymentOf(orderId) };
    const postings = [{ source: merchantAccount, destination: payment.account, amount }];
    const transaction = { ledger, transactionId: refundPaymentOf(orderId, refundId), postings, currency, reference: orderId };
    const isPaid = amount !== '0';
    const look = isPaid ? [this.steps.part(LookAtTransaction, captured, envelope, 'payment')] : [];
    const pay = isPaid ? [this.steps.part(PostTransaction, transaction, envelope, 'pay')] : [];
    const restocks = lines
      .filter(({ restock }) => restock)
      .map(({ sku, quantity }, index) =>
        this.steps.part(ReceiveStock, { sku, quantity, location: 'main', reference: orderId }, envelope, `restock/${index}`),
      );
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        parts: [...look, ...pay, ...restocks],
        decide: (states, context, decideParts) =>
          completeRefund(
            states,
            input,
            () => {
              const { reversedBy } = paymentIn(look, decideParts);
              if (reversedBy === undefined) return doAll([...pay, ...restocks], decideParts);
              return { code: 'already-reversed', detail: `the payment of order ${orderId} was reversed by ${reversedBy}` };
            },
            context,
          ),
      }),
    );
  }
}
