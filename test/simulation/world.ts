import { InboxWorker } from '../../src/platform/commands/inbox-worker.js';
import { Inbox } from '../../src/platform/commands/inbox.js';
import { ConsumerRunner } from '../../src/platform/consumers/consumer-runner.js';
import type { Announcer, Move } from '../../src/platform/consumers/consumer.js';
import { TailBuffer } from '../../src/platform/consumers/tail-buffer.js';
import { LeftCheckpoints } from '../../src/platform/consumers/left-checkpoints.js';
import { ProjectionCatalogue } from '../../src/platform/consumers/projection-catalogue.js';
import { SagaCatalogue } from '../../src/platform/consumers/saga-catalogue.js';
import { UnavailableError } from '../../src/platform/errors.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import { DatabaseClock } from '../../src/platform/log/database-clock.js';
import { Rejection } from '../../src/platform/log/decision.js';
import type { RecordedEvent } from '../../src/platform/log/recorded-event.js';
import { NewEvents } from '../../src/platform/log/new-events.js';
import { LogWriter } from '../../src/platform/log/writer.js';
import { Worker, WakeUps } from '../../src/platform/queue/wake-ups.js';
import { Checks, type Issued } from './checks.js';
import { againKey, Count, counters, Echo, homeOf, partitionOfCounter, partitions, projectionCalled, wearOutSql, type CountInput } from './domain.js';
import { activate, Chance, inTurns, type Lane, Owner, Scheduler } from './scheduler.js';
import { Network, SimulatedPool, type Faults } from './simulated-pool.js';
import { keyOf, SimulatedPostgres, type Model } from './simulated-postgres.js';
import { modelsFor } from './statements.js';

export const models: ReadonlyMap<string, Model> = modelsFor(partitions);
const catalogue = new EventCatalogue();
catalogue.add(counters);
export const projections = ['simulated-a', 'simulated-b'];
export const consumers = [...projections, Echo.type];
const claimMs = 5_000;
const sweepIntervalMs = 1_000;
const epochMs = Date.parse('2030-01-01T00:00:00.000Z');

/** Metrics count for nobody here, and the log is not read. */
const silent: unknown = new Proxy(() => undefined, { get: (_target, name) => (name === 'then' ? undefined : silent), apply: () => undefined });

/** What may be done to a world, to see whether it is found out. */
export interface Sabotage {
  readonly models?: ReadonlyMap<string, Model>;
  process?(process: Process): void;
}

/**
 * What chance has made of this run, once for all of it. Most runs are small, a few commands of two processes for the same few
 * counters: they meet in as many ways as in a long run, and there are four of them in its time.
 */
interface Conditions {
  readonly isSmall: boolean;
  /** How many of the partitions are asked for. */
  readonly places: number;
  readonly processes: number;
  readonly clients: number;
  readonly commandsEach: number;
  readonly hasConsumers: boolean;
  readonly hasInbox: boolean;
  readonly stateCacheBytes: number;
  readonly tailEvents: number;
  readonly restarts: number;
  readonly outages: number;
  readonly poison: boolean;
}

/** A process as the product builds it: its writer, inbox, consumers and their workers, over pools of its own. */
export class Process {
  readonly owner: Owner;
  /** What it is asked, as it comes in. */
  readonly calls: Lane;
  readonly underWay = new Set<() => void>();
  readonly writer: LogWriter;
  readonly inbox: Inbox;
  readonly runners: ConsumerRunner[] = [];
  readonly newEvents = new NewEvents();
  readonly wakeUps = new WakeUps();
  readonly pools: SimulatedPool[];

  constructor(name: string, world: World, { hasConsumers, hasInbox, stateCacheBytes, tailEvents }: Conditions) {
    const { scheduler, network } = world;
    this.owner = new Owner(name, scheduler);
    this.calls = network.lane(this.owner);
    const pool = (max: number) => new SimulatedPool(network, this.owner, max) as never;
    const [writerPool, logPool, projectionsPool, sagasPool] = (this.pools = [pool(1), pool(4), pool(1), pool(1)]) as unknown as never[];
    this.writer = new LogWriter(writerPool!, catalogue, this.newEvents, new DatabaseClock(), silent as never, {
      partitions,
      queueLimit: 1_000,
      stateCacheBytes,
      onCommitted: () => this.wakeUps.wake('projections'),
    });
    this.inbox = new Inbox(logPool!, claimMs);
    const bus = {
      execute: (command: Count) => (world.isFaulty(command) ? Promise.reject(new Error('a bug')) : this.writer.execute(command.toWrite())),
    };
    const inboxWorker = new InboxWorker(this.inbox, { find: () => Count } as never, bus as never, this.wakeUps, silent as never, silent as never);
    const sagas = new SagaCatalogue({ getProviders: () => [{ instance: new Echo(), metatype: Echo }] } as never, this.writer, this.inbox, inboxWorker);
    const views = new ProjectionCatalogue();
    views.add(...projections.map((projection) => projectionCalled(projection, (event) => world.look(event))));
    const runner = (on: never, list: () => ReturnType<typeof views.consumers>) => {
      const one = new ConsumerRunner(on, catalogue, this.newEvents, world.announcer, silent as never, list);
      const inside = one as unknown as { tail: TailBuffer; left: LeftCheckpoints; isNews(event: RecordedEvent): boolean };
      // So small that a consumer is soon further behind than it goes.
      inside.tail = new TailBuffer(tailEvents, (event) => inside.isNews(event));
      // So soon that processes which share the work go on where another one has been.
      inside.left = new LeftCheckpoints(1);
      return one;
    };
    const start = (worker: ConstructorParameters<typeof Worker>[0]['work'], queue: 'commands' | 'projections' | 'sagas') => {
      const one = new Worker({ sweepIntervalMs, work: worker, onError: () => undefined });
      this.wakeUps.onWake(queue, () => one.wake());
      one.start();
    };
    this.calls.push(() => {
      if (hasInbox) start((isExpected) => inboxWorker.run(isExpected), 'commands');
      if (!hasConsumers) return;
      for (const [queue, one] of [
        ['projections', runner(projectionsPool!, () => views.consumers())],
        ['sagas', runner(sagasPool!, () => sagas.consumers())],
      ] as const) {
        this.runners.push(one);
        if (queue === 'sagas') one.onNews(() => this.wakeUps.wake(queue));
        const prepared = one.prepare();
        let isPrepared = false;
        // A process whose start fails is started again; here it goes on trying.
        start(async (isExpected) => {
          if (!isPrepared) await prepared.catch(() => one.prepare());
          isPrepared = true;
          return one.run(isExpected);
        }, queue);
      }
      world.sabotage.process?.(this);
    });
    if (!hasConsumers) world.sabotage.process?.(this);
  }
}

type Attempt<T> = { readonly value: T } | { readonly error: unknown } | 'nobody knows';

/** The database, some processes, and clients that ask them for things and want to know what became of it. */
export class World {
  readonly scheduler: Scheduler;
  readonly postgres: SimulatedPostgres;
  readonly network: Network;
  readonly checks: Checks;
  readonly issued: Issued[] = [];
  readonly announcer: Announcer;
  private readonly chance: Chance;
  private readonly conditions: Conditions;
  private readonly faults: Faults;
  private readonly processes: Process[] = [];
  private readonly started: Process[] = [];
  private clientsBusy = 0;
  private isHealed = false;
  private isPoisonous = false;
  private names = 0;

  constructor(
    readonly seed: number,
    readonly sabotage: Sabotage = {},
  ) {
    const chance = (this.chance = new Chance(seed));
    const isCalm = chance.happens(0.2);
    const rate = (most: number) => (isCalm || chance.happens(0.4) ? 0 : most * chance.next());
    this.faults = { fail: rate(0.1), cut: rate(0.1), refuse: rate(0.3) };
    this.scheduler = new Scheduler(chance, chance.pick([0, 0, 0.01, 0.1]));
    const isSmall = chance.happens(0.95);
    const hasConsumers = chance.happens(isSmall ? 0.04 : 0.3);
    this.conditions = {
      isSmall,
      places: isSmall ? chance.between(1, 2) : partitions,
      processes: isSmall ? chance.pick([2, 2, 2, 3]) : chance.between(1, 3),
      clients: isSmall ? chance.pick([2, 2, 2, 3]) : chance.between(1, 4),
      commandsEach: isSmall ? 1 : chance.between(1, 4),
      hasConsumers,
      hasInbox: hasConsumers || chance.happens(isSmall ? 0.2 : 0.3),
      stateCacheBytes: chance.pick([300, 1_000, 1_000_000]),
      tailEvents: chance.pick([3, 10, 1_000]),
      restarts: isCalm ? 0 : chance.pick([0, 0, 1, 2]),
      outages: isCalm ? 0 : chance.pick([0, 0, 0, 1]),
      poison: hasConsumers && chance.happens(0.2),
    };
    const { scheduler } = this;
    this.postgres = new SimulatedPostgres(partitions, sabotage.models ?? models, () => epochMs + Math.floor(scheduler.nowMs));
    this.network = new Network(scheduler, this.postgres, new Owner('PostgreSQL', scheduler), this.faults, chance.pick([0, 0.1, 0.3]));
    this.checks = new Checks(this.postgres, this.issued);
    this.announcer = { committed: (moves: readonly Move[]) => this.checks.announced(moves) };
    this.postgres.onCommit = () => this.checks.afterCommit();
    const { poison } = this.conditions;
    if (poison) this.postgres.isPoison = (partition, position) => this.isPoisonous && (partition + position) % 5 === 0;
    this.isPoisonous = poison;
  }

  get isSmall(): boolean {
    return this.conditions.isSmall;
  }

  /** Writes down what the server does and what clients hear, for whoever wants to know how it came to something. */
  traceInto(lines: string[]): void {
    Error.stackTraceLimit = 10;
    const say = (line: string) => lines.push(`${String(this.scheduler.steps).padStart(5)} ${this.scheduler.current.name}: ${line}`);
    const { witness } = this.postgres;
    this.postgres.witness = {
      started: (session, text, values) => (say(`${session.id} ${nameOf(text)} ${JSON.stringify(values)}`), witness.started?.(session, text, values)),
      blocked: (session) => (say(`${session.id} waits`), witness.blocked?.(session)),
      refused: (session) => (say(`${session.id} fails`), witness.refused?.(session)),
      answered: (session, answer) => (say(`${session.id} → ${answer.error ? answer.error.message : JSON.stringify(answer.rows)}`), witness.answered?.(session, answer)),
      committed: (session) => (say(`${session.id} commits`), witness.committed?.(session)),
      rolledBack: (session) => (say(`${session.id} is gone`), witness.rolledBack?.(session)),
    };
    this.say = say;
  }

  private say?: (line: string) => void;

  get violations(): readonly string[] {
    return this.checks.violations;
  }

  /** What a projection of some event fails of, as it would of a bug in it. */
  look({ partition, position }: RecordedEvent): void {
    if (this.isPoisonous && (partition + position) % 5 === 1) throw new Error(`${partition}@${position} can not be projected`);
  }

  isFaulty({ input }: Count): boolean {
    return input.fails === true && !this.isHealed;
  }

  /** Within simulated time. */
  async run(): Promise<void> {
    activate(this.scheduler);
    const { isSmall, processes, clients, restarts, outages, hasInbox, hasConsumers } = this.conditions;
    for (let index = 0; index < processes; index++) this.start(index);
    for (let client = 0; client < clients; client++) this.begin(() => this.client());
    for (let restart = 0; restart < restarts; restart++) this.begin(() => this.restart(this.chance.below(processes)));
    for (let outage = 0; outage < outages; outage++) this.begin(() => this.outage());
    await this.goOn(() => this.clientsBusy === 0, 20_000);
    this.heal();
    const isAsked = ({ isRecorded }: Issued) => isRecorded && (!isSmall || this.chance.happens(0.3));
    for (const command of this.issued.filter(isAsked)) this.begin(() => this.findOut(command));
    if (hasInbox) this.begin(() => this.redriveAll());
    const followers = hasConsumers ? consumers : [];
    await this.goOn(() => this.clientsBusy === 0 && this.checks.isAtRest(hasInbox, followers), 40_000);
    this.checks.atTheEnd(hasInbox, hasConsumers ? projections : []);
  }

  /** As the product does when its machine dies: nothing of it is ever heard of again. */
  private crash(process: Process): void {
    this.say?.(`${process.owner.name} dies`);
    process.owner.die();
    for (const pool of process.pools) pool.cut();
    for (const forget of [...process.underWay]) forget();
  }

  private start(index: number): void {
    const process = new Process(`process ${index}, ${this.started.length}`, this, this.conditions);
    this.processes[index] = process;
    this.started.push(process);
  }

  private async restart(index: number): Promise<void> {
    await this.sometime();
    this.crash(this.processes[index]!);
    this.start(index);
  }

  private async outage(): Promise<void> {
    await this.sometime();
    this.network.stopServer();
    await new Promise<void>((resume) => this.scheduler.after(this.chance.between(1, 8_000), this.scheduler.outside, resume));
    this.network.isServerUp = true;
  }

  private heal(): void {
    this.say?.('from now on nothing goes wrong');
    this.isHealed = true;
    this.isPoisonous = false;
    Object.assign(this.faults, { fail: 0, cut: 0, refuse: 0 });
    this.network.isServerUp = true;
  }

  private async goOn(isOver: () => boolean, maxSteps: number): Promise<void> {
    const { scheduler } = this;
    let steps = 0;
    await inTurns(() => {
      if (isOver()) return false;
      if (steps++ <= maxSteps && scheduler.step()) return true;
      this.checks.violated(`nothing has come of it after ${scheduler.steps} steps: ${this.clientsBusy} clients wait; ${this.checks.unrest(consumers)}`);
      return false;
    });
  }

  // ---- what is asked, and by whom

  private begin(work: () => Promise<void>): void {
    this.clientsBusy++;
    void work().then(
      () => this.clientsBusy--,
      (error: unknown) => {
        this.clientsBusy--;
        this.checks.violated(`a client met ${String((error as Error).stack)}`);
      },
    );
  }

  /** After anything that happens meanwhile. */
  private pause(): Promise<void> {
    return new Promise((resume) => this.network.lane(this.scheduler.outside).push(resume));
  }

  private async sometime(): Promise<void> {
    for (let pauses = this.chance.below(this.conditions.isSmall ? 10 : 25); pauses > 0; pauses--) await this.pause();
  }

  private async client(): Promise<void> {
    for (let commands = this.conditions.commandsEach; commands > 0; commands--) {
      await this.pause();
      const command = this.command();
      if (!command.isRecorded) await this.attempt(command);
      else if (this.chance.happens(0.15)) await Promise.all([this.insist(command), this.insist(command)]);
      else await this.insist(command);
      if (this.conditions.hasInbox && this.chance.happens(0.3)) await this.redrive(this.chance.pick(this.issued));
    }
  }

  /** Asks for it to be run again, whatever has become of it. */
  private async redrive(command: Issued): Promise<void> {
    const { id } = command;
    const process = this.chance.pick(this.processes);
    const attempt = await this.ask(process, () => process.inbox.redrive(homeOf(id), id));
    this.say?.(`${id}, asked to run again, hears ${JSON.stringify(attempt)}`);
    if (attempt === 'nobody knows' || 'error' in attempt) return;
    if (attempt.value) process.wakeUps.wake('commands');
    this.checks.redriven(command, attempt.value);
  }

  /** Until nothing is left that has failed, or still may. */
  private async redriveAll(): Promise<void> {
    for (let rounds = 0; rounds < 20; rounds++) {
      const open = this.issued.filter(({ id, input }) => {
        const status = this.postgres.commands.get(keyOf(homeOf(id), id))?.status;
        return input.fails && status && ['accepted', 'failed'].includes(status);
      });
      if (open.length === 0) return;
      for (const command of open) await this.redrive(command);
      await new Promise<void>((resume) => this.scheduler.after(1_000, this.scheduler.outside, resume));
    }
  }

  /** Something new, or an id that was used before, for something else. */
  private command(): Issued {
    const { chance, issued } = this;
    const before = issued.length > 0 && chance.happens(this.conditions.isSmall ? 0.25 : 0.1) ? chance.pick(issued) : undefined;
    if (before?.isRecorded) {
      const input = { name: chance.happens(0.7) ? before.input.name : this.counter(), by: chance.between(1, 9) };
      const again = { ...before, input, partition: partitionOfCounter(input.name), fingerprint: JSON.stringify(input), outcomes: [], isAccepted: false, viaInbox: this.conditions.hasInbox && chance.happens(0.3) };
      if (again.fingerprint !== before.fingerprint) {
        issued.push(again);
        return again;
      }
    }
    const name = this.counter();
    // Most records are where their commands' events are.
    const id = `${partitionOfCounter(chance.happens(0.85) ? name : this.counter())}.c${issued.length}`;
    const viaInbox = this.conditions.hasInbox && chance.happens(0.25);
    const asked = this.input(name, id);
    const input: CountInput = viaInbox && chance.happens(0.5) ? { ...asked, fails: true } : asked;
    const isRecorded = viaInbox || chance.happens(0.6);
    const command = { id, partition: partitionOfCounter(name), input, fingerprint: JSON.stringify(input), isRecorded, viaInbox, outcomes: [] };
    issued.push(command);
    return command;
  }

  private counter(): string {
    return `${this.chance.below(this.conditions.places)}/${this.chance.pick(['a', 'b'])}`;
  }

  private input(name: string, id: string): CountInput {
    const { chance, issued } = this;
    const by = chance.between(-2, 4);
    const partition = partitionOfCounter(name);
    const kind = chance.below(10);
    if (kind < 3) return { name, by };
    if (kind === 3) return { name, by: chance.between(-1, 2), times: chance.pick([2, 7, 25]) };
    if (kind === 4) return { name: `${partition}/new${this.names++}`, by: 1, isNew: true };
    if (kind === 5) return { name: `${partition}/a`, by: chance.between(1, 3), to: `${partition}/b` };
    if (kind === 6 || kind === 7) return { name, by: 1, also: { name: this.counter(), by: chance.between(-2, 2) } };
    if (kind === 8) return this.conditions.hasConsumers ? { name, by: 1, echo: this.counter() } : { name, by: 0 };
    if (!this.conditions.hasInbox) return { name, by: 0 };
    const others = issued.filter((other) => other.partition === partition && other.input.againAfterMs !== undefined && other.id !== id);
    if (others.length > 0 && chance.happens(0.5)) return { name, by: 1, notAgain: againKey(chance.pick(others).id) };
    return { name, by: 1, againAfterMs: chance.pick([1, 5, 50, 2_000]) };
  }

  /** Until it is known what became of it, or there is no patience left. */
  private async insist(command: Issued): Promise<void> {
    for (let tries = 0; tries < 3; tries++) {
      if (await this.attempt(command)) return;
      await this.pause();
    }
  }

  /** In the end everything that has an id can be asked about. */
  private async findOut(command: Issued): Promise<void> {
    for (let tries = 0; tries < 20; tries++) if (await this.attempt({ ...command, viaInbox: false, outcomes: command.outcomes })) return;
    this.checks.violated(`${command.id} gets no answer although nothing is in its way`);
  }

  /** Whether it is known what became of it. */
  private async attempt(command: Issued): Promise<boolean> {
    const { id, partition, input, fingerprint, isRecorded, viaInbox } = command;
    const process = this.chance.pick(this.processes);
    this.say?.(`${id} ${fingerprint}${isRecorded ? '' : ', not recorded'}${viaInbox ? ', to be accepted' : ''}, goes to ${process.owner.name}`);
    const acknowledgedBefore = this.checks.acknowledged(partition);
    if (viaInbox) {
      const acceptance = await this.ask(process, () =>
        process.inbox.accept({ partition: homeOf(id), commandId: id, type: Count.type, payload: input, metadata: {}, fingerprint }).then(async (accepted) => {
          if (accepted.fingerprint !== fingerprint || !accepted.isNew) return accepted;
          if (input.fails) await process.pools[1]!.query(wearOutSql, [homeOf(id), id]).catch(() => undefined);
          process.wakeUps.wake('commands');
          return accepted;
        }),
      );
      this.say?.(`${id} ${fingerprint} hears ${JSON.stringify(acceptance)}`);
      if (acceptance === 'nobody knows' || 'error' in acceptance) return false;
      if (acceptance.value.fingerprint === fingerprint) this.checks.accepted(command);
      else this.checks.refusedAsReused(command);
      return true;
    }
    const record = isRecorded ? { fingerprint } : undefined;
    const attempt = await this.ask(process, () => process.writer.execute(new Count(input, { commandId: id, metadata: {}, record }).toWrite()));
    this.say?.(`${id} ${fingerprint} hears ${JSON.stringify(attempt)}`);
    if (attempt === 'nobody knows') return false;
    if ('value' in attempt) {
      this.checks.answered(command, attempt.value, acknowledgedBefore);
      return true;
    }
    const { error } = attempt;
    if (error instanceof Rejection && error.code === 'idempotency-key-reused') {
      this.checks.refusedAsReused(command);
      return true;
    }
    if (error instanceof UnavailableError) return false;
    if (this.isHealed || !isExpected(error)) this.checks.violated(`${id} met ${String((error as Error).stack)}`);
    return false;
  }

  private ask<T>(process: Process, work: () => Promise<T>): Promise<Attempt<T>> {
    if (process.owner.isDead) return Promise.resolve('nobody knows');
    return new Promise((resolve) => {
      const forget = () => (process.underWay.delete(forget), resolve('nobody knows'));
      process.underWay.add(forget);
      const end = (attempt: Attempt<T>) => (process.underWay.delete(forget), resolve(attempt));
      process.calls.push(() => void work().then((value) => end({ value }), (error: unknown) => end({ error })));
    });
  }
}

/** What a caller may get to hear of a database that goes on failing. */
function isExpected(error: unknown): boolean {
  return ['40001', '40P01', '55P03', '53300'].includes((error as { code?: string }).code ?? '');
}

/** The first words of a statement: what a reader knows it by. */
function nameOf(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  const name = /(?:INSERT INTO|UPDATE|DELETE FROM) \w+|WITH \w+|SELECT.{0,30}/.exec(line)?.[0];
  return name ?? line;
}
