import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { LogCommandClass } from './log-command.js';

/** The command classes of this process by their stored name, taken from the handlers that Nest has found. */
@Injectable()
export class CommandRegistry implements OnApplicationBootstrap {
  private readonly classes = new Map<string, LogCommandClass<object>>();

  constructor(private readonly discovery: DiscoveryService) {}

  onApplicationBootstrap(): void {
    for (const { metatype } of this.discovery.getProviders()) {
      const command = metatype && handledBy(metatype);
      if (command && 'type' in command) this.classes.set(command.type, command);
    }
  }

  get types(): string[] {
    return [...this.classes.keys()];
  }

  find(type: string): LogCommandClass<object> | undefined {
    return this.classes.get(type);
  }
}

function handledBy(handler: object): LogCommandClass<object> | undefined {
  return Reflect.getMetadata(commandHandlerMetadata, handler) as LogCommandClass<object> | undefined;
}

/** Where @nestjs/cqrs keeps a handler's command. It does not export the name; a test notices if it changes. */
const commandHandlerMetadata = '__commandHandler__';
