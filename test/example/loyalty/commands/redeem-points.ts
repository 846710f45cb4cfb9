import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../../src/platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../../src/platform/log/writer.js';
import { pointsStream, redeemPoints, type RedeemPointsInput } from '../domain/points.js';

export class RedeemPoints extends LogCommand<RedeemPointsInput> {
  static readonly type = 'loyalty.redeem-points';
  static partitionKey = ({ customerId }: RedeemPointsInput): string => customerId;
}

@CommandHandler(RedeemPoints)
export class RedeemPointsHandler implements ICommandHandler<RedeemPoints> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: RedeemPoints): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [pointsStream(input.customerId)],
        decide: (states) => redeemPoints(states, input),
      }),
    );
  }
}
