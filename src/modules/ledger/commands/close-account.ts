import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { accountStream, closeAccount } from '../domain/account.js';

interface CloseAccountInput {
  readonly ledger: string;
  readonly accountId: string;
}

export class CloseAccount extends LogCommand<CloseAccountInput> {
  static readonly type = 'ledger.close-account';
  static partitionKey = ({ ledger }: CloseAccountInput): string => ledger;
}

@CommandHandler(CloseAccount)
export class CloseAccountHandler implements ICommandHandler<CloseAccount> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: CloseAccount): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [accountStream(input.ledger, input.accountId)],
        decide: (states, context) => closeAccount(states, input, context),
      }),
    );
  }
}
