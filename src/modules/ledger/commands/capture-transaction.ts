import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { captureTransaction, streamsToSettle } from '../domain/transaction.js';

interface CaptureTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
  readonly amount?: string;
}

export class CaptureTransaction extends LogCommand<CaptureTransactionInput> {
  static readonly type = 'ledger.capture-transaction';
  static partitionKey = ({ ledger }: CaptureTransactionInput): string => ledger;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: (states) => streamsToSettle(states, input),
      decide: (states, context) => captureTransaction(states, input, context),
    });
  }
}

@CommandHandler(CaptureTransaction)
export class CaptureTransactionHandler implements ICommandHandler<CaptureTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: CaptureTransaction): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
