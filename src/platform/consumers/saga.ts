import type { Observable } from 'rxjs';
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
 * A saga as modules write it: a provider (of a `SagaClass`) with one method under `@Saga()` of @nestjs/cqrs, a pure mapping from an
 * event to commands. Each event is a stream of its own, so operators have nothing to remember from one to the next:
 * what a process has to remember stands in the states of its streams.
 */
export type SagaMapping = (events$: Observable<RecordedEvent>) => Observable<CommandRequest>;

/**
 * A class of sagas: `type` is its stored name, e.g. `ordering.check-out`. Its checkpoints and commands carry it.
 * `eventTypes` are the stored names of the events that its mapping is given; it is neither asked about others nor woken
 * for them. At least one, and none twice: else the process does not start.
 */
export interface SagaClass {
  readonly type: string;
  readonly eventTypes: readonly string[];
}

/** The events of `E` that a class of sagas names: `EventOf<typeof CheckOut, OrderEvent>`. */
export type EventOf<Saga extends SagaClass, E extends Event> = RecordedEvent<Extract<E, { type: Saga['eventTypes'][number] }>>;
