import { Saga } from '@nestjs/cqrs';
import { filter, map, type Observable } from 'rxjs';
import { LogCommand } from '../../src/platform/commands/log-command.js';
import type { Projection } from '../../src/platform/consumers/projection.js';
import { request, type CommandRequest } from '../../src/platform/consumers/saga.js';
import { Rejection, type ForkedStates, type States } from '../../src/platform/log/decision.js';
import { partitionOf } from '../../src/platform/log/partition.js';
import type { RecordedEvent } from '../../src/platform/log/recorded-event.js';
import { stream, type Event, type EventModule, type Stream, type StreamType } from '../../src/platform/log/stream.js';
import type { Write } from '../../src/platform/log/writer.js';

/** Counters that never go below zero: a decision on an old state shows in the answer, in the log, or in a refusal. */
export type Counted = Event<'simulated.counted.v1', { counter: string; by: number; echo?: string }>;
export type Moved = Event<'simulated.moved.v1', { from: string; to: string; by: number }>;

interface Counter {
  readonly name: string;
  readonly value: number;
}

const counterType: StreamType<Counter, Counted | Moved> = {
  name: 'counter',
  stateVersion: 1,
  stateBytes: () => 100,
  initial: (name) => ({ name, value: 0 }),
  evolve(state, { type, data }) {
    const by = type === 'simulated.counted.v1' || data.to === state.name ? data.by : -data.by;
    return { name: state.name, value: state.value + by };
  },
};

const counter = (name: string, isNew = false): Stream<Counter> => stream(counterType, name, isNew);

export const counters: EventModule = {
  events: [
    { type: 'simulated.counted.v1', streams: ({ counter: name }: Counted['data']) => [counter(name)] },
    { type: 'simulated.moved.v1', streams: ({ from, to }: Moved['data']) => [counter(from), counter(to)] },
  ],
};

export const partitions = 3;

/** A partition key for each partition. Counters are called `<partition>/<name>`. */
const keys = Array.from({ length: partitions }, (_, partition) => {
  let key = 0;
  while (partitionOf(`k${key}`, partitions) !== partition) key++;
  return `k${key}`;
});

export const partitionOfCounter = (name: string): number => Number(name[0]);
/** Where a command's record is: `<partition>.<rest>`. */
export const homeOf = (commandId: string): number => Number(commandId[0]);

export interface CountInput {
  readonly name: string;
  readonly by: number;
  /** So many events. */
  readonly times?: number;
  /** The counter's first command: nothing is loaded for it. */
  readonly isNew?: boolean;
  /** Moves it from the one counter to the other of the partition, as one event of both. */
  readonly to?: string;
  /** Counts another one, perhaps of another partition, together with it. */
  readonly also?: { readonly name: string; readonly by: number };
  /** The saga counts this one for it. */
  readonly echo?: string;
  /** Counts once more after so many milliseconds … */
  readonly againAfterMs?: number;
  /** … and takes this back, which another one of the partition has scheduled. */
  readonly notAgain?: string;
  /** Its handler has a bug, until everything is healed. */
  readonly fails?: true;
}

/** What a command counts later, by the id that its timer has. */
export const againKey = (commandId: string): string => `again-${commandId}`;
export const alsoId = (commandId: string, name: string): string => `${partitionOfCounter(name)}.${commandId.slice(2)}/also`;

export class Count extends LogCommand<CountInput> {
  static readonly type = 'simulated.count';
  static partitionKey = ({ name }: CountInput): string => keys[partitionOfCounter(name)]!;

  toWrite(): Write<number> {
    const { name, times = 1, to, also, isNew, againAfterMs, notAgain } = this.input;
    const { commandId, metadata } = this.envelope;
    const parts = also && [new Count(also, { commandId: alsoId(commandId, also.name), metadata }).toWrite()];
    return this.write({
      streams: () => (to ? [counter(name), counter(to)] : [counter(name, isNew)]),
      weight: times,
      parts,
      decide: (states, { now }, decideParts) => {
        const events = this.eventsOn(states);
        const refusal = parts && decideParts(parts).refusal;
        if (refusal) throw refusal;
        const applied: ForkedStates = states.fork();
        applied.apply(events);
        return {
          events,
          applied,
          answer: applied.of(counter(name)).value,
          created: isNew,
          schedule: againAfterMs === undefined ? [] : [this.again(now, againAfterMs)],
          unschedule: notAgain === undefined ? [] : [notAgain],
        };
      },
    });
  }

  private eventsOn(states: States): Event[] {
    const { name, by, times = 1, to, echo, isNew } = this.input;
    const { value } = states.of(counter(name, isNew));
    const least = to ? value - by : value + by * times;
    if (least < 0) throw new Rejection('below-zero', String(value));
    if (to) return [{ type: 'simulated.moved.v1', data: { from: name, to, by } }];
    if (by === 0) return [];
    const data = echo === undefined ? { counter: name, by } : { counter: name, by, echo };
    return new Array<Event>(times).fill({ type: 'simulated.counted.v1', data });
  }

  private again(now: string, afterMs: number) {
    const dueAt = new Date(Date.parse(now) + afterMs).toISOString();
    const payload: CountInput = { name: this.input.name, by: 1 };
    return { key: againKey(this.envelope.commandId), type: Count.type, payload, dueAt };
  }
}

/** Counts what an event asks for. */
export class Echo {
  static readonly type = 'simulated.echo';
  static readonly eventTypes = ['simulated.counted.v1'] as const;

  @Saga()
  echo(events$: Observable<RecordedEvent<Counted>>): Observable<CommandRequest> {
    return events$.pipe(
      filter(({ data }) => data.echo !== undefined),
      map(({ data }) => request(Count, { name: data.echo!, by: 1 })),
    );
  }
}

export const applySql = `
INSERT INTO simulated_applied (consumer, partition, position)
SELECT $1, partition, position FROM unnest($2::smallint[], $3::bigint[]) AS a(partition, position)`;

/** As if it had failed so often that it is parked when it does once more. */
export const wearOutSql = `UPDATE commands SET attempts = 7 WHERE partition = $1 AND command_id = $2 AND status IN ('accepted', 'scheduled')`;

/** Notes which events it has applied. */
export const projectionCalled = (name: string, look: (event: RecordedEvent) => void): Projection => ({
  name,
  table: 'simulated_applied',
  key: ['consumer', 'partition', 'position'],
  // Not that it needed to: some views do, and then what they write goes out later.
  lookUp: () => (name.endsWith('b') ? { name: 'one', text: 'SELECT 1', values: [] } : undefined),
  project(events) {
    events.forEach(look);
    const values = [name, events.map(({ partition }) => partition), events.map(({ position }) => position)];
    return [{ name: 'simulated-apply', text: applySql, values }];
  },
});
