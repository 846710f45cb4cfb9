import type { RecordedEvent } from './recorded-event.js';

type Listener = (events: readonly RecordedEvent[]) => void;

/**
 * Tells of events as this process comes to know them: of its own as soon as they are committed, of others' late or
 * never. A hint, and never the only way to an event, which is the log.
 */
export class NewEvents {
  private readonly listeners: Listener[] = [];

  /** Events of one partition, one following the other. */
  tell(events: readonly RecordedEvent[]): void {
    if (events.length === 0) return;
    for (const listener of this.listeners) listener(events);
  }

  onEvents(listener: Listener): void {
    this.listeners.push(listener);
  }
}
