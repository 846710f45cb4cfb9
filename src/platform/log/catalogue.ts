import type { Event, EventModule, EventType, Stream, Upcast } from './stream.js';

/** The log holds an event that no module knows. Whoever reads it must stop, not skip. */
export class UnknownEventError extends Error {
  constructor(type: string) {
    super(`no module knows events of type ${type}`);
  }
}

/** All event types of all modules: which streams an event belongs to, and how former versions are read. */
export class EventCatalogue {
  private readonly events = new Map<string, EventType>();
  private readonly upcasts = new Map<string, Upcast>();

  add(module: EventModule): void {
    for (const event of module.events) this.events.set(event.type, event);
    for (const [type, upcast] of Object.entries(module.upcasts ?? {})) this.upcasts.set(type, upcast);
  }

  get eventTypes(): string[] {
    return [...this.events.keys()];
  }

  /**
   * The types that whoever wants only these may pass over unread. Not what nobody knows: a newer process may have written a
   * new version of what is wanted. Nor former versions: an upcast tells what it makes only when it is run.
   */
  typesBesides(wanted: ReadonlySet<string>): string[] {
    return this.eventTypes.filter((type) => !wanted.has(type));
  }

  streamsOf(event: Event): readonly Stream[] {
    const type = this.events.get(event.type);
    if (!type) throw new UnknownEventError(event.type);
    return type.streams(event.data as never);
  }

  /** A stored event as the current version of its type. Upcasts chain: v1 → v2 → v3. */
  read(type: string, data: object): Event {
    let event: Event = { type, data };
    for (let upcast = this.upcasts.get(event.type); upcast; upcast = this.upcasts.get(event.type)) {
      event = upcast(event.data as never);
    }
    if (!this.events.has(event.type)) throw new UnknownEventError(event.type);
    return event;
  }
}
