import { appendSql, appendWithoutDeadlinesSql, checkSql } from '../../src/platform/log/append.js';
import { fenceSql, lockSql, whoIsThereSql } from '../../src/platform/log/fence.js';
import { refreshSql } from '../../src/platform/log/refresh.js';
import { acceptSql, claimSql, giveBackSql, nextDueSql, redriveSql, retryLaterSql, storeSql } from '../../src/platform/commands/inbox.js';
import {
  claimCheckpointsSql,
  createCheckpointsSql,
  lookForNewsSql,
  moveCheckpointsSql,
  readEventsSql,
  recordFailureSql,
} from '../../src/platform/consumers/checkpoints.js';
import { applySql, wearOutSql } from './domain.js';
import { keyOf, PostgresError, type CommandRecord, type Model, type Row, type SimulatedPostgres, type Transaction } from './simulated-postgres.js';

/** An array parameter: pg takes JavaScript's, the append writes its own literals. */
function array<T>(value: unknown): T[] {
  if (typeof value !== 'string') return value as T[];
  return value === '{}' ? [] : (JSON.parse(`[${value.slice(1, -1)}]`) as T[]);
}

/** An array that is a parameter as JSON. Most of an append's are empty. */
const jsonArray = <T>(value: unknown): T[] => (value === '[]' ? [] : (JSON.parse(value as string) as T[]));

const commandLock = (partition: number, id: string): string => `command ${partition}/${id}`;
const partitionLock = (partition: number): string => `partition ${partition}`;
const checkpointLock = (consumer: string, partition: number): string => `checkpoint ${consumer}/${partition}`;
const isDone = ({ status }: CommandRecord): boolean => status === 'executed' || status === 'refused';
/** In SQL, `<>`: not so of what is not there. */
const isOther = (one: string | null | undefined, other: string | null): boolean => one != null && other !== null && one !== other;
const isOpen = (command: CommandRecord | undefined): command is CommandRecord =>
  command?.status === 'accepted' || command?.status === 'scheduled';

function newCommand(given: Partial<CommandRecord> & Pick<CommandRecord, 'partition' | 'command_id' | 'type' | 'status'>, acceptedAt: number, completedAt: number | null = null): CommandRecord {
  return {
    partition: given.partition,
    command_id: given.command_id,
    type: given.type,
    payload: given.payload ?? null,
    metadata: given.metadata ?? null,
    fingerprint: given.fingerprint ?? null,
    status: given.status,
    due_at: given.due_at ?? null,
    created: given.created ?? null,
    result: given.result ?? null,
    first_position: given.first_position ?? null,
    last_position: given.last_position ?? null,
    attempts: given.attempts ?? 0,
    error: null,
    accepted_at: acceptedAt,
    completed_at: completedAt,
  };
}

/**
 * INSERT … ON CONFLICT DO NOTHING: waits for whoever is inserting, changing or deleting the row, and does nothing where
 * there is one then. Whether it inserts.
 */
function* insertUnlessThere(db: SimulatedPostgres, tx: Transaction, lock: string, isThere: () => boolean, insert: () => void): Generator<string, boolean> {
  if (isThere() && !db.isBeingChanged(tx, lock)) return false;
  yield lock;
  if (isThere()) {
    db.unlock(tx, lock);
    return false;
  }
  tx.write(insert);
  return true;
}

function insertCommand(db: SimulatedPostgres, tx: Transaction, command: CommandRecord): Generator<string, boolean> {
  const key = keyOf(command.partition, command.command_id);
  const lock = commandLock(command.partition, command.command_id);
  return insertUnlessThere(db, tx, lock, () => db.commands.has(key), () => db.commands.set(key, command));
}

interface Recorded extends Pick<CommandRecord, 'partition' | 'command_id' | 'type' | 'fingerprint' | 'status' | 'created' | 'result'> {
  first_position: number | null;
  last_position: number;
}
interface Scheduled extends Pick<CommandRecord, 'partition' | 'command_id' | 'type' | 'payload' | 'metadata'> {
  due_at: string;
}
interface Taken {
  partition: number;
  stream: string;
  version: number;
  state_version: number;
  state: unknown;
}

/** The rules that an append goes by, for whoever wants to see what happens without one of them. */
export const appendRules = {
  isCurrent: (found: number, expected: number): boolean => found === expected,
  isKnown: (command: CommandRecord, fingerprint: string | null): boolean =>
    isDone(command) || isOther(command.fingerprint, fingerprint),
  /** Whether a record that has come meanwhile is of another request. */
  isTaken: (command: CommandRecord | undefined, fingerprint: string | null): boolean => isOther(command?.fingerprint, fingerprint),
  /** The group that a partition takes part with. */
  groupOf: (_partition: number, together: number): number => together,
};

export const appendModel = (rules = appendRules): Model =>
  function* append(db, tx, values) {
    const [scheduled, unscheduledIn, unscheduledIds] = values.length > 20 ? values.slice(20) : ['[]', '{}', '[]'];
    const partitions = array<number>(values[0]);
    const revisions = array<number>(values[1]);
    const heads = array<number>(values[2]);
    const times = array<string>(values[3]).map((time) => Date.parse(time));
    const writes = array<boolean>(values[4]);
    const groups = array<number>(values[18]).map((together, index) => rules.groupOf(partitions[index]!, together));
    const recorded = jsonArray<Recorded>(values[14]);
    // With the statement's snapshot, from here …
    const found = partitions.map((partition) => db.partitions[partition]!.revision);
    const known = recorded.flatMap(({ partition, command_id, fingerprint }) => {
      const command = db.commands.get(keyOf(partition, command_id));
      return command && rules.isKnown(command, fingerprint) ? [command] : [];
    }).map(({ partition, command_id, fingerprint, status, created, result, last_position }) => ({ partition, command_id, fingerprint, status, created, result, last_position }));
    const ids = jsonArray<string>(unscheduledIds);
    const unscheduled = array<number>(unscheduledIn).flatMap((partition, index) =>
      db.commands.get(keyOf(partition, ids[index]!))?.status === 'scheduled' ? [{ partition, id: ids[index]! }] : [],
    );
    // … to here.
    for (const partition of array<number>(values[17]).sort((a, b) => a - b)) {
      yield partitionLock(partition);
      found[partitions.indexOf(partition)] = db.partitions[partition]!.revision;
    }
    const isCurrent = partitions.map((_, index) => rules.isCurrent(found[index]!, revisions[index]!));
    const lost = new Set<number>();
    partitions.forEach((partition, index) => {
      if (!isCurrent[index] || known.some((command) => command.partition === partition)) lost.add(groups[index]!);
    });
    const won = new Map<number, number>();
    partitions.forEach((partition, index) => {
      if (!lost.has(groups[index]!)) won.set(partition, index);
    });
    for (const { partition, id } of unscheduled) {
      if (!won.has(partition)) continue;
      yield commandLock(partition, id);
      const key = keyOf(partition, id);
      if (db.commands.get(key)?.status === 'scheduled') tx.write(() => db.commands.delete(key));
    }
    const byKey = (a: { partition: number; command_id: string }, b: typeof a) =>
      a.partition - b.partition || (a.command_id < b.command_id ? -1 : 1);
    for (const { due_at, ...command } of jsonArray<Scheduled>(scheduled).sort(byKey)) {
      const index = won.get(command.partition);
      if (index === undefined) continue;
      yield* insertCommand(db, tx, newCommand({ ...command, status: 'scheduled', due_at: Date.parse(due_at) }, times[index]!));
    }
    for (const command of recorded.sort(byKey)) {
      const index = won.get(command.partition);
      if (index === undefined) continue;
      yield commandLock(command.partition, command.command_id);
      const { status, created, result, first_position, last_position } = command;
      const key = keyOf(command.partition, command.command_id);
      if (rules.isTaken(db.commands.get(key), command.fingerprint)) {
        throw new PostgresError('23502', 'null value in column "status" of relation "commands" violates not-null constraint');
      }
      const row = newCommand(command, times[index]!, times[index]!);
      tx.write(() => {
        const there = db.commands.get(key);
        if (!there) db.commands.set(key, row);
        else Object.assign(there, { status, created, result, due_at: null, error: null, first_position, last_position, completed_at: row.completed_at });
      });
    }
    linkEvents(db, tx, values, won);
    addEvents(db, tx, values, won, times);
    for (const [partition, index] of won) {
      if (!writes[index]) continue;
      tx.write(() => {
        const row = db.partitions[partition]!;
        row.head = heads[index]!;
        row.revision++;
        row.recordedAt = times[index]!;
        db.changed.partitions.add(partition);
      });
    }
    for (const taken of jsonArray<Taken>(values[19])) {
      if (won.has(taken.partition)) tx.write(() => db.snapshots.set(keyOf(taken.partition, taken.stream), taken));
    }
    return partitions.map((partition, index) => {
      const own = known.filter((command) => command.partition === partition);
      return { partition, won: won.has(partition), is_current: isCurrent[index], database_time: new Date(db.now()), known: own.length > 0 ? own : null };
    });
  };

function addEvents(db: SimulatedPostgres, tx: Transaction, values: readonly unknown[], won: ReadonlyMap<number, number>, times: number[]): void {
  const positions = array<number>(values[6]);
  const versions = array<number>(values[7]);
  const [streams, types] = [values[8], values[9]].map(jsonArray<string>) as [string[], string[]];
  const [data, metadata] = [values[10], values[11]].map(jsonArray<object>) as [object[], object[]];
  array<number>(values[5]).forEach((partition, index) => {
    if (!won.has(partition)) return;
    const position = positions[index]!;
    const version = versions[index]!;
    const stream = streams[index]!;
    const log = db.events[partition]!;
    if (position <= log.length) throw new PostgresError('23505', 'duplicate key value violates unique constraint "events_pkey"');
    noSuchVersion(db, partition, stream, version, false);
    const event = {
      partition,
      position,
      stream,
      version,
      type: types[index]!,
      data: data[index]!,
      metadata: metadata[index] as { commandId: string },
      recordedAt: times[won.get(partition)!]!,
    };
    tx.write(() => {
      log.push(event);
      ofStream(db, partition, stream).push({ version, position });
    });
  });
}

function linkEvents(db: SimulatedPostgres, tx: Transaction, values: readonly unknown[], won: ReadonlyMap<number, number>): void {
  const positions = array<number>(values[12]);
  const streams = jsonArray<string>(values[13]);
  const versions = array<number>(values[16]);
  array<number>(values[15]).forEach((partition, index) => {
    if (!won.has(partition)) return;
    const link = { partition, stream: streams[index]!, version: versions[index]!, position: positions[index]! };
    noSuchVersion(db, partition, link.stream, link.version, true);
    tx.write(() => {
      db.links.push(link);
      const { version, position } = link;
      ofStream(db, partition, link.stream).push({ version, position });
    });
  });
}

/** A version is unique among a stream's own events, and among those linked to it. */
function noSuchVersion(db: SimulatedPostgres, partition: number, stream: string, version: number, isLinked: boolean): void {
  const there = db.streams.get(keyOf(partition, stream))?.find((one) => one.version === version);
  if (!there) return;
  const isLink = db.events[partition]![there.position - 1]?.stream !== stream;
  if (isLink === isLinked) throw new PostgresError('23505', 'duplicate key value violates unique constraint "events_partition_stream_version_key"');
}

function ofStream(db: SimulatedPostgres, partition: number, stream: string): { version: number; position: number }[] {
  const key = keyOf(partition, stream);
  let found = db.streams.get(key);
  if (!found) db.streams.set(key, (found = []));
  return found;
}

const check: Model = (db, _tx, [first, second, third]) => {
  const partitions = array<number>(first);
  const revisions = array<number>(second);
  const groups = array<number>(third);
  const isCurrent = partitions.map((partition, index) => db.partitions[partition]!.revision === revisions[index]);
  return partitions.map((partition, index) => ({
    partition,
    won: groups.every((group, other) => group !== groups[index] || isCurrent[other]),
    is_current: isCurrent[index],
    database_time: new Date(db.now()),
    known: null,
  }));
};

function refreshRow(
  kind: number,
  partition: number,
  position: number | null,
  stream: string | null,
  version: number | null,
  type: string | null,
  data: unknown,
  metadata: object | null = null,
  recordedAt: number | null = null,
  databaseTime: Date | null = null,
): Row {
  return {
    kind,
    partition,
    position,
    stream,
    version,
    type,
    data: data === null ? null : JSON.stringify(data),
    metadata: metadata === null ? null : JSON.stringify(metadata),
    recorded_at: recordedAt === null ? null : new Date(recordedAt),
    database_time: databaseTime,
  };
}

const refresh: Model = (db, _tx, values) => {
  const partitions = array<number>(values[0]);
  const known = array<number>(values[1]);
  const wantedStreams = array<string>(values[3]);
  const stateVersions = array<number>(values[4]);
  const limit = values[5] as number;
  const rows: Row[] = [];
  const databaseTime = new Date(db.now());
  const order = partitions.map((partition, index) => ({ partition, known: known[index]! })).sort((a, b) => a.partition - b.partition);
  for (const { partition } of order) {
    const { head, revision, recordedAt } = db.partitions[partition]!;
    rows.push(refreshRow(0, partition, head, null, revision, null, null, null, recordedAt, databaseTime));
  }
  for (const { partition, known } of order) {
    if (known < 0) continue;
    for (const { position, type, data, metadata, recordedAt } of db.events[partition]!.slice(known, known + limit)) {
      rows.push(refreshRow(1, partition, position, null, null, type, data, metadata, recordedAt));
    }
  }
  const snapshots: Row[] = [];
  const events: Row[] = [];
  array<number>(values[2]).forEach((partition, index) => {
    const stream = wantedStreams[index]!;
    const snapshot = db.snapshots.get(keyOf(partition, stream));
    const version = snapshot?.state_version === stateVersions[index] ? snapshot.version : 0;
    if (version > 0) snapshots.push(refreshRow(2, partition, null, stream, version, null, snapshot!.state));
    for (const one of db.streams.get(keyOf(partition, stream)) ?? []) {
      if (one.version <= version) continue;
      const { type, data, recordedAt } = db.events[partition]![one.position - 1]!;
      events.push(refreshRow(3, partition, one.position, stream, one.version, type, data, null, recordedAt));
    }
  });
  const place = ({ partition, position }: Row): number => (partition as number) * 1_000_000 + ((position as number | null) ?? 0);
  const sorted = (some: Row[]): Row[] => some.sort((a, b) => place(a) - place(b));
  return [...rows, ...sorted(snapshots), ...sorted(events)];
};

const lock: Model = function* (_db, _tx, [given]) {
  const partitions = array<number>(given).slice().sort((a, b) => a - b);
  for (const partition of partitions) yield partitionLock(partition);
  return partitions.map((partition) => ({ partition }));
};

const fence: Model = function* (db, tx, [given]) {
  for (const partition of array<number>(given).slice().sort((a, b) => a - b)) {
    yield partitionLock(partition);
    tx.write(() => void db.partitions[partition]!.revision++);
  }
  return [];
};

const whoIsThere: Model = (db, _tx, [given, where]) => {
  const positions = array<number>(where);
  return array<number>(given).flatMap((partition, index) => {
    const event = db.events[partition]![positions[index]! - 1];
    return event ? [{ partition, position: event.position, command_id: event.metadata.commandId }] : [];
  });
};

type Given = Pick<CommandRecord, 'partition' | 'command_id' | 'type' | 'payload' | 'metadata'> & { fingerprint: string | null };
const byKey = (a: Given, b: Given): number => a.partition - b.partition || (a.command_id < b.command_id ? -1 : 1);

const accept: Model = function* (db, tx, [json]) {
  const given = jsonArray<Given>(json);
  const seen = given.map(({ partition, command_id }) => db.commands.get(keyOf(partition, command_id)));
  const fingerprints = seen.map((command) => command?.fingerprint ?? null);
  const inserted = new Set<string>();
  const now = db.now();
  for (const { partition, command_id, type, payload, metadata, fingerprint } of given.slice().sort(byKey)) {
    const command = newCommand({ partition, command_id, type, payload, metadata, fingerprint, status: 'accepted', due_at: now }, now);
    if (yield* insertCommand(db, tx, command)) inserted.add(command_id);
  }
  return given.map(({ command_id }, index) => ({
    command_id,
    is_new: inserted.has(command_id),
    fingerprint: fingerprints[index],
    is_seen: seen[index] !== undefined,
  }));
};

const store: Model = function* (db, tx, [json, attempts, claimMs]) {
  const now = db.now();
  for (const { partition, command_id, type, payload, metadata } of jsonArray<Given>(json).sort(byKey)) {
    const given = { partition, command_id, type, payload, metadata, attempts: attempts as number };
    yield* insertCommand(db, tx, newCommand({ ...given, status: 'accepted', due_at: now + (claimMs as number) }, now));
  }
  return [];
};

const claim: Model = (db, tx, [limit, claimMs, lateMs]) => {
  const now = db.now();
  const due = [...db.commands.values()].filter((command) => isOpen(command) && command.due_at! <= now).sort((a, b) => a.due_at! - b.due_at!);
  const rows: Row[] = [];
  for (const command of due) {
    if (rows.length >= (limit as number)) break;
    if (!db.tryLock(tx, commandLock(command.partition, command.command_id))) continue;
    const { partition, command_id, type, payload, metadata, fingerprint, status } = command;
    const attempts = command.attempts + 1;
    const is_late = status === 'accepted' && attempts === 1 && command.due_at! < now - (lateMs as number);
    rows.push({ partition, command_id, type, payload, metadata, fingerprint, attempts, is_late });
    tx.write(() => Object.assign(command, { due_at: now + (claimMs as number), attempts }));
  }
  return rows;
};

const nextDue: Model = (db) => {
  const due = [...db.commands.values()].filter(isOpen).map((command) => command.due_at!);
  return [{ due_in_ms: due.length > 0 ? Math.min(...due) - db.now() : null }];
};

const changeOpen = (change: (command: CommandRecord, now: number, values: readonly unknown[]) => Partial<CommandRecord>): Model =>
  function* (db, tx, values) {
    const [partition, id] = values as [number, string];
    const key = keyOf(partition, id);
    if (!isOpen(db.commands.get(key))) return [];
    const now = db.now();
    yield commandLock(partition, id);
    const command = db.commands.get(key);
    if (isOpen(command)) {
      const changed = change(command, now, values);
      tx.write(() => Object.assign(command, changed));
    }
    return [];
  };

const retryLater = changeOpen(({ status }, now, [, , error, backOffMs]) => ({
  status: backOffMs === null ? 'failed' : status,
  due_at: now + ((backOffMs as number | null) ?? 0),
  error: error as string,
}));

const giveBack = changeOpen(({ attempts }, now) => ({ due_at: now + 1_000, attempts: Math.max(0, attempts - 1) }));

const wearOut = changeOpen(() => ({ attempts: 7 }));

/** What redriving a command does, where its status allows it. */
export const redriveModel = (mayBe: (command: CommandRecord | undefined) => command is CommandRecord): Model =>
  function* redrive(db, tx, [partition, id]) {
    const key = keyOf(partition as number, id as string);
    if (!mayBe(db.commands.get(key))) return [];
    const now = db.now();
    yield commandLock(partition as number, id as string);
    const command = db.commands.get(key);
    if (!mayBe(command)) return [];
    const changed = { status: 'accepted', due_at: now, attempts: 0, error: null } as const;
    tx.write(() => Object.assign(command, changed));
    const { command_id, type, result, accepted_at, completed_at } = command;
    const [acceptedAt, completedAt, dueAt] = [new Date(accepted_at), completed_at === null ? null : new Date(completed_at), new Date(now)];
    return [{ partition, command_id, type, status: 'accepted', result, attempts: 0, error: null, accepted_at: acceptedAt, completed_at: completedAt, due_at: dueAt }];
  };

const isFailed = (command: CommandRecord | undefined): command is CommandRecord => command?.status === 'failed';

const createCheckpoints: Model = function* (db, tx, [consumers]) {
  for (const consumer of array<string>(consumers)) {
    for (let partition = 0; partition < db.partitions.length; partition++) {
      const key = keyOf(partition, consumer);
      const checkpoint = { consumer, partition, position: 0, failed_position: null, failed_type: null, error: null, attempts: 0, retry_at: null };
      yield* insertUnlessThere(db, tx, checkpointLock(consumer, partition), () => db.checkpoints.has(key), () => db.checkpoints.set(key, checkpoint));
    }
  }
  return [];
};

function withNews(db: SimulatedPostgres, consumers: unknown) {
  const now = db.now();
  return [...array<string>(consumers)].sort().flatMap((consumer) =>
    db.partitions.flatMap(({ head }, partition) => {
      const checkpoint = db.checkpoints.get(keyOf(partition, consumer));
      if (!checkpoint || checkpoint.position >= head) return [];
      return checkpoint.retry_at === null || checkpoint.retry_at <= now ? [checkpoint] : [];
    }),
  );
}

const claimCheckpoints: Model = (db, tx, [consumers]) =>
  withNews(db, consumers)
    .filter(({ consumer, partition }) => {
      const lock = checkpointLock(consumer, partition);
      const isFree = db.tryLock(tx, lock);
      if (isFree) tx.onlyLocked.add(lock);
      return isFree;
    })
    .map(({ consumer, partition, position, failed_position }) => {
      const { head } = db.partitions[partition]!;
      return { consumer, partition, position, head, failed: failed_position !== null };
    });

const lookForNews: Model = (db, _tx, [consumers]) => [{ now: new Date(db.now()), is_news: withNews(db, consumers).length > 0 }];

export const moveModel =
  (isWhereLeft: (position: number, from: number) => boolean): Model =>
  (db, tx, [consumers, partitions, from, to]) => {
    const columns = [array<number>(partitions), array<number>(from), array<number>(to)] as const;
    const rows = array<string>(consumers).map((consumer, index) => {
      const [partition, ...positions] = columns.map((column) => column[index]!) as [number, number, number];
      return { consumer, partition, positions };
    });
    for (const { consumer, partition, positions: [before, position] } of rows) {
      const lock = checkpointLock(consumer, partition);
      const checkpoint = db.checkpoints.get(keyOf(partition, consumer))!;
      if (!isWhereLeft(checkpoint.position, before) || !db.tryLock(tx, lock)) {
        throw new PostgresError('22P02', 'invalid input syntax for type boolean: "… checkpoints are where they were left"');
      }
      tx.onlyLocked.delete(lock);
      tx.write(() => {
        const cleared = { failed_position: null, failed_type: null, error: null, attempts: 0, retry_at: null };
        Object.assign(checkpoint, { position, ...cleared });
        db.changed.checkpoints.add(keyOf(partition, consumer));
      });
    }
    return [{ moved: true }];
  };

const recordFailure: Model = function* (db, tx, [consumer, partition, position, type, error]) {
  const now = db.now();
  yield checkpointLock(consumer as string, partition as number);
  const checkpoint = db.checkpoints.get(keyOf(partition as number, consumer as string))!;
  const { attempts } = checkpoint;
  const retry_at = now + Math.min(300, 2 ** Math.min(attempts, 16)) * 1_000;
  const failed = { failed_position: position, failed_type: type, error, attempts: attempts + 1, retry_at };
  tx.write(() => Object.assign(checkpoint, failed));
  return [];
};

const readEvents: Model = (db, _tx, [given, after, upTo, limit, passedOver]) => {
  const [positions, heads] = [array<number>(after), array<number>(upTo)];
  const wanted = array<number>(given).map((partition, index) => ({ partition, after: positions[index]!, head: heads[index]! }));
  const isWanted = ({ type }: { type: string }) => !array<string>(passedOver).includes(type);
  return wanted
    .sort((a, b) => a.partition - b.partition)
    .flatMap(({ partition, after, head }) => db.events[partition]!.slice(after, head).filter(isWanted).slice(0, limit as number))
    .map(({ partition, position, type, data, metadata, recordedAt }) => ({
      partition,
      position,
      type,
      data: JSON.stringify(data),
      metadata: JSON.stringify(metadata),
      recorded_at: new Date(recordedAt),
    }));
};

/** The test's own projection: notes what it has applied. */
const apply: Model = (db, tx, [consumer, partitions, positions]) => {
  const places = array<number>(partitions);
  const to = array<number>(positions);
  places.forEach((partition, index) => {
    if (db.isPoison(partition, to[index]!)) throw new PostgresError('22000', `event ${partition}@${to[index]} is poison`);
    tx.write(() => {
      const key = keyOf(partition, consumer as string);
      const applied = db.applied.get(key);
      if (applied) applied.push(to[index]!);
      else db.applied.set(key, [to[index]!]);
      db.changed.checkpoints.add(key);
    });
  });
  return [];
};

/** What each of the product's statements does, by the statement itself. */
export function modelsFor(partitions: number): Map<string, Model> {
  const models = new Map<string, Model>([
    [checkSql, check],
    [lockSql, lock],
    [fenceSql, fence],
    [whoIsThereSql, whoIsThere],
    ['SELECT 1', () => [{ '?column?': 1 }]],
    [acceptSql, accept],
    [storeSql, store],
    [claimSql, claim],
    [nextDueSql, nextDue],
    [retryLaterSql, retryLater],
    [giveBackSql, giveBack],
    [redriveSql, redriveModel(isFailed)],
    [wearOutSql, wearOut],
    [createCheckpointsSql, createCheckpoints],
    [claimCheckpointsSql, claimCheckpoints],
    [lookForNewsSql, lookForNews],
    [moveCheckpointsSql, moveModel((position, from) => position === from)],
    [recordFailureSql, recordFailure],
    [readEventsSql, readEvents],
    [applySql, apply],
  ]);
  for (let only = -1; only < partitions; only++) {
    models.set(refreshSql(only < 0 ? undefined : only), refresh);
  }
  return withAppend(models, appendModel(), partitions);
}

export function withAppend(models: ReadonlyMap<string, Model>, append: Model, partitions: number): Map<string, Model> {
  const others = new Map(models);
  for (const form of [appendSql, appendWithoutDeadlinesSql]) {
    for (let only = -1; only < partitions; only++) others.set(form(only < 0 ? undefined : only), append);
  }
  return others;
}
