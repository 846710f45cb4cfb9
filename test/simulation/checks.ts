import type { Move } from '../../src/platform/consumers/consumer.js';
import type { Outcome } from '../../src/platform/log/writer.js';
import { againKey, alsoId, Echo, homeOf, partitionOfCounter, type Counted, type CountInput, type Moved } from './domain.js';
import { keyOf, type SimulatedPostgres, type StoredEvent } from './simulated-postgres.js';

/** A command as a client has sent it, perhaps several times, and what it has heard of it. */
export interface Issued {
  readonly id: string;
  readonly partition: number;
  readonly input: CountInput;
  readonly fingerprint: string;
  readonly isRecorded: boolean;
  readonly viaInbox: boolean;
  readonly outcomes: Outcome[];
  isAccepted?: boolean;
}

const isDone = (status: string): boolean => status === 'executed' || status === 'refused';

/** How many events a command appends for itself when it takes effect. */
const eventsOf = ({ by, to, times = 1 }: CountInput): number => (to ? 1 : by === 0 ? 0 : times);

/**
 * What must be true of every run. It looks at the tables and folds the events itself, so that a mistake in the product's
 * own folding does not hide itself.
 */
export class Checks {
  readonly violations: string[] = [];
  /** How many answers, commits and records were held against the rules. */
  checked = 0;
  private readonly acknowledgedUpTo: number[];
  private readonly checkedUpTo: number[];
  /** Something was committed since it was last looked whether everything is. */
  private mayBeAtRest = true;

  constructor(
    private readonly postgres: SimulatedPostgres,
    private readonly issued: readonly Issued[],
  ) {
    this.acknowledgedUpTo = postgres.partitions.map(() => 0);
    this.checkedUpTo = postgres.partitions.map(() => 0);
  }

  violated(what: string): void {
    if (this.violations.length < 20) this.violations.push(what);
  }

  private expect(isSo: boolean, what: () => string): void {
    this.checked++;
    if (!isSo) this.violated(what());
  }

  // ---- at every commit

  /** Positions are dense and times never decrease; a checkpoint is as far as its projection, and that has missed nothing. */
  afterCommit(): void {
    this.mayBeAtRest = true;
    const { partitions, events, checkpoints, applied, changed } = this.postgres;
    for (const partition of changed.partitions) {
      const log = events[partition]!;
      const { head, recordedAt } = partitions[partition]!;
      this.expect(head === log.length, () => `partition ${partition} has ${log.length} events and its head is ${head}`);
      for (let index = this.checkedUpTo[partition]!; index < log.length; index++) {
        this.expect(log[index]!.position === index + 1, () => `partition ${partition} has ${log[index]!.position} where ${index + 1} should be`);
        this.expect((log[index - 1]?.recordedAt ?? 0) <= log[index]!.recordedAt, () => `${partition}@${index + 1} was recorded before the event in front of it`);
      }
      this.checkedUpTo[partition] = log.length;
      this.expect((log.at(-1)?.recordedAt ?? 0) <= recordedAt, () => `partition ${partition} goes back in time`);
    }
    for (const key of changed.checkpoints) {
      const { consumer, position, partition } = checkpoints.get(key)!;
      this.expect(position <= partitions[partition]!.head, () => `${key} is at ${position}, ahead of the log`);
      if (consumer === Echo.type) continue;
      const own = applied.get(key) ?? [];
      this.expect(own.length === position && own.at(-1) === position, () => `${key} is at ${position} and has applied ${own.join()}`);
    }
  }

  /** Nobody is told of what is not committed. */
  announced(moves: readonly Move[]): void {
    for (const { consumer, partition, to } of moves) {
      const { position } = this.postgres.checkpoints.get(keyOf(partition, consumer))!;
      this.expect(position >= to, () => `${consumer} is called to be at ${partition}@${to} and is at ${position}`);
    }
  }

  // ---- at every answer

  /** Up to where clients know that the log goes. */
  acknowledged(partition: number): number {
    return this.acknowledgedUpTo[partition]!;
  }

  answered(command: Issued, outcome: Outcome, acknowledgedBefore: number): void {
    const { id, partition, input } = command;
    const { position, replayed } = outcome;
    command.outcomes.push(outcome);
    this.expect(outcome.partition === partition, () => `${id} was done in partition ${outcome.partition}`);
    this.expect(replayed || position >= acknowledgedBefore, () => `${id} was answered as of ${partition}@${position}, after ${acknowledgedBefore} was known`);
    this.expect(!replayed || command.isRecorded, () => `${id} is called a repetition`);
    this.acknowledgedUpTo[partition] = Math.max(this.acknowledgedUpTo[partition]!, position);
    if (outcome.status === 'executed' && eventsOf(input) > 0) {
      const last = this.postgres.events[partition]![position - 1];
      this.expect(last?.metadata.commandId === id, () => `${id} was acknowledged and is not at ${partition}@${position}, but ${last?.metadata.commandId}`);
    }
    if (command.isRecorded) this.recordedAs(command, outcome);
  }

  private recordedAs({ id, fingerprint }: Issued, outcome: Outcome): void {
    const row = this.postgres.commands.get(keyOf(homeOf(id), id));
    const answer = outcome.status === 'executed' ? outcome.answer : JSON.stringify(outcome.rejection);
    this.expect(row?.status === outcome.status && JSON.stringify(row.result) === answer, () => `${id} was answered ${answer} and is recorded as ${row?.status} ${JSON.stringify(row?.result)}`);
    this.expect(row?.fingerprint === fingerprint, () => `${id} was answered for ${fingerprint} and is recorded for ${row?.fingerprint}`);
    this.expect(row?.last_position === outcome.position, () => `${id} was answered as of ${outcome.position} and is recorded as of ${row?.last_position}`);
  }

  accepted(command: Issued): void {
    command.isAccepted = true;
    const row = this.postgres.commands.get(keyOf(homeOf(command.id), command.id));
    this.expect(row?.fingerprint === command.fingerprint, () => `${command.id} was accepted for ${command.fingerprint} and stands there for ${row?.fingerprint}`);
  }

  redriven({ id }: Issued, row: { command_id: string; status: string; attempts: number } | undefined): void {
    if (row) this.expect(row.command_id === id && row.status === 'accepted' && row.attempts === 0, () => `${id} runs again and is ${row.status}`);
  }

  refusedAsReused(command: Issued): void {
    const others = this.issued.some((other) => other.id === command.id && other.fingerprint !== command.fingerprint);
    this.expect(others, () => `${command.id} was refused as used for something else, and never was`);
  }

  // ---- in the end

  isAtRest(hasInbox: boolean, consumers: readonly string[]): boolean {
    if (this.mayBeAtRest) this.mayBeAtRest = this.isAllDone(hasInbox, consumers);
    return this.mayBeAtRest;
  }

  private isAllDone(hasInbox: boolean, consumers: readonly string[]): boolean {
    const { partitions, checkpoints, commands } = this.postgres;
    for (const consumer of consumers) {
      for (let partition = 0; partition < partitions.length; partition++) {
        if (checkpoints.get(keyOf(partition, consumer))?.position !== partitions[partition]!.head) return false;
      }
    }
    if (hasInbox) for (const { status } of commands.values()) if (!isDone(status)) return false;
    return true;
  }

  /** In words, for whoever waits for it. */
  unrest(consumers: readonly string[]): string {
    const { partitions, checkpoints, commands } = this.postgres;
    const open = [...commands.values()].filter(({ status }) => !isDone(status)).map(({ command_id, status }) => `${command_id} is ${status}`);
    const behind = consumers.flatMap((consumer) =>
      partitions.map(({ head }, partition) => `${consumer} is at ${partition}@${checkpoints.get(keyOf(partition, consumer))?.position} of ${head}`),
    );
    return [...open, ...behind].join(', ');
  }

  atTheEnd(hasInbox: boolean, projections: readonly string[]): void {
    for (const projection of projections) {
      this.postgres.events.forEach((log, partition) => {
        const applied = this.postgres.applied.get(keyOf(partition, projection)) ?? [];
        const isWhole = applied.length === log.length && applied.every((position, index) => position === index + 1);
        this.expect(isWhole, () => `${projection} has applied ${applied.join()} of the ${log.length} events of ${partition}`);
      });
    }
    this.streams();
    const values = this.values();
    const byCommand = new Map<string, StoredEvent[]>();
    for (const log of this.postgres.events) {
      for (const event of log) {
        const own = byCommand.get(event.metadata.commandId);
        if (own) own.push(event);
        else byCommand.set(event.metadata.commandId, [event]);
      }
    }
    const accountedFor = new Set<string>();
    const byId = new Map<string, Issued[]>();
    for (const command of this.issued) byId.set(command.id, [...(byId.get(command.id) ?? []), command]);
    for (const [id, same] of byId) this.command(id, same, byCommand, accountedFor, values, hasInbox);
    this.echoes(byCommand, accountedFor);
    for (const [id, events] of byCommand) this.expect(accountedFor.has(id), () => `${id} left ${events.length} events, and nobody has asked for it`);
    for (const { command_id, status } of this.postgres.commands.values()) {
      this.expect(isDone(status) || !hasInbox, () => `${command_id} is ${status} in the end`);
    }
    this.expect(this.postgres.deadlocks === 0, () => 'statements have deadlocked');
  }

  /** Versions are dense, in the order of positions; what a snapshot says is what the events say. */
  private streams(): void {
    for (const [name, members] of this.postgres.streams) {
      const sorted = [...members].sort((a, b) => a.version - b.version);
      sorted.forEach(({ version, position }, index) => {
        this.expect(version === index + 1, () => `${name} has version ${version} where ${index + 1} should be`);
        this.expect(index === 0 || position > sorted[index - 1]!.position, () => `${name} has version ${version} before ${version - 1}`);
      });
      const snapshot = this.postgres.snapshots.get(name);
      if (!snapshot) continue;
      const [partition] = name.split('/', 1) as [string];
      const counter = name.slice(partition.length + '/counter/'.length);
      const log = this.postgres.events[Number(partition)]!;
      const value = sorted.slice(0, snapshot.version).reduce((sum, { position }) => sum + changeOf(counter, log[position - 1]!), 0);
      const { value: stored } = snapshot.state as { value: number };
      this.expect(stored === value, () => `the snapshot of ${name} at ${snapshot.version} says ${stored}, and its events say ${value}`);
    }
  }

  /** By counter, what it stood at after each event of its partition. None was ever below zero. */
  private values(): Map<string, { position: number; value: number }[]> {
    const values = new Map<string, { position: number; value: number }[]>();
    for (const log of this.postgres.events) {
      for (const event of log) {
        for (const counter of countersOf(event)) {
          const own = values.get(counter) ?? [];
          values.set(counter, own);
          const value = (own.at(-1)?.value ?? 0) + changeOf(counter, event);
          own.push({ position: event.position, value });
          this.expect(value >= 0, () => `${counter} stands at ${value} after ${event.partition}@${event.position}`);
        }
      }
    }
    return values;
  }

  private command(
    id: string,
    same: readonly Issued[],
    byCommand: ReadonlyMap<string, StoredEvent[]>,
    accountedFor: Set<string>,
    values: ReadonlyMap<string, { position: number; value: number }[]>,
    hasInbox: boolean,
  ): void {
    accountedFor.add(id);
    const events = byCommand.get(id) ?? [];
    const { isRecorded } = same[0]!;
    const row = this.postgres.commands.get(keyOf(homeOf(id), id));
    const winner = isRecorded ? same.find(({ fingerprint }) => fingerprint === row?.fingerprint) : same[0];
    const outcomes = same.flatMap((command) => command.outcomes.map((outcome) => ({ command, outcome })));
    for (const { command, outcome } of outcomes) {
      this.expect(command.fingerprint === winner?.fingerprint, () => `${id} was answered for ${command.fingerprint}, and was done for ${winner?.fingerprint}`);
      if (isRecorded) this.recordedAs(command, outcome);
      this.isTrue(command, outcome, values);
    }
    for (const command of same) {
      if (!command.isAccepted) continue;
      this.expect(command === winner || command.fingerprint === winner?.fingerprint, () => `${id} was accepted for ${command.fingerprint}, and stands there for ${winner?.fingerprint}`);
      this.expect(!hasInbox || isDone(row?.status ?? ''), () => `${id} was accepted and is ${row?.status}`);
    }
    if (same.length > 1 && outcomes.length > 0) {
      for (const command of same) {
        this.expect(command.fingerprint === winner?.fingerprint || command.outcomes.length === 0, () => `${id} was answered for two requests`);
      }
    }
    if (!winner) {
      this.expect(events.length === 0, () => `${id} left ${events.length} events and no record`);
      return;
    }
    const wanted = eventsOf(winner.input);
    const isExecuted = outcomes.some(({ outcome }) => outcome.status === 'executed') || row?.status === 'executed';
    const isRefused = outcomes.some(({ outcome }) => outcome.status === 'refused') || row?.status === 'refused';
    this.expect(!(isExecuted && isRefused), () => `${id} was done and refused`);
    if (isExecuted) this.expect(events.length === wanted, () => `${id} was done and left ${events.length} events of ${wanted}`);
    else if (isRefused) this.expect(events.length === 0, () => `${id} was refused and left ${events.length} events`);
    else this.expect(events.length === 0 || events.length === wanted, () => `${id} left ${events.length} events of ${wanted}`);
    this.expect(events.every((event, index) => event.position === events[0]!.position + index && isOf(winner.input, event)), () => `${id} left other events than it should`);
    this.also(winner, events.length > 0, byCommand, accountedFor);
    this.again(winner, events.length > 0, byCommand, accountedFor);
  }

  /** What was answered is what the log says, as of the position that was named. */
  private isTrue({ id, partition, input }: Issued, outcome: Outcome, values: ReadonlyMap<string, { position: number; value: number }[]>): void {
    const value = values.get(input.name)?.findLast(({ position }) => position <= outcome.position)?.value ?? 0;
    if (outcome.status === 'executed') {
      this.expect(outcome.answer === String(value), () => `${id} was answered ${outcome.answer} as of ${partition}@${outcome.position}, and it was ${value}`);
    } else if (!input.also) {
      this.expect(outcome.rejection.detail === String(value), () => `${id} was refused for ${outcome.rejection.detail} as of ${partition}@${outcome.position}, and it was ${value}`);
    }
  }

  /** What a command takes along takes effect with it or not at all. */
  private also({ id, input: { also } }: Issued, isDone: boolean, byCommand: ReadonlyMap<string, StoredEvent[]>, accountedFor: Set<string>): void {
    if (!also) return;
    const partId = alsoId(id, also.name);
    accountedFor.add(partId);
    const count = byCommand.get(partId)?.length ?? 0;
    const wanted = isDone ? eventsOf(also) : 0;
    this.expect(count === wanted, () => `${id} ${isDone ? 'was' : 'was not'} done, and what it takes along ${count} times`);
  }

  /** A timer runs once, unless it was taken back before. */
  private again({ id, partition, input }: Issued, isExecuted: boolean, byCommand: ReadonlyMap<string, StoredEvent[]>, accountedFor: Set<string>): void {
    if (input.againAfterMs === undefined) return;
    const timer = `${partition}.${againKey(id)}`;
    accountedFor.add(timer);
    const count = byCommand.get(timer)?.length ?? 0;
    const isThere = this.postgres.commands.has(keyOf(partition, timer));
    const mayBeTakenBack = this.issued.some((other) => other.input.notAgain === againKey(id));
    if (!isExecuted) this.expect(count === 0 && !isThere, () => `${timer} is there, and ${id} was not done`);
    else if (mayBeTakenBack) this.expect(count === (isThere ? 1 : 0), () => `${timer} was ${isThere ? 'done' : 'taken back'} and left ${count} events`);
    else this.expect(isThere && count === 1, () => `${timer} left ${count} events`);
  }

  /** The saga has answered every event that asked for it, once. */
  private echoes(byCommand: ReadonlyMap<string, StoredEvent[]>, accountedFor: Set<string>): void {
    for (const log of this.postgres.events) {
      for (const event of log) {
        const { echo } = event.data as Counted['data'];
        if (echo === undefined) continue;
        const id = `${partitionOfCounter(echo)}.${Echo.type}/${event.partition}@${event.position}/0`;
        accountedFor.add(id);
        const count = byCommand.get(id)?.length ?? 0;
        this.expect(count === 1, () => `the saga has answered ${event.partition}@${event.position} ${count} times`);
      }
    }
  }
}

function countersOf({ type, data }: StoredEvent): string[] {
  if (type === 'simulated.counted.v1') return [(data as Counted['data']).counter];
  const { from, to } = data as Moved['data'];
  return [from, to];
}

function changeOf(counter: string, { type, data }: StoredEvent): number {
  const { by } = data as Moved['data'];
  if (type === 'simulated.counted.v1') return by;
  return counter === (data as Moved['data']).to ? by : -by;
}

function isOf({ name, by, to }: CountInput, event: StoredEvent): boolean {
  const counters = countersOf(event);
  return counters[0] === name && counters[1] === to && (event.data as Moved['data']).by === by;
}
