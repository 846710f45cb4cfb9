import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { voidTransaction, streamsToSettle } from '../domain/transaction.js';

interface VoidTransactionInput {
  readonly ledger: string;
  readonly transactionId: string;
}

export class VoidTransaction extends LogCommand<VoidTransactionInput> {
  static readonly type = 'ledger.void-transaction';
  static partitionKey = ({ ledger }: VoidTransactionInput): string => ledger;
}

@CommandHandler(VoidTransaction)
export class VoidTransactionHandler implements ICommandHandler<VoidTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: VoidTransaction): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: (states) => streamsToSettle(states, input),
        decide: (states, context) => voidTransaction(states, input, context),
      }),
    );
  }
}
