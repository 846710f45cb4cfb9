import { Injectable } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { LogWriter, type Outcome, type Write } from '../log/writer.js';
import type { Envelope, LogCommandClass, PartCommandClass } from './log-command.js';

/**
 * The commands of other modules that a command's handler runs on its way, wherever their partitions are. Each has an
 * id that follows from the command's own, so a retry of the whole gets the answers of the steps that were done and
 * does those that were not.
 */
@Injectable()
export class CommandSteps {
  constructor(
    private readonly bus: CommandBus,
    private readonly writer: LogWriter,
  ) {}

  /**
   * `step` names it among the steps of its command. No record of its answer is kept: it has to be idempotent, as what
   * changes nothing is, and what has an id for what it makes.
   */
  run<Input extends object>(
    command: LogCommandClass<Input>,
    input: Input,
    envelope: Envelope,
    step: string,
  ): Promise<Outcome> {
    return this.bus.execute<Outcome>(new command(input, this.envelopeOf(command, input, envelope, step)));
  }

  /**
   * The step as a part of the command, to take effect together with it (see Write.parts). It has to be idempotent, unless
   * the command's own decision asks for it but once.
   */
  part<Input extends object>(command: PartCommandClass<Input>, input: Input, envelope: Envelope, step: string): Write {
    return new command(input, this.envelopeOf(command, input, envelope, step)).toWrite();
  }

  private envelopeOf<Input extends object>(
    command: LogCommandClass<Input>,
    input: Input,
    { commandId, metadata }: Envelope,
    step: string,
  ): Envelope {
    const partition = this.writer.partitionOf(command.partitionKey(input));
    const rest = commandId.slice(commandId.indexOf('.') + 1);
    return {
      commandId: `${partition}.${rest}/${step}`,
      metadata: { correlationId: commandId, ...metadata, causationId: commandId },
    };
  }
}
