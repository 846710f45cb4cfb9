import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { expireReservation, streamsOf, type SettleInput } from '../domain/reservation.js';

/** Scheduled when a reservation with a deadline is made. */
export class ExpireReservation extends LogCommand<SettleInput> {
  static readonly type = 'inventory.expire-reservation';
  static partitionKey = ({ sku }: SettleInput): string => sku;
}

@CommandHandler(ExpireReservation)
export class ExpireReservationHandler implements ICommandHandler<ExpireReservation> {
  constructor(private readonly writer: LogWriter) {}

  execute(command: ExpireReservation): Promise<Outcome> {
    const { input } = command;
    return this.writer.execute(
      command.write({
        streams: () => streamsOf(input),
        decide: (states, context) => expireReservation(states, input, context),
      }),
    );
  }
}
