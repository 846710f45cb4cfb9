import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { ReleaseReservation } from '../../inventory/index.js';
import { VoidTransaction } from '../../ledger/index.js';
import { paymentOf, reservationOf, type PaymentSource, type Taken } from '../domain/order.js';

interface ReleaseOrderInput {
  readonly orderId: string;
  readonly taken: Taken;
  readonly payment: PaymentSource;
}

/** Gives back the stock and the money of an order that has ended. What is not there, or was given back, is no matter. */
export class ReleaseOrder extends LogCommand<ReleaseOrderInput> {
  static readonly type = 'ordering.release-order';
  static partitionKey = ({ orderId }: ReleaseOrderInput): string => orderId;
}

const harmless = new Set(['transaction-not-found', 'not-pending']);

@CommandHandler(ReleaseOrder)
export class ReleaseOrderHandler implements ICommandHandler<ReleaseOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: ReleaseOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, taken, payment } = input;
    const reservationId = reservationOf(orderId);
    // Even if it is not there: once orders could end while a checkout was under way, and logs have such ends.
    const released = taken.skus.map((sku) => {
      const release = { sku, reservationId, evenIfAbsent: true } as const;
      return this.steps.run(ReleaseReservation, release, envelope, `release/${sku}`);
    });
    if (taken.payment) {
      const transaction = { ledger: payment.ledger, transactionId: paymentOf(orderId) };
      released.push(this.steps.run(VoidTransaction, transaction, envelope, 'void'));
    }
    for (const outcome of await Promise.all(released)) {
      if (outcome.status === 'executed' || harmless.has(outcome.rejection.code)) continue;
      throw new Error(`what order ${orderId} has taken can not be given back: ${outcome.rejection.detail}`);
    }
    return this.writer.execute(command.write({ streams: () => [], decide: () => ({ events: [], answer: null }) }));
  }
}
