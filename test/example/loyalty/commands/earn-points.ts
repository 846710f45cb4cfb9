import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../../src/platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../../src/platform/log/writer.js';
import { earnPoints, pointsStream, rewardStream, type EarnPointsInput } from '../domain/points.js';

export class EarnPoints extends LogCommand<EarnPointsInput> {
  static readonly type = 'loyalty.earn-points';
  static partitionKey = ({ customerId }: EarnPointsInput): string => customerId;
}

@CommandHandler(EarnPoints)
export class EarnPointsHandler implements ICommandHandler<EarnPoints> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: EarnPoints): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => [pointsStream(input.customerId), rewardStream(input.orderId)],
        decide: (states) => earnPoints(states, input),
      }),
    );
  }
}
