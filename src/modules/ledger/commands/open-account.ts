import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { accountStream, openAccount, type OpenAccountInput } from '../domain/account.js';

export class OpenAccount extends LogCommand<OpenAccountInput> {
  static readonly type = 'ledger.open-account';
  static partitionKey = ({ ledger }: OpenAccountInput): string => ledger;
}

@CommandHandler(OpenAccount)
export class OpenAccountHandler implements ICommandHandler<OpenAccount> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: OpenAccount): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [accountStream(input.ledger, input.accountId)],
        decide: (states, context) => openAccount(states, input, context),
      }),
    );
  }
}
