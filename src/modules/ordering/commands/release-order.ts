import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { type Envelope, LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { ReleaseReservation } from '../../inventory/index.js';
import { ReverseTransaction, VoidTransaction } from '../../ledger/index.js';
import { paymentOf, reservationOf, reversalOf, type PaymentSource, type Taken } from '../domain/order.js';

interface ReleaseOrderInput {
  readonly orderId: string;
  readonly taken: Taken;
  readonly payment: PaymentSource;
}

/**
 * Gives back the stock and the money of an order that has ended. What is not there, or was given back, is no matter; money
 * that somebody captured in the ledger meanwhile is refunded.
 */
export class ReleaseOrder extends LogCommand<ReleaseOrderInput> {
  static readonly type = 'ordering.release-order';
  static partitionKey = ({ orderId }: ReleaseOrderInput): string => orderId;
}

const harmless = new Set(['transaction-not-found', 'already-reversed', 'not-reversible']);

@CommandHandler(ReleaseOrder)
export class ReleaseOrderHandler implements ICommandHandler<ReleaseOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: ReleaseOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId, taken } = input;
    const reservationId = reservationOf(orderId);
    // Even if it is not there: once orders could end while a checkout was under way, and logs have such ends.
    const released = taken.skus.map((sku) => {
      const release = { sku, reservationId, evenIfAbsent: true } as const;
      return this.steps.run(ReleaseReservation, release, envelope, `release/${sku}`);
    });
    if (taken.payment) released.push(this.voidOrReverse(input, envelope));
    for (const outcome of await Promise.all(released)) {
      if (outcome.status === 'executed' || harmless.has(outcome.rejection.code)) continue;
      throw new Error(`what order ${orderId} has taken can not be given back: ${outcome.rejection.detail}`);
    }
    return this.writer.execute(command.write({ streams: () => [], decide: () => ({ events: [], answer: null }) }));
  }

  private async voidOrReverse({ orderId, payment: { ledger } }: ReleaseOrderInput, envelope: Envelope): Promise<Outcome> {
    const transaction = { ledger, transactionId: paymentOf(orderId) };
    const voided = await this.steps.run(VoidTransaction, transaction, envelope, 'void');
    if (voided.status === 'executed' || voided.rejection.code !== 'not-pending') return voided;
    const reversal = { ...transaction, reversalId: reversalOf(orderId), reference: orderId };
    return this.steps.run(ReverseTransaction, reversal, envelope, 'reverse');
  }
}
