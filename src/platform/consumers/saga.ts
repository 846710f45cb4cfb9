import { filter, type Observable, type OperatorFunction } from 'rxjs';
import type { LogCommandClass } from '../commands/log-command.js';
import type { RecordedEvent } from '../log/recorded-event.js';
import type { Event } from '../log/stream.js';

/** A command that a saga asks for. It runs soon, exactly once, with the event as its cause. */
export interface CommandRequest {
  readonly command: Pick<LogCommandClass<never>, 'type'> & { partitionKey(input: object): string };
  readonly input: object;
}

export function request<Input extends object>(command: LogCommandClass<Input>, input: Input): CommandRequest {
  return { command: command as unknown as CommandRequest['command'], input };
}

/**
 * A saga as modules write it: a provider with one method under `@Saga()` of @nestjs/cqrs, a pure mapping from an
 * event to commands. Each event is a stream of its own, so operators have nothing to remember from one to the next:
 * what a process has to remember stands in the states of its streams.
 */
export type SagaMapping = (events$: Observable<RecordedEvent>) => Observable<CommandRequest>;

/** A class of sagas: `type` is its stored name, e.g. `ordering.check-out`. Its checkpoints and commands carry it. */
export interface SagaClass {
  readonly type: string;
}

/** Only events of these types, by their stored names. */
export function ofType<E extends Event, Type extends E['type']>(
  ...types: readonly Type[]
): OperatorFunction<RecordedEvent, RecordedEvent<Extract<E, { type: Type }>>> {
  const isWanted = (event: RecordedEvent): boolean => (types as readonly string[]).includes(event.type);
  return filter(isWanted) as unknown as ReturnType<typeof ofType<E, Type>>;
}
