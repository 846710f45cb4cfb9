import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Makes a clone ready to run: dependencies as the lock file says, and dist/ as the sources say. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

const LOCK = join(root, '.rialto', 'prepare.lock');
const BUILD_STAMP = join(root, 'dist', '.inputs');

export async function prepare() {
  requireNode(20, 19);
  if ((await isInstalled()) && (await isBuilt())) return;
  await alone(async () => {
    // Asked again: whoever held the lock before us may have done it.
    if (!(await isInstalled())) await install();
    if (!(await isBuilt())) await build();
  });
}

function requireNode(major, minor) {
  const [ourMajor, ourMinor] = process.versions.node.split('.').map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  giveUp(`Rialto needs Node.js ${major}.${minor} or newer; this is ${process.versions.node}.`);
}

export function giveUp(line) {
  console.error(line);
  process.exit(1);
}

/**
 * npm notes what it has put into node_modules, as the last step of an installation. Compared with the lock
 * file that is a stamp nobody has to write: it also holds for an `npm ci` by hand, and not for one that was
 * interrupted.
 */
async function isInstalled() {
  const [wanted, installed] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map(async (file) => {
      const text = await readFile(join(root, file), 'utf8').catch(() => '{}');
      return JSON.parse(text).packages ?? {};
    }),
  );
  // npm leaves out optional packages of other platforms.
  const missing = ([path, { optional }]) => path !== '' && !optional && !installed[path];
  const differs = ([path, { version, integrity }]) =>
    wanted[path]?.version !== version || wanted[path]?.integrity !== integrity;
  return (
    Object.keys(installed).length > 0 &&
    !Object.entries(wanted).some(missing) &&
    !Object.entries(installed).some(differs)
  );
}

async function install() {
  // The npm that runs us, if one does. Development dependencies hold the compiler, so NODE_ENV must not omit
  // them.
  const npm = process.env.npm_execpath;
  const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const args = [...first, 'ci', '--include=dev', '--no-audit', '--no-fund'];
  await step('Installing dependencies', program, args);
}

async function isBuilt() {
  return (await readFile(BUILD_STAMP, 'utf8').catch(() => '')) === (await inputHash());
}

async function build() {
  const hash = await inputHash(); // Before: what is edited during the build must be built again.
  await step('Building', process.execPath, [join(root, 'node_modules/@nestjs/cli/bin/nest.js'), 'build']);
  await writeFile(BUILD_STAMP, hash);
}

/** Of contents, not of times: a checkout, a copy or a restore changes times in every way. */
async function inputHash() {
  const sources = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true });
  const files = sources
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.spec.ts'))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
  const hash = createHash('sha256');
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'nest-cli.json', 'package-lock.json'];
  for (const file of [...files, ...settings]) {
    hash.update(`${file}\0`).update(await readFile(join(root, file))).update('\0');
  }
  return hash.digest('hex');
}

/** Quiet while it works; everything it said if it fails. */
async function step(title, program, args) {
  const startedAt = Date.now();
  process.stderr.write(`${title} …`);
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  const stop = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? '' : `ended with ${signal ?? code}`));
  });
  // Should we be killed, the step goes on, and so must the lock.
  if (child.pid) await writeFile(join(LOCK, String(child.pid)), '');
  const failure = await ended;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, stop);
  if (!failure) {
    process.stderr.write(` ${((Date.now() - startedAt) / 1_000).toFixed(1)} s\n`);
    return;
  }
  process.stderr.write(` ${failure}\n${Buffer.concat(output)}\n`);
  throw new Error(`${title} failed`);
}

/** One process at a time per clone. The lock is a directory: making one works or fails, on every system. */
async function alone(work) {
  await mkdir(dirname(LOCK), { recursive: true });
  for (let told = false; !(await takeLock()); told = true) {
    if (!told) console.error('Another process is preparing this directory; waiting for it');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    await work();
  } catch (error) {
    await releaseLock();
    giveUp(error.message);
  }
  await releaseLock();
}

async function takeLock() {
  try {
    await mkdir(LOCK);
    await writeFile(join(LOCK, String(process.pid)), '');
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (await isStale()) await releaseLock();
  return false;
}

const releaseLock = () => rm(LOCK, { recursive: true, force: true });

async function isStale() {
  const holders = await readdir(LOCK).catch(() => []);
  if (holders.length > 0) return !holders.map(Number).some(isAlive);
  // Its owner is between making the directory and writing his pid, or was killed there.
  const made = await stat(LOCK).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs > 10_000;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
