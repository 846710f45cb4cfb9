import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { reverseTransaction, streamsToReverse, type ReverseTransactionInput } from '../domain/transaction.js';

export class ReverseTransaction extends LogCommand<ReverseTransactionInput> {
  static readonly type = 'ledger.reverse-transaction';
  static partitionKey = ({ ledger }: ReverseTransactionInput): string => ledger;
}

@CommandHandler(ReverseTransaction)
export class ReverseTransactionHandler implements ICommandHandler<ReverseTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ReverseTransaction): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: (states) => streamsToReverse(states, input),
        decide: (states, context) => reverseTransaction(states, input, context),
      }),
    );
  }
}
