import { Registry } from 'prom-client';
import { apart, together } from '../../src/platform/consumers/following.js';
import { createPools } from '../../src/platform/database/pools.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import { DatabaseClock } from '../../src/platform/log/database-clock.js';
import { createWriter, loopsOf } from '../../src/platform/log/lanes.js';
import { Rejection, type Decide } from '../../src/platform/log/decision.js';
import { scopesOf } from '../../src/platform/log/partition.js';
import { stream, type Event, type EventModule, type Stream, type StreamType } from '../../src/platform/log/stream.js';
import { NewEvents } from '../../src/platform/log/new-events.js';
import { LogWriter, type Outcome, type Write } from '../../src/platform/log/writer.js';
import { WriterMetrics } from '../../src/platform/observability/metrics.js';
import { commandsDoneTwice, gapsInPositions, gapsInVersions } from '../chaos/checkers.js';
import { readLog } from '../chaos/log-contents.js';
import type { TestDatabase } from '../support/database.js';

/** The smallest module: counters that can be counted up, and never below zero. */
export type Counted = Event<'test.counted.v2', { counter: string; by: number }>;
export type Moved = Event<'test.moved.v1', { from: string; to: string; by: number }>;

export interface Counter {
  readonly name: string;
  readonly value: number;
}

const counterType: StreamType<Counter, Counted | Moved> = {
  name: 'counter',
  stateVersion: 1,
  stateBytes: () => 100,
  initial: (name) => ({ name, value: 0 }),
  evolve(state, { type, data }) {
    if (type === 'test.counted.v2') return { ...state, value: state.value + data.by };
    return { ...state, value: state.value + (data.to === state.name ? data.by : -data.by) };
  },
};

export const counter = (name: string, isNew = false): Stream<Counter> => stream(counterType, name, isNew);

export const counters: EventModule = {
  events: [
    { type: 'test.counted.v2', streams: ({ counter: name }: Counted['data']) => [counter(name)] },
    { type: 'test.moved.v1', streams: ({ from, to }: Moved['data']) => [counter(from), counter(to)] },
  ],
  upcasts: {
    // Version 1 called it `name`, and counted in strings.
    'test.counted.v1': ({ name, amount }: { name: string; amount: string }) => ({
      type: 'test.counted.v2',
      data: { counter: name, by: Number(amount) },
    }),
  },
};

let commands = 0;
export const newCommandId = () => `c${++commands}`;

type Rest = Partial<Write> & { key?: string };

const write = (name: string, streams: Write['streams'], decide: Decide<unknown>, { key, ...rest }: Rest): Write => ({
  partitionKey: name,
  commandId: key ?? newCommandId(),
  commandType: 'test.count',
  metadata: {},
  ...(key && { record: { fingerprint: 'same' } }),
  streams,
  decide,
  ...rest,
});

/** Counts, unless that would go below zero. Answers with the value it leads to. */
export function count(name: string, by = 1, rest: Rest = {}): Write {
  return write(
    name,
    () => [counter(name)],
    (states) => {
      const { value } = states.of(counter(name));
      if (value + by < 0) throw new Rejection('below-zero', `${name} is ${value}`);
      return { events: [{ type: 'test.counted.v2', data: { counter: name, by } }], answer: value + by, created: true };
    },
    rest,
  );
}

/** Counts for itself, and takes along what is to be counted elsewhere: all of it, or it answers with the refusal. */
export function countAll(own: string, others: readonly (readonly [name: string, by: number])[], rest: Rest = {}): Write {
  const parts = others.map(([name, by]) => count(name, by));
  const alone = count(own, 1, rest);
  return {
    ...alone,
    parts,
    decide: (states, context, decideParts) => {
      const { refusal } = decideParts(parts);
      return refusal ? { events: [], answer: refusal.code } : alone.decide(states, context, decideParts);
    },
  };
}

/** What a counter stands at. */
export function look(name: string, partitionKey = name): Write {
  return write(name, () => [counter(name)], (states) => ({ events: [], answer: states.of(counter(name)).value }), { partitionKey });
}

export function move(from: string, to: string, by: number, partitionKey: string): Write {
  return write(
    partitionKey,
    () => [counter(from), counter(to)],
    (states) => {
      if (states.of(counter(from)).value < by) throw new Rejection('below-zero', `${from} has too little`);
      return { events: [{ type: 'test.moved.v1', data: { from, to, by } }], answer: null };
    },
    {},
  );
}

export const answerOf = (outcome: Outcome): unknown =>
  outcome.status === 'executed' ? JSON.parse(outcome.answer) : outcome.rejection.code;

/** How a process may be set to write: what holds for one has to hold for the other. */
export const modes = [
  ['one lane', 1],
  ['a lane for each partition', 16],
] as const;

/** A log writer with everything it needs, as a process has it. */
export function startWriter(url: string, options: { stateCacheBytes?: number; queueLimit?: number; lanes?: number; module?: EventModule } = {}) {
  const registry = new Registry();
  const lanes = options.lanes ?? 1;
  const partitionsAreApart = lanes === 16;
  const pools = createPools(url, 2, () => undefined, loopsOf(lanes));
  // A machine that is kept busy for three seconds is no database that is away.
  for (const pool of Object.values(pools)) pool.options.connectionTimeoutMillis = 60_000;
  const catalogue = new EventCatalogue();
  catalogue.add(options.module ?? counters);
  const newEvents = new NewEvents();
  const committed: number[][] = [];
  const clock = new DatabaseClock();
  const metrics = new WriterMetrics(registry);
  const limits = {
    partitions: 16,
    queueLimit: options.queueLimit ?? 10_000,
    stateCacheBytes: options.stateCacheBytes ?? 10_000_000,
    areApart: partitionsAreApart,
    onCommitted: (partitions: readonly number[]) => committed.push([...partitions]),
  };
  const writer = createWriter(lanes, limits, (own) => new LogWriter(pools.writer, catalogue, newEvents, clock, metrics, own));
  return {
    writer,
    pools,
    catalogue,
    newEvents,
    registry,
    committed,
    scopes: scopesOf({ partitions: 16, partitionsAreApart }),
    following: partitionsAreApart ? apart : together,
    execute: (one: Write) => writer.execute(one),
    value: async (name: string, partitionKey?: string) => answerOf(await writer.execute(look(name, partitionKey))),
    async metric(name: string): Promise<number> {
      const metric = await registry.getSingleMetric(name)!.get();
      const values = metric.values as { value: number; metricName?: string }[];
      return values.find(({ metricName }) => metricName === `${name}_count`)?.value ?? values[0]?.value ?? 0;
    },
    async close() {
      await writer.close();
      await Promise.all(Object.values(pools).map((pool) => pool.end()));
    },
  };
}

export type TestWriter = ReturnType<typeof startWriter>;

/** Ends a test's writers and its database. Whatever else the test looks at: there is no gap in the log, and nothing twice. */
export async function endWith(database: TestDatabase, writers: readonly TestWriter[]): Promise<void> {
  const log = await readLog(database.pool);
  const wrong = [gapsInPositions(log), gapsInVersions(log), commandsDoneTwice(log)].flat();
  await Promise.all(writers.map((writer) => writer.close()));
  await database.drop();
  expect(wrong).toEqual([]);
}
