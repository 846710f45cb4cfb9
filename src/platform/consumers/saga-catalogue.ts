import { Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { of } from 'rxjs';
import { Inbox, type ClaimedCommand } from '../commands/inbox.js';
import { InboxWorker } from '../commands/inbox-worker.js';
import type { RecordedEvent } from '../log/recorded-event.js';
import { LogWriter } from '../log/writer.js';
import type { Consumer } from './consumer.js';
import type { CommandRequest, SagaClass, SagaMapping } from './saga.js';

/**
 * The sagas of this process as consumers of the log, taken from the providers that Nest has found.
 *
 * Nest itself would keep one subscription per saga, which is dead for good once a mapping has thrown, and would run
 * the commands before anything is durable. Here each event is mapped in a stream of its own, and the commands are
 * stored in the inbox by the transaction that moves the saga's checkpoint, under ids made of the saga, the event's
 * position and the command's index. A mapping that throws is a consumer's failure like any other: tried again, then
 * parked at that event, visible, and going on once it can.
 */
@Injectable()
export class SagaCatalogue {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly writer: LogWriter,
    private readonly inbox: Inbox,
    private readonly worker: InboxWorker,
  ) {}

  consumers(): Consumer[] {
    return this.discovery
      .getProviders()
      .filter(({ instance, metatype }) => instance && metatype && sagasOf(metatype).length > 0)
      .map(({ instance, metatype }) => this.consumer(instance as object, metatype as unknown as SagaClass));
  }

  private consumer(instance: object, saga: SagaClass): Consumer {
    const [method, ...others] = sagasOf(saga);
    if (others.length > 0 || !saga.type) throw new Error(`the class of ${method!} must have a type, and one saga`);
    const types = new Set(saga.eventTypes);
    if (types.size === 0) throw new Error(`the saga ${saga.type} names no eventTypes, so it would never do anything`);
    if (types.size < saga.eventTypes.length) throw new Error(`the saga ${saga.type} names one of its eventTypes twice`);
    const mapping = (instance as Record<string, SagaMapping>)[method!]!.bind(instance);
    return {
      name: saga.type,
      eventTypes: types,
      concerns: (event) => asksForSomething(mapping, event),
      consume: (events) => {
        const commands = events.flatMap((event) =>
          commandsFor(mapping, event).map((request, index) => this.stored(saga.type, event, request, index)),
        );
        if (commands.length === 0) return { statements: [] };
        const taken = this.worker.hasRoomFor(commands.length);
        return {
          statements: this.inbox.storing(commands, taken),
          afterCommit: () => (taken ? this.worker.take(commands) : this.worker.wake()),
        };
      },
    };
  }

  private stored(
    saga: string,
    { partition, position, metadata }: RecordedEvent,
    { command, input }: CommandRequest,
    index: number,
  ): ClaimedCommand {
    const target = this.writer.partitionOf(command.partitionKey(input));
    const { commandId, correlationId = commandId, actor, traceparent } = metadata;
    return {
      partition: target,
      command_id: `${target}.${saga}/${partition}@${position}/${index}`,
      type: command.type,
      payload: input,
      metadata: {
        correlationId,
        causationId: `${partition}@${position}`,
        ...(actor && { actor }),
        ...(traceparent && { traceparent }),
      },
      fingerprint: null,
      attempts: 1,
    };
  }
}

/** What the mapping makes of one event, at once: a saga that waits for something has to schedule a command instead. */
export function commandsFor(mapping: SagaMapping, event: RecordedEvent): CommandRequest[] {
  const requests: CommandRequest[] = [];
  let failure: { error: unknown } | undefined;
  let isComplete = false;
  mapping(of(event)).subscribe({
    next: (request) => requests.push(request),
    error: (error: unknown) => (failure = { error }),
    complete: () => (isComplete = true),
  });
  if (failure) throw failure.error;
  if (!isComplete) throw new Error(`a saga did not finish with ${event.type} at once`);
  return requests;
}

/** One that throws has to be run, to be parked at its event. */
function asksForSomething(mapping: SagaMapping, event: RecordedEvent): boolean {
  try {
    return commandsFor(mapping, event).length > 0;
  } catch {
    return true;
  }
}

function sagasOf(provider: object): string[] {
  return (Reflect.getMetadata(sagaMetadata, provider) as string[] | undefined) ?? [];
}

/** Where @nestjs/cqrs keeps the sagas of a class. It does not export the name; a test notices if it changes. */
const sagaMetadata = '__saga__';
