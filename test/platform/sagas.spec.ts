import { Injectable, Logger } from '@nestjs/common';
import { CommandHandler, CqrsModule, EventBus, Saga, UnhandledExceptionBus, type CommandBus, type IEvent } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import type { DiscoveryService } from '@nestjs/core';
import { pino } from 'pino';
import { delay, filter, map, type Observable } from 'rxjs';
import type { CommandRegistry } from '../../src/platform/commands/command-registry.js';
import { InboxWorker } from '../../src/platform/commands/inbox-worker.js';
import { Inbox } from '../../src/platform/commands/inbox.js';
import { LogCommand, type LogCommandClass } from '../../src/platform/commands/log-command.js';
import { ConsumerRunner } from '../../src/platform/consumers/consumer-runner.js';
import { SagaCatalogue } from '../../src/platform/consumers/saga-catalogue.js';
import { type CommandRequest, type EventOf, request } from '../../src/platform/consumers/saga.js';
import { Visibility } from '../../src/platform/consumers/visibility.js';
import { ConsumerMetrics, InboxMetrics } from '../../src/platform/observability/metrics.js';
import type { RecordedEvent } from '../../src/platform/log/recorded-event.js';
import type { LogWriter } from '../../src/platform/log/writer.js';
import { WakeUps } from '../../src/platform/queue/wake-ups.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type Counted, count, modes, move, type Moved, startWriter, type TestWriter } from './counters.js';

interface CountInput {
  readonly name: string;
  readonly by: number;
}

class Count extends LogCommand<CountInput> {
  static readonly type = 'test.count';
  static partitionKey = ({ name }: CountInput): string => name;
}

/** 13 is what it can not map, as long as it is not fixed. */
let isFixed = false;

/** Whatever is counted up on `n` is counted up on `n-echo` too: in another partition, mostly. */
@Injectable()
class Echo {
  static readonly type = 'test.echo';
  static readonly eventTypes = ['test.counted.v2'] as const satisfies readonly Counted['type'][];

  @Saga()
  echo(events$: Observable<EventOf<typeof Echo, Counted>>): Observable<CommandRequest> {
    return events$.pipe(
      filter(({ data }) => !data.counter.endsWith('-echo')),
      map(({ data: { counter, by } }) => {
        if (by === 13 && !isFixed) throw new Error('13 is unlucky');
        return request(Count, { name: `${counter}-echo`, by });
      }),
    );
  }
}

/** Counts events, and does not mind any. */
@Injectable()
class Tally {
  static readonly type = 'test.tally';
  static readonly eventTypes = ['test.counted.v2'] as const satisfies readonly Counted['type'][];

  @Saga()
  tally(events$: Observable<EventOf<typeof Tally, Counted>>): Observable<CommandRequest> {
    return events$.pipe(
      filter(({ data }) => !data.counter.startsWith('tally')),
      map(() => request(Count, { name: 'tally', by: 1 })),
    );
  }
}

/** Would trip over anything but a move. */
@Injectable()
class FollowMoves {
  static readonly type = 'test.follow-moves';
  static readonly eventTypes = ['test.moved.v1'] as const satisfies readonly Moved['type'][];

  @Saga()
  follow(events$: Observable<EventOf<typeof FollowMoves, Moved>>): Observable<CommandRequest> {
    return events$.pipe(map(({ data }) => request(Count, { name: `to-${data.to.toUpperCase()}`, by: data.by })));
  }
}

@Injectable()
class Dawdle {
  static readonly type = 'test.dawdle';
  static readonly eventTypes = ['test.counted.v2'] as const satisfies readonly Counted['type'][];

  @Saga()
  dawdle(events$: Observable<RecordedEvent>): Observable<CommandRequest> {
    return events$.pipe(delay(1), map(() => request(Count, { name: 'late', by: 1 })));
  }
}

describe.each(modes)('A saga, with %s', (_name, lanes) => {
  let database: TestDatabase;
  let writers: TestWriter[];

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
    isFixed = false;
  });

  afterEach(async () => {
    await Promise.all(writers.map((writer) => writer.close()));
    await database.drop();
  });

  /** A process that has these sagas and works its inbox. */
  const start = async (sagas: (new () => object)[], { url = database.url } = {}) => {
    const writer = startWriter(url, { lanes });
    writers.push(writer);
    const execute = (command: Count) => {
      const { commandId, metadata, record } = command.envelope;
      return writer.execute(count(command.input.name, command.input.by, { commandId, metadata, record }));
    };
    const inbox = new Inbox(writer.pools.log, 10_000, writer.scopes);
    const wakeUps = new WakeUps();
    const worker = new InboxWorker(
      inbox,
      { find: (type: string) => (type === Count.type ? (Count as LogCommandClass<CountInput>) : undefined) } as unknown as CommandRegistry,
      { execute } as unknown as CommandBus,
      wakeUps,
      new InboxMetrics(writer.registry, writer.pools.log),
      pino({ level: 'silent' }),
    );
    const getProviders = () => sagas.map((metatype) => ({ metatype, instance: new metatype() }));
    const catalogue = new SagaCatalogue({ getProviders } as unknown as DiscoveryService, writer.writer as LogWriter, inbox, worker);
    const runner = new ConsumerRunner(
      writer.pools.sagas,
      writer.catalogue,
      writer.newEvents,
      new Visibility(writer.pools.log, () => undefined),
      new ConsumerMetrics(writer.registry, writer.pools.log),
      () => catalogue.consumers(),
      undefined,
      writer.following,
    );
    await runner.prepare();
    return { ...writer, runner, worker, inbox, wakeUps };
  };
  type Process = Awaited<ReturnType<typeof start>>;

  /** One step: the sagas see what is new, and the commands they ask for are done. */
  const step = async ({ runner, worker }: Process) => {
    while ((await runner.run()) === 'more');
    await worker.idle();
  };
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
  const commandsOf = async (where = 'true') =>
    (await database.pool.query(`SELECT command_id, status, attempts, metadata FROM commands WHERE ${where} ORDER BY command_id`)).rows;

  test('has its commands run at once, without a look at the inbox', async () => {
    const process = await start([Echo]);
    await Promise.all(names.map((name, index) => process.execute(count(name, index + 20))));
    await step(process);
    expect(await Promise.all(names.map((name) => process.value(`${name}-echo`)))).toEqual(names.map((_, index) => index + 20));
    expect(await commandsOf(`status <> 'executed' OR attempts <> 1`)).toEqual([]);
  });

  test('does each step exactly once, though several processes run it', async () => {
    const processes = await Promise.all([start([Echo, Tally]), start([Echo, Tally])]);
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        ...names.map((name, index) => processes[index % 2]!.execute(count(name))),
        ...processes.map((process) => step(process)),
      ]);
    }
    for (const process of processes) await step(process);
    const [one] = processes;
    expect(await Promise.all(names.map((name) => one.value(`${name}-echo`)))).toEqual(names.map(() => 5));
  });

  test('is given the events that it names, and is neither asked about others nor woken for them', async () => {
    const process = await start([FollowMoves]);
    let woken = 0;
    process.runner.onNews(() => woken++);
    await process.execute(count('a', 5));
    expect(woken).toBe(0);
    await process.execute(move('a', 'b', 2, 'a'));
    expect(woken).toBe(1);
    await process.execute(count('a', 7));
    expect(woken).toBe(1);
    await step(process);
    expect(await process.value('to-B')).toBe(2);
    const { rows } = await database.pool.query('SELECT error FROM checkpoints WHERE failed_position IS NOT NULL');
    expect(rows).toEqual([]);
  });

  test('is past the events that it does not name, though it reads none of them', async () => {
    const elsewhere = await start([]);
    for (let by = 1; by <= 3; by++) await elsewhere.execute(count('a', by));
    await elsewhere.execute(move('a', 'b', 2, 'a'));
    await elsewhere.execute(count('a', 4));
    const process = await start([FollowMoves]);
    await step(process);
    expect(await process.value('to-B')).toBe(2);
    await step(process);
    const { rows } = await database.pool.query('SELECT sum(p.head - c.position)::int AS lag FROM checkpoints c JOIN partitions p USING (partition)');
    expect(rows).toEqual([{ lag: 0 }]);
  });

  test('is given the events that it names also where they are stored in a former version', async () => {
    const elsewhere = await start([]);
    await elsewhere.execute(count('a', 5));
    await database.pool.query(`UPDATE events SET type = 'test.counted.v1', data = '{"name": "a", "amount": "7"}'`);
    const process = await start([Echo]);
    await step(process);
    expect(await process.value('a-echo')).toBe(7);
  });

  test.each([
    ['no event', [], 'the saga test.careless names no eventTypes, so it would never do anything'],
    ['an event twice', ['test.moved.v1', 'test.counted.v2', 'test.moved.v1'], 'the saga test.careless names one of its eventTypes twice'],
  ])('that names %s does not start', async (_, eventTypes, message) => {
    @Injectable()
    class Careless extends FollowMoves {
      static override readonly type = 'test.careless' as never;
      static override readonly eventTypes = eventTypes as never;
    }
    await expect(start([Careless])).rejects.toThrow(message);
  });

  test('names what set it off', async () => {
    const process = await start([Echo]);
    const { partition, position } = await process.execute(count('a', 1, { metadata: { correlationId: 'journey', actor: 'ann' } }));
    await step(process);
    const { rows } = await database.pool.query(`SELECT metadata FROM events WHERE data->>'counter' = 'a-echo'`);
    expect(rows).toEqual([
      {
        metadata: {
          commandId: expect.stringMatching(new RegExp(`^\\d+\\.test\\.echo/${partition}@${position}/0$`)) as string,
          correlationId: 'journey',
          causationId: `${partition}@${position}`,
          actor: 'ann',
        },
      },
    ]);
  });

  test.each(['answer', 'fate', 'message'] as const)('asks for nothing twice when the %s of its commit is lost', async (lost) => {
    const proxy = await TcpProxy.to(database.url);
    const process = await start([Echo], { url: proxy.urlOf(database.url) });
    await Promise.all(names.map((name) => process.execute(count(name))));
    const cut = proxy.cutOnce({ connection: 'rialto sagas', sent: 'COMMIT', lost });
    await expect(process.runner.run()).rejects.toThrow();
    await cut;
    // Not at once, mostly: the server has yet to notice that nobody is there, and its locks are passed over.
    await untilPasses(async () => {
      await step(process);
      // What was stored and not taken is claimed for a process that never heard of it: others find it when that ran out.
      await database.pool.query(`UPDATE commands SET due_at = now() - interval '1 ms' WHERE status = 'accepted'`);
      await process.worker.run();
      await process.worker.idle();
      await step(process);
      expect(await Promise.all(names.map((name) => process.value(`${name}-echo`)))).toEqual(names.map(() => 1));
    });
    await Promise.all(writers.splice(0).map((writer) => writer.close()));
    await proxy.close();
  });

  test('leaves its commands to the inbox when this process has its hands full', async () => {
    const process = await start([Echo]);
    let woken = 0;
    process.wakeUps.onWake('commands', () => woken++);
    jest.spyOn(process.worker, 'hasRoomFor').mockReturnValueOnce(false);
    await process.execute(count('a'));
    await process.runner.run();
    expect(woken).toBe(1);
    expect(await commandsOf()).toMatchObject([{ status: 'accepted', attempts: 0 }]);
    await process.worker.run();
    await process.worker.idle();
    expect(await process.value('a-echo')).toBe(1);
  });

  describe('with a mapping that throws', () => {
    const history = async (process: Process) => {
      for (const by of [1, 2, 13, 3]) await process.execute(count('a', by));
    };

    test('is dead for good when Nest runs it', async () => {
      const seen: number[] = [];
      class Handler {
        execute({ input }: Count): Promise<void> {
          seen.push(input.by);
          return Promise.resolve();
        }
      }
      CommandHandler(Count)(Handler);
      /** As a saga for Nest's own bus: its commands are dispatched, not described. */
      @Injectable()
      class NestEcho {
        @Saga()
        echo(events$: Observable<EventOf<typeof Echo, Counted>>): Observable<Count> {
          return new Echo().echo(events$).pipe(map(({ input }) => new Count(input as CountInput, { commandId: 'c', metadata: {} })));
        }
      }
      const nest = await Test.createTestingModule({ imports: [CqrsModule.forRoot()], providers: [NestEcho, Handler] }).compile();
      Logger.overrideLogger(false);
      await nest.init();
      const failures: unknown[] = [];
      nest.get(UnhandledExceptionBus).subscribe((failure) => failures.push(failure));
      const published = [1, 2, 13, 3].map((by) => ({ type: 'test.counted.v2', data: { counter: 'a', by } }));
      for (const event of published) nest.get(EventBus).publish(event as IEvent);
      await new Promise((resume) => setImmediate(resume));
      expect(seen).toEqual([1, 2]);
      expect(failures).toHaveLength(1);
      await nest.close();
      Logger.overrideLogger(true);
    });

    test('stops at that event when the log feeds it, says so, and holds up nobody else', async () => {
      const process = await start([Echo, Tally]);
      await history(process);
      await step(process);
      expect(await process.value('a-echo')).toBe(3);
      const { rows } = await database.pool.query('SELECT consumer, position::int, failed_position::int, error, attempts FROM checkpoints WHERE failed_position IS NOT NULL');
      expect(rows).toEqual([{ consumer: 'test.echo', position: 2, failed_position: 3, error: '13 is unlucky', attempts: 1 }]);
      await step(process);
      expect(await process.value('tally')).toBe(6);
    });

    test('goes on where it stopped once that is mended, and has lost nothing', async () => {
      const process = await start([Echo]);
      await history(process);
      await step(process);
      await step(process);
      isFixed = true;
      await database.pool.query(`UPDATE checkpoints SET retry_at = now() - interval '1 ms' WHERE failed_position IS NOT NULL`);
      await step(process);
      expect(await process.value('a-echo')).toBe(19);
    });
  });

  test('that does not map an event at once is refused', async () => {
    const process = await start([Dawdle]);
    await process.execute(count('a'));
    await step(process);
    const { rows } = await database.pool.query('SELECT error FROM checkpoints WHERE failed_position IS NOT NULL');
    expect(rows).toEqual([{ error: 'a saga did not finish with test.counted.v2 at once' }]);
  });
});
