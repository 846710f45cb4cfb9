import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LookAtOrder, type OrderAnswer } from '../../../../src/modules/ordering/index.js';
import { CommandSteps } from '../../../../src/platform/commands/command-steps.js';
import { LogCommand } from '../../../../src/platform/commands/log-command.js';
import { LogWriter, type Outcome } from '../../../../src/platform/log/writer.js';
import { EarnPoints } from './earn-points.js';

interface RewardOrderInput {
  readonly orderId: string;
}

/** Asks ordering who has bought and for how much, and lets the customer earn points. After a crash it runs again. */
export class RewardOrder extends LogCommand<RewardOrderInput> {
  static readonly type = 'loyalty.reward-order';
  static partitionKey = ({ orderId }: RewardOrderInput): string => orderId;
}

@CommandHandler(RewardOrder)
export class RewardOrderHandler implements ICommandHandler<RewardOrder> {
  constructor(
    private readonly writer: LogWriter,
    private readonly steps: CommandSteps,
  ) {}

  async execute(command: RewardOrder): Promise<Outcome> {
    const { input, envelope } = command;
    const { orderId } = input;
    // Neither leaves a record: looking changes nothing, and an order earns once anyway.
    const looked = await this.steps.run(LookAtOrder, input, envelope, 'look');
    const { customerId, total } = answerOf<OrderAnswer>(looked);
    const earned = await this.steps.run(EarnPoints, { customerId, orderId, total }, envelope, 'earn');
    // No events of its own: this tells the inbox that the command is done, and with which answer.
    const answer = answerOf<object>(earned);
    return this.writer.execute(command.write({ streams: () => [], decide: () => ({ events: [], answer }) }));
  }
}

/** Neither step is ever refused. Should one be, that is a bug: the command is tried again, and parked in the end. */
function answerOf<Answer>(outcome: Outcome): Answer {
  if (outcome.status === 'refused') throw new Error(`an order can not be rewarded: ${outcome.rejection.code}`);
  return JSON.parse(outcome.answer) as Answer;
}
