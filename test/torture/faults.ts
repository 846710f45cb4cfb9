import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { findProgram } from '../../src/cli/topology/service.js';
import { faultPoints } from '../../src/platform/fault-points.js';
import type { PostgresServer } from '../support/postgres-server.js';
import type { Cut } from '../support/tcp-proxy.js';
import type { Dice } from './dice.js';
import type { Fault } from './history.js';
import { postgresPids, type System } from './system.js';

/** A fault that has begun. */
export interface Ongoing {
  /** Whom it was done to. */
  readonly target: string;
  readonly details?: Fault['details'];
  /** Undoes it, and resolves when whoever it was done to is there again; with what is known of it only then. */
  heal(): Promise<Fault['details'] | void>;
}

export interface FaultKind {
  readonly name: string;
  /** How often it is chosen, among the others. */
  readonly weight: number;
  /** How long it lasts, in milliseconds, at least and at most. */
  readonly lastsMs: readonly [number, number];
  /** Whether it can be done to this system, on this machine. */
  isPossible(system: System): boolean;
  begin(system: System, dice: Dice): Promise<Ongoing>;
}

const always = () => true;
const withRedis = ({ redis }: System) => redis !== undefined;
const anyNode = ({ nodes }: System, dice: Dice) => dice.oneOf(nodes);

// ---- Processes

const killNode: FaultKind = {
  name: 'process-kill',
  weight: 4,
  lastsMs: [0, 2_000],
  isPossible: always,
  async begin(system, dice) {
    const node = anyNode(system, dice);
    await node.process.kill();
    return { target: node.name, heal: () => node.process.start() };
  },
};

const freezeNode: FaultKind = {
  name: 'process-freeze',
  weight: 3,
  // Longer than a worker may keep a command of the inbox, at times: then others run it, and so does this one.
  lastsMs: [500, 5_000],
  isPossible: always,
  async begin(system, dice) {
    const node = anyNode(system, dice);
    node.process.freeze();
    return { target: node.name, heal: async () => node.process.thaw() };
  },
};

const stopNode: FaultKind = {
  name: 'process-stop',
  weight: 1,
  lastsMs: [0, 1_000],
  isPossible: always,
  async begin(system, dice) {
    const node = anyNode(system, dice);
    const exitCode = await node.process.stop();
    return { target: node.name, details: { exitCode }, heal: () => node.process.start() };
  },
};

/** The process dies where it says that it is most vulnerable; or goes on, when it does not come by in time. */
const dieAtPoint: FaultKind = {
  name: 'process-kill-at-point',
  weight: 4,
  lastsMs: [1_000, 3_000],
  isPossible: always,
  async begin(system, dice) {
    const point = dice.oneOf(faultPoints);
    const side = point.startsWith('consumers') && dice.percent(50) ? 'queries' : 'commands';
    const node = dice.oneOf(system.serving(side));
    const passes = dice.between(1, 20);
    await node.dieAt(point, passes);
    return {
      target: node.name,
      details: { point, passes },
      async heal() {
        // Also one that did not come by: what is armed does not outlive the fault.
        await node.process.kill();
        await node.process.start();
      },
    };
  },
};

const jumpClock: FaultKind = {
  name: 'clock-jump',
  weight: 2,
  lastsMs: [2_000, 5_000],
  isPossible: ({ nodes }) => nodes.every(({ hasClock }) => hasClock),
  async begin(system, dice) {
    const node = anyNode(system, dice);
    const seconds = dice.oneOf([-3_600, -120, -5, 5, 120, 3_600]);
    await node.setClock(seconds);
    return { target: node.name, details: { seconds }, heal: () => node.setClock(0) };
  },
};

const killNginx: FaultKind = {
  name: 'nginx-kill',
  weight: 2,
  lastsMs: [0, 2_000],
  isPossible: ({ edge }) => edge !== undefined,
  async begin({ edge }) {
    await edge!.nginx.service.killGroup();
    return { target: 'nginx', heal: () => edge!.nginx.start() };
  },
};

// ---- PostgreSQL

const crashPostgres: FaultKind = {
  name: 'postgres-crash',
  weight: 2,
  lastsMs: [0, 3_000],
  isPossible: always,
  async begin({ postgres }) {
    await postgres.crash();
    return { target: 'postgres', heal: () => postgres.start() };
  },
};

const freezePostgres: FaultKind = {
  name: 'postgres-freeze',
  weight: 1,
  lastsMs: [500, 4_000],
  isPossible: always,
  async begin({ postgres }) {
    const pids = await postgresPids(postgres);
    const signal = (name: NodeJS.Signals) => pids.forEach((pid) => spawnSync('kill', [`-${name.slice(3)}`, String(pid)]));
    signal('SIGSTOP');
    return { target: 'postgres', heal: async () => signal('SIGCONT') };
  },
};

const loseBackends: FaultKind = {
  name: 'postgres-lost-backends',
  weight: 2,
  lastsMs: [0, 100],
  isPossible: always,
  async begin({ pool }, dice) {
    const share = dice.oneOf([0.2, 0.5, 1]);
    const { rowCount } = await pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rialto %' AND datname = current_database() AND random() < $1`,
      [share],
    );
    return { target: 'postgres', details: { backends: rowCount }, heal: () => Promise.resolve() };
  },
};

const delayFsync: FaultKind = {
  name: 'postgres-slow-fsync',
  weight: 1,
  lastsMs: [3_000, 6_000],
  isPossible: canInject,
  async begin({ postgres }, dice) {
    const delayMs = dice.between(10, 60);
    const heal = await injectIntoFsync(postgres, `delay_exit=${delayMs * 1_000}`);
    return { target: 'postgres', details: { delayMs }, heal };
  },
};

/** The disk does not take what it was given: what is in memory is worth nothing then, so PostgreSQL gives up and recovers. */
const failFsync: FaultKind = {
  name: 'postgres-fsync-error',
  weight: 1,
  lastsMs: [1_000, 4_000],
  isPossible: canInject,
  async begin({ postgres }, dice) {
    // Of each process its own.
    const call = dice.between(1, 20);
    const panicsBefore = await panicsOf(postgres);
    const letGo = await injectIntoFsync(postgres, `error=EIO:when=${call}`);
    return {
      target: 'postgres',
      details: { call },
      async heal() {
        await letGo();
        return recover(postgres, panicsBefore);
      },
    };
  },
};

function canInject(): boolean {
  return findProgram('strace') !== undefined && process.getuid?.() === 0;
}

/** Something happens to what PostgreSQL's processes, and those that it starts, want to have on disk; until it is called off. */
async function injectIntoFsync(postgres: PostgresServer, what: string): Promise<() => Promise<void>> {
  const attach = (await postgresPids(postgres)).flatMap((pid) => ['-p', String(pid)]);
  const inject = ['-e', 'trace=fdatasync,fsync', '-e', `inject=fdatasync,fsync:${what}`];
  const strace = spawn('strace', ['-f', '-qq', '-o', '/dev/null', ...inject, ...attach], { stdio: 'ignore' });
  await once(strace, 'spawn');
  return async () => {
    if (strace.exitCode !== null || strace.signalCode !== null) return;
    const ended = once(strace, 'exit');
    strace.kill('SIGINT'); // It lets go of what it has attached to; killed, it might not.
    await ended;
  };
}

/** How often it has given up, by its log. */
async function panicsOf({ clusterDir }: PostgresServer): Promise<number> {
  return (await readFile(join(clusterDir, '..', 'server.log'), 'utf8')).split('PANIC:').length - 1;
}

/** It recovers by itself, unless it could not while the fault lasted: then it has ended. */
async function recover(postgres: PostgresServer, panicsBefore: number): Promise<{ panics: number }> {
  const panics = (await panicsOf(postgres)) - panicsBefore;
  if (panics > 0) await postgres.start();
  return { panics };
}

/** Nothing more can be written: PostgreSQL gives up in the middle of whatever it is doing. */
const fillDisk: FaultKind = {
  name: 'postgres-full-disk',
  weight: 1,
  lastsMs: [1_000, 4_000],
  isPossible: ({ disk }) => disk !== undefined,
  async begin({ disk, postgres }) {
    const ballast = join(disk!, 'ballast');
    const filled = await fill(disk!, ballast);
    return {
      target: 'disk',
      details: { megabytes: Math.round(filled / 1_048_576) },
      async heal() {
        await rm(ballast);
        // It may have ended, or be about to; what it has lost nothing of is found by starting again.
        await postgres.crash();
        await postgres.start();
      },
    };
  },
};

/** Nothing more can be written to the write-ahead log. */
const fillWal: FaultKind = {
  name: 'postgres-full-wal',
  weight: 1,
  lastsMs: [500, 3_000],
  isPossible: ({ walDisk }) => walDisk !== undefined,
  async begin({ walDisk, postgres, pool }) {
    const panicsBefore = await panicsOf(postgres);
    const ballast = join(walDisk!, 'ballast');
    const filled = await fill(walDisk!, ballast);
    await useUpWal(pool);
    return {
      target: 'disk',
      details: { megabytes: Math.round(filled / 1_048_576) },
      async heal() {
        await rm(ballast);
        return recover(postgres, panicsBefore);
      },
    };
  },
};

/** There are files of it for later: as soon as they are used too, a new one is needed, and can not be made. */
async function useUpWal(pool: pg.Pool): Promise<void> {
  for (let files = 0; files < 50; files++) {
    try {
      await pool.query(`SELECT pg_logical_emit_message(false, 'torture', 'x'), pg_switch_wal()`);
    } catch {
      return;
    }
  }
}

async function fill(disk: string, ballast: string): Promise<number> {
  const file = await open(ballast, 'w');
  const block = Buffer.alloc(1_048_576);
  let bytes = 0;
  try {
    for (;;) bytes += (await file.write(block)).bytesWritten;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await file.close();
  }
  const { bavail } = await statfs(disk);
  if (bavail > 256) throw new Error(`the disk is not full: ${bavail} blocks are left`);
  return bytes;
}

// ---- Redis

const flushRedis: FaultKind = {
  name: 'redis-flush',
  weight: 1,
  lastsMs: [0, 100],
  isPossible: withRedis,
  async begin({ redis }) {
    await redis!.command('FLUSHALL');
    return { target: 'redis', heal: () => Promise.resolve() };
  },
};

const killRedis: FaultKind = {
  name: 'redis-kill',
  weight: 1,
  lastsMs: [0, 3_000],
  isPossible: withRedis,
  async begin({ redis }) {
    await redis!.kill();
    return { target: 'redis', heal: () => redis!.start() };
  },
};

const freezeRedis: FaultKind = {
  name: 'redis-freeze',
  weight: 1,
  lastsMs: [500, 5_000],
  isPossible: withRedis,
  async begin({ redis }) {
    redis!.freeze();
    return { target: 'redis', heal: async () => redis!.thaw() };
  },
};

const fillRedis: FaultKind = {
  name: 'redis-full',
  weight: 1,
  lastsMs: [500, 4_000],
  isPossible: withRedis,
  async begin({ redis }) {
    await redis!.command('CONFIG', 'SET', 'maxmemory', '1');
    return { target: 'redis', heal: async () => void (await redis!.command('CONFIG', 'SET', 'maxmemory', '0')) };
  },
};

/** It answers what it knows, and takes nothing new: as the replica of a server that nobody reaches. */
const makeRedisReadOnly: FaultKind = {
  name: 'redis-read-only',
  weight: 1,
  lastsMs: [500, 4_000],
  isPossible: withRedis,
  async begin({ redis }) {
    await redis!.command('REPLICAOF', '127.0.0.1', 1);
    return { target: 'redis', heal: async () => void (await redis!.command('REPLICAOF', 'NO', 'ONE')) };
  },
};

// ---- Links

const slowLink: FaultKind = {
  name: 'link-slow',
  weight: 2,
  lastsMs: [1_000, 4_000],
  isPossible: always,
  async begin(system, dice) {
    const { target, proxy } = dice.oneOf(system.links);
    proxy.delayMs = dice.between(5, 300);
    const details = { delayMs: proxy.delayMs };
    return { target, details, heal: async () => void (proxy.delayMs = 0) };
  },
};

const cutLink: FaultKind = {
  name: 'link-cut',
  weight: 2,
  lastsMs: [0, 100],
  isPossible: always,
  async begin(system, dice) {
    const { target, proxy } = dice.oneOf(system.links);
    proxy.cutAll();
    return { target, heal: () => Promise.resolve() };
  },
};

const refuseLink: FaultKind = {
  name: 'link-refused',
  weight: 2,
  lastsMs: [200, 4_000],
  isPossible: always,
  async begin(system, dice) {
    const { target, proxy } = dice.oneOf(system.links);
    proxy.refuse();
    return { target, heal: async () => proxy.allow() };
  },
};

/** Nothing comes back, and nobody is told: whoever waits has to notice by himself. */
const blackHole: FaultKind = {
  name: 'link-black-hole',
  weight: 2,
  lastsMs: [500, 5_000],
  isPossible: always,
  async begin(system, dice) {
    const { target, proxy } = dice.oneOf(system.links);
    proxy.swallow();
    return { target, heal: async () => proxy.carry() };
  },
};

const cuts: readonly (Omit<Cut, 'lost'> & { readonly of: 'commands' | 'queries' })[] = [
  { of: 'commands', connection: 'rialto writer', sent: 'append' },
  { of: 'commands', connection: 'rialto log', sent: 'accept-commands' },
  { of: 'commands', connection: 'rialto log', sent: 'claim-commands' },
  { of: 'commands', connection: 'rialto sagas', sent: 'COMMIT' },
  { of: 'queries', connection: 'rialto projections', sent: 'COMMIT' },
  { of: 'commands', connection: 'HTTP/1.1', sent: 'POST /v1/', isAnsweredAtOnce: true },
];

/** One message, or what is said to it, is lost together with its connection. */
const cutAtMessage: FaultKind = {
  name: 'link-cut-at-message',
  weight: 4,
  lastsMs: [300, 1_500],
  isPossible: always,
  async begin(system, dice) {
    const { of, ...message } = dice.oneOf(cuts);
    const cut = { ...message, lost: dice.oneOf(['answer', 'fate', 'message'] as const) };
    const names = [...system.serving(of).map(({ name }) => name), 'nginx'];
    const targets = names.map((name) => `${name}/${cut.isAnsweredAtOnce ? 'http' : 'database'}`);
    const { target, proxy } = dice.oneOf(system.links.filter((link) => targets.includes(link.target)));
    let hasCome = false;
    void proxy.cutOnce(cut).then(() => (hasCome = true));
    return {
      target,
      details: cut,
      async heal() {
        // What has not come by by then is let through.
        if (!hasCome) proxy.cutNothing();
      },
    };
  },
};

export const faultKinds: readonly FaultKind[] = [
  ...[killNode, freezeNode, stopNode, dieAtPoint, jumpClock, killNginx],
  ...[crashPostgres, freezePostgres, loseBackends, delayFsync, failFsync, fillDisk, fillWal],
  ...[flushRedis, killRedis, freezeRedis, fillRedis, makeRedisReadOnly],
  ...[slowLink, cutLink, refuseLink, blackHole, cutAtMessage],
];

/** Begins one fault after the other, now and then two at once, until it is told to stop; then all are healed. */
export async function torment(
  system: System,
  kinds: readonly FaultKind[],
  dice: Dice,
  signal: AbortSignal,
  begin: (kind: FaultKind, ongoing: Ongoing) => (more: Fault['details']) => void,
): Promise<void> {
  const possible = kinds.filter((kind) => kind.isPossible(system));
  if (possible.length === 0) return;
  const one = async (kind: FaultKind) => {
    const ongoing = await kind.begin(system, dice);
    const healed = begin(kind, ongoing);
    await sleep(dice.between(...kind.lastsMs), undefined, { signal }).catch(() => undefined);
    healed((await ongoing.heal()) ?? undefined);
  };
  while (!signal.aborted) {
    const first = dice.weighted(possible);
    // Not two that undo each other: what is done to one server or process at a time is one thing.
    const others = possible.filter(({ name }) => name.split('-')[0] !== first.name.split('-')[0]);
    const both = dice.percent(25) && others.length > 0 ? [first, dice.weighted(others)] : [first];
    await Promise.all(both.map(one));
    // Long enough for all to be well again, mostly: what is not is found by the next fault.
    await sleep(dice.between(500, 3_000), undefined, { signal }).catch(() => undefined);
  }
}
