import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { findProgram } from '../../src/cli/topology/service.js';
import { faultPoints } from '../../src/platform/fault-points.js';
import type { PostgresServer } from '../support/postgres-server.js';
import type { Cut } from '../support/tcp-proxy.js';
import type { Dice } from './dice.js';
import type { Fault } from './history.js';
import { postgresPids, type System, type TorturedNode } from './system.js';

/** A fault that has begun. */
export interface Ongoing {
  /** Whom it was done to. */
  readonly target: string;
  readonly details?: Fault['details'];
  /**
   * Undoes it, and resolves when whoever it was done to is there again; with what is known of it only then. Absent: there
   * is nothing to undo.
   */
  heal?(): Promise<Fault['details'] | void>;
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

type Terms = Pick<FaultKind, 'name' | 'weight' | 'lastsMs'>;

/** Faults that have in common whom they are done to, and what has to be there for it. */
function faultsOf<T>(isPossible: FaultKind['isPossible'], choose: (system: System, dice: Dice) => readonly [target: string, it: T]) {
  return (terms: Terms, begin: (it: T, dice: Dice) => Promise<Omit<Ongoing, 'target'>>): FaultKind => ({
    ...terms,
    isPossible,
    async begin(system, dice) {
      const [target, it] = choose(system, dice);
      return { target, ...(await begin(it, dice)) };
    },
  });
}

const always = () => true;

// ---- Processes

const anyNode = ({ nodes }: System, dice: Dice): [string, TorturedNode] => {
  const node = dice.oneOf(nodes);
  return [node.name, node];
};
const ofNode = faultsOf(always, anyNode);

const killNode = ofNode({ name: 'process-kill', weight: 4, lastsMs: [0, 2_000] }, async ({ process }) => {
  await process.kill();
  return { heal: () => process.start() };
});

// Longer than a worker may keep a command of the inbox, at times: then others run it, and so does this one.
const freezeNode = ofNode({ name: 'process-freeze', weight: 3, lastsMs: [500, 5_000] }, async ({ process }) => {
  process.freeze();
  return { heal: async () => process.thaw() };
});

const stopNode = ofNode({ name: 'process-stop', weight: 1, lastsMs: [0, 1_000] }, async ({ process }) => {
  const exitCode = await process.stop();
  return { details: { exitCode }, heal: () => process.start() };
});

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

/** Of one node alone: it disagrees with all others meanwhile, and with its own past. */
const jumpClock = faultsOf(({ nodes }) => nodes.every(({ hasClock }) => hasClock), anyNode)(
  { name: 'clock-jump', weight: 2, lastsMs: [2_000, 5_000] },
  async (node, dice) => {
    const seconds = dice.oneOf([-3_600, -120, -5, 5, 120, 3_600]);
    await node.setClock(seconds);
    return { details: { seconds }, heal: () => node.setClock(0) };
  },
);

const ofNginx = faultsOf(({ edge }) => edge !== undefined, ({ edge }) => ['nginx', edge!.nginx]);

const killNginx = ofNginx({ name: 'nginx-kill', weight: 2, lastsMs: [0, 2_000] }, async (nginx) => {
  await nginx.service.killGroup();
  return { heal: () => nginx.start() };
});

// ---- PostgreSQL

const ofPostgres = faultsOf(always, (system) => ['postgres', system]);

const crashPostgres = ofPostgres({ name: 'postgres-crash', weight: 2, lastsMs: [0, 3_000] }, async ({ postgres }) => {
  await postgres.crash();
  return { heal: () => postgres.start() };
});

const freezePostgres = ofPostgres({ name: 'postgres-freeze', weight: 1, lastsMs: [500, 4_000] }, async ({ postgres }) => {
  const pids = await postgresPids(postgres);
  const signal = (name: NodeJS.Signals) => pids.forEach((pid) => spawnSync('kill', [`-${name.slice(3)}`, String(pid)]));
  signal('SIGSTOP');
  return { heal: async () => signal('SIGCONT') };
});

const loseBackends = ofPostgres({ name: 'postgres-lost-backends', weight: 2, lastsMs: [0, 100] }, async ({ pool }, dice) => {
  const share = dice.oneOf([0.2, 0.5, 1]);
  const { rowCount } = await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rialto %' AND datname = current_database() AND random() < $1`,
    [share],
  );
  return { details: { backends: rowCount } };
});

// ---- What PostgreSQL wants to have on disk

const ofFsync = faultsOf(() => findProgram('strace') !== undefined && process.getuid?.() === 0, ({ postgres }) => ['postgres', postgres]);

const delayFsync = ofFsync({ name: 'postgres-slow-fsync', weight: 1, lastsMs: [3_000, 6_000] }, async (postgres, dice) => {
  const delayMs = dice.between(10, 60);
  return { details: { delayMs }, heal: await injectIntoFsync(postgres, `delay_exit=${delayMs * 1_000}`) };
});

/** What is in memory is worth nothing then: PostgreSQL gives up, and recovers from its log. */
const failFsync = ofFsync({ name: 'postgres-fsync-error', weight: 1, lastsMs: [1_000, 4_000] }, async (postgres, dice) => {
  const call = dice.between(1, 8); // Of each process its own.
  const recover = await beforePanic(postgres);
  const letGo = await injectIntoFsync(postgres, `error=EIO:when=${call}`);
  return { details: { call }, heal: () => letGo().then(recover) };
});

/** Something happens at every fsync of PostgreSQL's processes, and of those that they start, until it is called off. */
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

/**
 * To be called when what makes it give up is over. It recovers by itself, unless it could not while that lasted: then it
 * has ended, and is started.
 */
async function beforePanic(postgres: PostgresServer): Promise<() => Promise<{ panics: number }>> {
  const panics = async () => (await readFile(join(postgres.clusterDir, '..', 'server.log'), 'utf8')).split('PANIC:').length - 1;
  const before = await panics();
  return async () => {
    const since = (await panics()) - before;
    if (since > 0) await postgres.start();
    return { panics: since };
  };
}

/** Nothing more can be written: PostgreSQL gives up in the middle of whatever it is doing. */
const fillDisk = faultsOf(({ disk }) => disk !== undefined, (system) => ['disk', system])(
  { name: 'postgres-full-disk', weight: 1, lastsMs: [1_000, 4_000] },
  async ({ disk, postgres }) => {
    const { empty, ...full } = await fill(disk!);
    return {
      ...full,
      async heal() {
        await empty();
        // It may have ended, or be about to; what it has lost nothing of is found by starting again.
        await postgres.crash();
        await postgres.start();
      },
    };
  },
);

/** Nothing more can be written to the write-ahead log. */
const fillWal = faultsOf(({ walDisk }) => walDisk !== undefined, (system) => ['disk', system])(
  { name: 'postgres-full-wal', weight: 1, lastsMs: [500, 3_000] },
  async ({ walDisk, postgres, pool }) => {
    const recover = await beforePanic(postgres);
    const { empty, ...full } = await fill(walDisk!);
    await useUpWal(pool);
    return { ...full, heal: () => empty().then(recover) };
  },
);

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

async function fill(disk: string): Promise<{ details: { megabytes: number }; empty(): Promise<void> }> {
  const ballast = join(disk, 'ballast');
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
  return { details: { megabytes: Math.round(bytes / 1_048_576) }, empty: () => rm(ballast) };
}

// ---- Redis

const ofRedis = faultsOf(({ redis }) => redis !== undefined, ({ redis }) => ['redis', redis!]);

const flushRedis = ofRedis({ name: 'redis-flush', weight: 1, lastsMs: [0, 100] }, async (redis) => {
  await redis.command('FLUSHALL');
  return {};
});

const killRedis = ofRedis({ name: 'redis-kill', weight: 1, lastsMs: [0, 3_000] }, async (redis) => {
  await redis.kill();
  return { heal: () => redis.start() };
});

const freezeRedis = ofRedis({ name: 'redis-freeze', weight: 1, lastsMs: [500, 5_000] }, async (redis) => {
  redis.freeze();
  return { heal: async () => redis.thaw() };
});

const fillRedis = ofRedis({ name: 'redis-full', weight: 1, lastsMs: [500, 4_000] }, async (redis) => {
  await redis.command('CONFIG', 'SET', 'maxmemory', '1');
  return { heal: async () => void (await redis.command('CONFIG', 'SET', 'maxmemory', '0')) };
});

/** It answers what it knows, and takes nothing new: as the replica of a server that nobody reaches. */
const makeRedisReadOnly = ofRedis({ name: 'redis-read-only', weight: 1, lastsMs: [500, 4_000] }, async (redis) => {
  await redis.command('REPLICAOF', '127.0.0.1', 1);
  return { heal: async () => void (await redis.command('REPLICAOF', 'NO', 'ONE')) };
});

// ---- Links

const ofLink = faultsOf(always, ({ links }, dice) => {
  const { target, proxy } = dice.oneOf(links);
  return [target, proxy];
});

const slowLink = ofLink({ name: 'link-slow', weight: 2, lastsMs: [1_000, 4_000] }, async (link, dice) => {
  link.delayMs = dice.between(5, 300);
  return { details: { delayMs: link.delayMs }, heal: async () => void (link.delayMs = 0) };
});

const cutLink = ofLink({ name: 'link-cut', weight: 2, lastsMs: [0, 100] }, async (link) => {
  link.cutAll();
  return {};
});

const refuseLink = ofLink({ name: 'link-refused', weight: 2, lastsMs: [200, 4_000] }, async (link) => {
  link.refuse();
  return { heal: async () => link.allow() };
});

/** Nothing comes back, and nobody is told: whoever waits has to notice by himself. */
const blackHole = ofLink({ name: 'link-black-hole', weight: 2, lastsMs: [500, 5_000] }, async (link) => {
  link.swallow();
  return { heal: async () => link.carry() };
});

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
    healed((await ongoing.heal?.()) ?? undefined);
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
