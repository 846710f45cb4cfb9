import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { lookAtTransaction, transactionStream } from '../domain/transaction.js';

interface LookAtTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
}

/** What has become of a transaction, as the log has it at this moment, for decisions that depend on it. Changes nothing. */
export class LookAtTransaction extends LogCommand<LookAtTransactionInput> {
  static readonly type = 'ledger.look-at-transaction';
  static partitionKey = ({ ledger }: LookAtTransactionInput): string => ledger;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: () => [transactionStream(input.ledger, input.transactionId)],
      decide: (states) => lookAtTransaction(states, input),
    });
  }
}

@CommandHandler(LookAtTransaction)
export class LookAtTransactionHandler implements ICommandHandler<LookAtTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: LookAtTransaction): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
