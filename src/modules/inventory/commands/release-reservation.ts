import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { releaseReservation, streamsOf, type ReleaseReservationInput } from '../domain/reservation.js';

export class ReleaseReservation extends LogCommand<ReleaseReservationInput> {
  static readonly type = 'inventory.release-reservation';
  static partitionKey = ({ sku }: ReleaseReservationInput): string => sku;
}

@CommandHandler(ReleaseReservation)
export class ReleaseReservationHandler implements ICommandHandler<ReleaseReservation> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ReleaseReservation): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => streamsOf(input),
        decide: (states, context) => releaseReservation(states, input, context),
      }),
    );
  }
}
