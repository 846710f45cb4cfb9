import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { postTransaction, streamsToPost, type PostTransactionInput } from '../domain/transaction.js';

export class PostTransaction extends LogCommand<PostTransactionInput> {
  static readonly type = 'ledger.post-transaction';
  static partitionKey = ({ ledger }: PostTransactionInput): string => ledger;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: () => streamsToPost(input),
      decide: (states, context) => postTransaction(states, input, context),
    });
  }
}

@CommandHandler(PostTransaction)
export class PostTransactionHandler implements ICommandHandler<PostTransaction> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: PostTransaction): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
