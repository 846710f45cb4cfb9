import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CLUSTER, PROGRAM_ENVIRONMENT, findInstallation, run } from './postgres-installation.js';
import type { Installation } from './postgres-installation.js';

export interface EmbeddedPostgres {
  url: string;
  /** The wished directory, or the place that stands in for it (see postgres-installation.ts). */
  dataDir: string;
  /**
   * `fast` stops the server unless another process still uses it; `immediate` crashes it, whoever uses it: no
   * checkpoint, and the next start recovers from the write-ahead log.
   */
  stop(mode?: StopMode): Promise<void>;
}

type StopMode = 'fast' | 'immediate';

type Log = (line: string) => void;
type Settings = Record<string, string>;

interface Cluster {
  data: string;
  serverLog: string;
  password: string;
  installation: Installation;
}

interface Started {
  lease: pg.Client;
  port: number;
}

/** What `postmaster.pid` says; PostgreSQL keeps it up to date for exactly this purpose. */
interface PidFile {
  pid: number;
  port: number;
  ready: boolean;
}

const USER = 'rialto';
const DATABASE = 'rialto';
const START_TIMEOUT_MS = 300_000; // Recovery after a crash may read max_wal_size (1 GB) from a slow disk.
const STOP_TIMEOUT_SECONDS = 60;
const POLL_INTERVAL_MS = 20;
const LAUNCHES_MAX = 3;
const LOG_BYTES_MAX = 5_000_000;
const LEASE_KEY = 7_421_906;

/**
 * glibc gives memory back to the system as soon as 128 kB of it are free, so a backend gets and returns the same pages with
 * every statement that needs more: with 100,000 products a search took 1.2 ms of PostgreSQL's CPU, and takes 0.55. 8 MB are
 * the largest block that its own allocator asks for. The backends became no larger. (mallopt(3); other libraries ignore it.)
 */
const KEEP_FREED_MEMORY = { MALLOC_TRIM_THRESHOLD_: String(8 << 20), MALLOC_MMAP_THRESHOLD_: String(8 << 20) };

/**
 * A real PostgreSQL, with its default durability, for whoever has not got one.
 *
 * The server is a daemon of its own: it outlives a `kill -9` of this process, and the next start finds and
 * adopts it. No lock of ours arbitrates between processes that start at the same time; what PostgreSQL and
 * the file system guarantee is enough:
 *
 * - a cluster is built beside its place and renamed into it, so it is there complete or not at all, and of
 *   two builders one wins. What a killed one leaves behind is garbage with another name;
 * - of two servers for one data directory, PostgreSQL lets one live. The other's process ends, and the loop
 *   that launched it finds the winner in `postmaster.pid`;
 * - every user of the server holds a shared lease in it (an advisory lock, gone with its session); only who
 *   can take the lease alone stops the server. So a maintenance command never stops the database of a running
 *   application.
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  log?: Log;
  settings?: Settings;
}): Promise<EmbeddedPostgres> {
  const { dataDir, log = () => {}, settings = {} } = options;
  const installation = await findInstallation(resolve(dataDir), log);
  const cluster = await openCluster(installation);
  const { lease, port } = await startOrAdopt(cluster, settings, log);
  await createDatabase(lease);
  return {
    url: `postgres://${USER}:${cluster.password}@127.0.0.1:${port}/${DATABASE}`,
    dataDir: installation.home,
    stop: (mode = 'fast') => stop(cluster, lease, mode, log),
  };
}

async function openCluster(installation: Installation): Promise<Cluster> {
  const root = join(installation.home, CLUSTER);
  if (!existsSync(root)) await buildCluster(installation, root);
  try {
    return {
      // As the server itself will spell it: a link on the way must not make two directories of one.
      data: await fs.realpath(join(root, 'data')),
      serverLog: join(root, 'server.log'),
      password: await fs.readFile(join(root, 'password'), 'utf8'),
      installation,
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    const { uid } = await fs.stat(root);
    throw new Error(
      `The data in ${root} belongs to user ${uid}; start as that user, or set DATA_DIR or DATABASE_URL.`,
      { cause: error },
    );
  }
}

async function buildCluster({ home, bin, account }: Installation, root: string): Promise<void> {
  const staging = await fs.mkdtemp(`${root}.new-`);
  const passwordFile = join(staging, 'password');
  await fs.writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
  for (const path of [staging, passwordFile]) if (account) await fs.chown(path, account.uid, account.gid);

  const access = [`--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  // PostgreSQL's own C.UTF-8: on every machine, and an upgrade of the C library cannot reorder its indexes.
  const text = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const data = join(staging, 'data');
  const initdb = await run(join(bin, 'initdb'), [`--pgdata=${data}`, ...access, ...text], { account });
  try {
    if (initdb.code !== 0) throw new Error(`initdb failed:\n${initdb.output}`);
    await fs.rename(staging, root);
    await syncDirectory(home);
  } catch (error) {
    if (!existsSync(root)) throw error; // Otherwise another start was quicker.
  }
  // Now that the cluster stands, every other attempt is garbage, also one that is still being written.
  for (const name of await fs.readdir(home)) {
    if (!name.startsWith(`${CLUSTER}.new-`)) continue;
    await fs.rm(join(home, name), { recursive: true, force: true }).catch(() => {});
  }
}

/** Without it a power failure could undo the rename, and with it every commit made since. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await fs.open(path);
  await directory.sync().finally(() => directory.close());
}

async function startOrAdopt(cluster: Cluster, settings: Settings, log: Log): Promise<Started> {
  const startedAt = Date.now();
  const logStart = await trimLog(cluster);
  const fail = async (what: string) => {
    const said = await fs.readFile(cluster.serverLog).catch(() => Buffer.alloc(0));
    const lastLines = said.subarray(logStart).toString().trim().split('\n').slice(-12).join('\n');
    return new Error(`PostgreSQL in ${cluster.data} ${what}. Its last words:\n${lastLines}`);
  };

  let child: ChildProcess | undefined;
  let launches = 0;
  let toldToWait = false;
  while (Date.now() - startedAt < START_TIMEOUT_MS) {
    const pidFile = await readPidFile(cluster);
    const running = pidFile !== undefined && (await isServerOf(cluster, pidFile.pid));
    if (running && pidFile.ready) {
      const lease = await takeLease(cluster, pidFile.port);
      if (lease) {
        const how = pidFile.pid === child?.pid ? 'started' : 'was already running';
        log(`PostgreSQL ${how} on 127.0.0.1:${pidFile.port} (data in ${cluster.installation.home})`);
        return { lease, port: pidFile.port };
      }
    } else if (!running && (!child || hasEnded(child))) {
      if (launches === LAUNCHES_MAX) throw await fail('does not start');
      // The port of last time, unless that is what the last launch stumbled over.
      const port = await freePort(launches === 0 ? await lastPort(cluster) : undefined);
      child = await launch(cluster, { port: String(port), ...settings }, pidFile?.pid);
      launches += 1;
    }
    if (!toldToWait && Date.now() - startedAt > 5_000) {
      toldToWait = true;
      log('PostgreSQL is not ready yet; after a crash it recovers first');
    }
    await sleep(POLL_INTERVAL_MS);
  }
  throw await fail(`was not ready after ${START_TIMEOUT_MS / 1_000} s`);
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

async function launch(cluster: Cluster, settings: Settings, stalePid?: number): Promise<ChildProcess> {
  const { bin, account } = cluster.installation;
  const given = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings };
  const output = await fs.open(cluster.serverLog, 'a', 0o600);
  try {
    if (account) await output.chown(account.uid, account.gid);
    // Not through pg_ctl: it takes settings only as a shell string, and cannot pass the stale pid on.
    const child = spawn(
      join(bin, 'postgres'),
      ['-D', cluster.data, ...Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        cwd: '/',
        detached: true, // A session of its own: Ctrl-C in our terminal is for us, not for the server.
        stdio: ['ignore', output.fd, output.fd],
        env: {
          ...PROGRAM_ENVIRONMENT,
          ...KEEP_FREED_MEMORY,
          // A pid that a crash left in postmaster.pid may meanwhile be anybody's, which PostgreSQL would take
          // for a live server and refuse. This is how it learns of a pid that it need not fear; its check for
          // survivors that are still attached to the shared memory remains.
          ...(stalePid && { PG_GRANDPARENT_PID: String(stalePid) }),
        },
        uid: account?.uid,
        gid: account?.gid,
      },
    );
    await new Promise<void>((started, failed) => child.once('spawn', started).once('error', failed));
    child.unref();
    return child;
  } finally {
    await output.close();
  }
}

async function readPidFile(cluster: Cluster): Promise<PidFile | undefined> {
  const text = await fs.readFile(join(cluster.data, 'postmaster.pid'), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' } : undefined;
}

/** Whether the pid is alive and not somebody else's who got the number after a crash or a reboot. */
async function isServerOf(cluster: Cluster, pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  if (process.platform !== 'linux') return true;
  const commandLine = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes(`\0-D\0${cluster.data}\0`);
}

/** A session that keeps others from stopping the server; nothing if the server is about to go away. */
async function takeLease(cluster: Cluster, port: number): Promise<pg.Client | undefined> {
  const session = await connect(cluster, port).catch((error) => {
    const goingAway = ['ECONNREFUSED', 'ECONNRESET', '57P03', '57P01'].includes(error.code);
    if (goingAway || error.message === 'Connection terminated unexpectedly') return undefined;
    throw new Error(`PostgreSQL on 127.0.0.1:${port} refuses us: ${error.message}`, { cause: error });
  });
  if (!session) return undefined;
  const taken = await session
    .query('select pg_try_advisory_lock_shared($1) as taken', [LEASE_KEY])
    .then(({ rows }) => rows[0].taken, () => false);
  if (taken) return session;
  await session.end().catch(() => {});
  return undefined;
}

async function connect(cluster: Cluster, port: number): Promise<pg.Client> {
  const session = new pg.Client({
    host: '127.0.0.1',
    port,
    user: USER,
    password: cluster.password,
    // Not the application's, which this session would keep from being dropped or used as a template.
    database: 'postgres',
    application_name: 'rialto lease',
    connectionTimeoutMillis: 10_000,
  });
  session.on('error', () => {}); // The server has gone; whoever works with it will notice.
  await session.connect();
  return session;
}

async function createDatabase(session: pg.Client): Promise<void> {
  const existing = await session.query('select from pg_database where datname = $1', [DATABASE]);
  if (existing.rowCount === 1) return;
  await session.query(`create database ${DATABASE}`).catch((error) => {
    if (!['42P04', '23505'].includes(error.code)) throw error; // Another start was quicker.
  });
}

async function stop(cluster: Cluster, lease: pg.Client, mode: StopMode, log: Log): Promise<void> {
  if (mode === 'fast' && !(await isLastUser(lease))) {
    await lease.end();
    log('PostgreSQL keeps running for another process that uses it');
    return;
  }
  const { bin, account } = cluster.installation;
  const stopped = await run(
    join(bin, 'pg_ctl'),
    ['stop', '-D', cluster.data, '-m', mode, '-w', '-t', String(STOP_TIMEOUT_SECONDS)],
    { account },
  );
  await lease.end().catch(() => {});
  if (stopped.code === 0) return;
  // pg_ctl also complains about a server that was not running any more, which is what we want.
  const pid = (await readPidFile(cluster))?.pid;
  if (pid && (await isServerOf(cluster, pid))) throw new Error(`PostgreSQL does not stop: ${stopped.output}`);
}

/** If so, nobody can take a lease from now on: who starts meanwhile waits until the server is gone. */
async function isLastUser(lease: pg.Client): Promise<boolean> {
  try {
    await lease.query('select pg_advisory_unlock_shared($1)', [LEASE_KEY]);
    const alone = await lease.query('select pg_try_advisory_lock($1) as taken', [LEASE_KEY]);
    return alone.rows[0].taken;
  } catch {
    return true; // The lease was lost with a crash of the server.
  }
}

/** Where this start begins in the log, after putting a long log of earlier starts aside. */
async function trimLog({ serverLog }: Cluster): Promise<number> {
  const bytes = (await fs.stat(serverLog).catch(() => undefined))?.size ?? 0;
  if (bytes < LOG_BYTES_MAX) return bytes;
  await fs.rename(serverLog, `${serverLog}.1`);
  return 0;
}

/** PostgreSQL notes the command line of its last start. */
async function lastPort(cluster: Cluster): Promise<number | undefined> {
  const commandLine = await fs.readFile(join(cluster.data, 'postmaster.opts'), 'utf8').catch(() => '');
  const port = /"port=(\d+)"/.exec(commandLine)?.[1];
  return port === undefined ? undefined : Number(port);
}

/**
 * Below the range from which systems take the ports of outgoing connections: there, a client that keeps
 * trying to reach a stopped server would sooner or later be given that very port and connect to itself.
 */
async function freePort(preferred?: number): Promise<number> {
  const candidates = Array.from({ length: 20 }, () => randomInt(20_000, 30_000));
  for (const port of preferred === undefined ? candidates : [preferred, ...candidates]) {
    if (await isFree(port)) return port;
  }
  throw new Error('No free port for PostgreSQL found between 20000 and 30000');
}

const isFree = (port: number) =>
  new Promise<boolean>((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
