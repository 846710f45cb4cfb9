import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CommandSteps } from '../../../platform/commands/command-steps.js';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import { checkOut, orderStream, type Needs } from '../domain/order.js';
import { partsFor, takeWith } from '../taking.js';

/**
 * Reserves every line, authorises the payment and confirms the order, all in one commit; or takes nothing and rejects
 * it (ADR 0010). Repeated after a crash it finds either all of it done or nothing.
 */
export class CheckOut extends LogCommand<Needs> {
  static readonly type = 'ordering.check-out';
  static partitionKey = ({ orderId }: Needs): string => orderId;
}

@CommandHandler(CheckOut)
export class CheckOutHandler implements ICommandHandler<CheckOut> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  execute(command: CheckOut): Promise<Outcome> {
    const { input, envelope } = command;
    return this.writer.execute(
      command.write({
        streams: () => [orderStream(input.orderId)],
        parts: partsFor(input, this.steps, envelope),
        decide: (states, context, decideParts) => checkOut(states, input, takeWith(decideParts, this.steps, envelope), context),
      }),
    );
  }
}
