import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand, type Envelope } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { ReserveStock } from '../../inventory/index.js';
import { PostTransaction } from '../../ledger/index.js';
import {
  confirmOrder,
  merchantAccount,
  orderStream,
  paymentOf,
  rejectOrder,
  reservationOf,
  type PaymentSource,
  type Refusal,
  type Taken,
} from '../domain/order.js';

interface CheckOutInput {
  readonly orderId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: PaymentSource;
  readonly total: string;
  readonly currency: string;
}

/**
 * Reserves every line, authorises the payment, and confirms the order; or rejects it, and says what was taken by
 * then. Every step can be repeated: after a crash the whole is run again, and finds what it had done.
 */
export class CheckOut extends LogCommand<CheckOutInput> {
  static readonly type = 'ordering.check-out';
  static partitionKey = ({ orderId }: CheckOutInput): string => orderId;
}

@CommandHandler(CheckOut)
export class CheckOutHandler implements ICommandHandler<CheckOut> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: CheckOut): Promise<Outcome> {
    const { input, envelope } = command;
    const stock = await this.reserve(input, envelope);
    if (stock.refusal) return this.reject(command, stock.refusal, { skus: stock.skus, payment: false });
    // What is given away needs no payment.
    if (input.total === '0') return this.confirm(command);
    const transactionId = paymentOf(input.orderId);
    const payment = await this.authorise(input, transactionId, envelope);
    if (payment.status === 'refused') {
      return this.reject(command, payment.rejection, { skus: stock.skus, payment: false });
    }
    return this.confirm(command, transactionId);
  }

  /** All lines at the same time, wherever their SKUs' partitions are: they share the log writer's batches. */
  private async reserve({ orderId, lines }: CheckOutInput, envelope: Envelope): Promise<{ skus: string[]; refusal?: Refusal }> {
    const reservationId = reservationOf(orderId);
    const outcomes = await Promise.all(
      lines.map(({ sku, quantity }) =>
        this.steps.run(ReserveStock, { sku, reservationId, quantity }, envelope, `reserve/${sku}`, { isIdempotent: true }),
      ),
    );
    const skus = lines.filter((_, index) => outcomes[index]!.status === 'executed').map(({ sku }) => sku);
    const refused = outcomes.find((outcome) => outcome.status === 'refused');
    if (!refused) return { skus };
    const { code, detail } = refused.rejection;
    return { skus, refusal: { code: code === 'stock-not-found' ? 'insufficient-stock' : code, detail } };
  }

  private authorise(
    { orderId, payment, total, currency }: CheckOutInput,
    transactionId: string,
    envelope: Envelope,
  ): Promise<Outcome> {
    const postings = [{ source: payment.account, destination: merchantAccount, amount: total }];
    const transaction = { ledger: payment.ledger, transactionId, postings, currency, pending: true, reference: orderId };
    return this.steps.run(PostTransaction, transaction, envelope, 'authorise', { isIdempotent: true });
  }

  private confirm(command: CheckOut, transactionId?: string): Promise<Outcome> {
    const { orderId } = command.input;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        decide: (states, context) => confirmOrder(states, { orderId, transactionId }, context),
      }),
    );
  }

  private reject(command: CheckOut, refusal: Refusal, taken: Taken): Promise<Outcome> {
    const { orderId } = command.input;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(orderId)],
        decide: (states, context) => rejectOrder(states, { orderId, refusal, taken }, context),
      }),
    );
  }
}
