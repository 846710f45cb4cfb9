import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { expireTransaction, streamsToSettle } from '../domain/transaction.js';

interface ExpireTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
}

/** Scheduled when a pending transaction with a deadline is authorised. */
export class ExpireTransaction extends LogCommand<ExpireTransactionInput> {
  static readonly type = 'ledger.expire-transaction';
  static partitionKey = ({ ledger }: ExpireTransactionInput): string => ledger;
}

@CommandHandler(ExpireTransaction)
export class ExpireTransactionHandler implements ICommandHandler<ExpireTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ExpireTransaction): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: (states) => streamsToSettle(states, input),
        decide: (states, context) => expireTransaction(states, input, context),
      }),
    );
  }
}
