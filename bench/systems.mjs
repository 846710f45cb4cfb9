import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * Everything a run starts: PostgreSQL, the servers, the load processes. Each start leaves its stop on one
 * stack, and `stopAll` takes them down in reverse, however the run ends.
 */
const stops = [];
let ending = false;

export function atEnd(stop) {
  stops.push(stop);
  // The run was interrupted while this was being started.
  if (ending) void stopAll();
}

function alreadyEnded(stop) {
  const index = stops.indexOf(stop);
  if (index !== -1) stops.splice(index, 1);
}

export async function stopAll() {
  ending = true;
  while (stops.length > 0) {
    try {
      await stops.pop()();
    } catch (error) {
      console.error(`while stopping: ${error.message}`);
    }
  }
}

export const root = fileURLToPath(new URL('..', import.meta.url));
export const here = (file) => fileURLToPath(new URL(file, import.meta.url));

let directory;
/** A directory of this run's own. Others may enter: PostgreSQL runs as another user when we are root. */
export function runDirectory() {
  if (directory === undefined) {
    directory = mkdtempSync(path.join(os.tmpdir(), 'rialto-bench-'));
    chmodSync(directory, 0o755);
    atEnd(() => rmSync(directory, { recursive: true, force: true }));
  }
  return directory;
}

let nextPort = 5_700;
/** The next port that nobody listens on. */
export async function freePort() {
  for (;;) {
    const port = nextPort++;
    const probe = net.createServer().listen(port, '127.0.0.1');
    try {
      await once(probe, 'listening');
    } catch {
      continue;
    }
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

/**
 * Starts a Node program, waits for the line that ends in `ready on http://<host>:<port>`, and resolves with
 * its address. The environment is only what is given, so that nobody's shell changes what is measured; the
 * output goes to a file, because a pipe would cost this process CPU while the load runs.
 */
export async function startServer(name, args, env) {
  const logFile = path.join(runDirectory(), `${name}-${stops.length}.log`);
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let stopping = false;
  const ended = once(child, 'exit').then(([code, signal]) => {
    if (!stopping) console.error(`${name} ended by itself (${signal ?? code}):\n${server.log().slice(-2_000)}`);
  });
  const server = {
    name,
    pid: child.pid,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      stopping = true;
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(patience);
    },
    log: () => readFileSync(logFile, 'utf8'),
  };
  atEnd(server.stop);
  for (const giveUp = Date.now() + 60_000; Date.now() < giveUp; await sleep(50)) {
    const ready = /ready on http:\/\/([^\s:"]+):(\d+)/.exec(server.log());
    if (ready) return Object.assign(server, { host: ready[1], port: Number(ready[2]) });
    if (child.exitCode !== null) break;
  }
  throw new Error(`${name} did not start`);
}

/** Runs one load in a process of its own. A load that does not end by its time is an error, not a result. */
export async function runLoad(job) {
  // Without the flags that this process has for the nodes it starts.
  const child = fork(here('load.mjs'), { execArgv: [] });
  const stop = () => child.kill('SIGKILL');
  atEnd(stop);
  const limitMs = job.count ? 900_000 : (job.warmMs ?? 0) + job.measureMs + 30_000;
  const timer = setTimeout(stop, limitMs);
  try {
    child.send(job);
    const [result] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`the load of ${job.traffic} ended without a result, or took over ${limitMs} ms`);
      }),
    ]);
    return result;
  } finally {
    clearTimeout(timer);
    stop();
    alreadyEnded(stop);
  }
}

/** Where a PostgreSQL client program is: on the PATH, or where Debian puts it. */
export function findProgram(name) {
  const debian = '/usr/lib/postgresql';
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin'];
  if (existsSync(debian)) folders.push(...readdirSync(debian).map((version) => `${debian}/${version}/bin`));
  return folders.map((folder) => path.join(folder, name)).find(existsSync);
}

/** Runs a program to its end and resolves with what it printed. */
export async function runProgram(program, args, limitMs = 300_000) {
  const running = promisify(execFile)(program, args, { timeout: limitMs });
  const stop = () => running.child.kill('SIGKILL');
  atEnd(stop);
  try {
    return (await running).stdout;
  } finally {
    alreadyEnded(stop);
  }
}
