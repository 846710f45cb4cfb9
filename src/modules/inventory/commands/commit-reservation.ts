import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { commitReservation, streamsOf, type SettleInput } from '../domain/reservation.js';

export class CommitReservation extends LogCommand<SettleInput> {
  static readonly type = 'inventory.commit-reservation';
  static partitionKey = ({ sku }: SettleInput): string => sku;

  toWrite() {
    const { input } = this;
    return this.write({
      streams: () => streamsOf(input),
      decide: (states, context) => commitReservation(states, input, context),
    });
  }
}

@CommandHandler(CommitReservation)
export class CommitReservationHandler implements ICommandHandler<CommitReservation> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: CommitReservation): Promise<Outcome> {
    return this.writer.execute(command.toWrite());
  }
}
