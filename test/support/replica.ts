import { appendFile, chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { findInstallation, run, type Account } from '../../src/platform/database/postgres-installation.js';
import { type PostgresServer, startPostgresServer } from './postgres-server.js';
import { freePort } from './server.js';

export interface ReplicatedPostgres {
  readonly primary: PostgresServer;
  readonly replicas: readonly ReplicaServer[];
  stop(): Promise<void>;
}

/**
 * A primary and streaming replicas of it. The embedded PostgreSQL has no pg_basebackup, so a replica begins as a copy
 * of the stopped primary.
 */
export async function startReplicatedPostgres(count: number): Promise<ReplicatedPostgres> {
  // No slots: a replica that stays away must not fill the disk, and one that comes back finds what it missed here.
  const primary = await startPostgresServer({ wal_keep_size: '512MB', fsync: 'off' });
  await primary.shutDown();
  const directories = await Promise.all(Array.from({ length: count }, () => copyOf(primary.clusterDir)));
  await primary.start();
  const replicas = await Promise.all(directories.map((directory) => ReplicaServer.in(directory, primary.url)));
  return {
    primary,
    replicas,
    async stop() {
      await Promise.all(replicas.map((replica) => replica.remove()));
      await primary.stop();
    },
  };
}

async function copyOf(clusterDir: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rialto-replica-'));
  await chmod(directory, 0o755); // Root runs the server as another user.
  const { code, output } = await run('cp', ['-a', clusterDir, join(directory, 'data')]);
  if (code !== 0) throw new Error(`the primary can not be copied: ${output}`);
  return directory;
}

/** A real streaming replica, which replays what the primary writes as soon as it can. */
export class ReplicaServer {
  private constructor(
    readonly url: string,
    private readonly directory: string,
    private readonly bin: string,
    private readonly account: Account | undefined,
  ) {}

  static async in(directory: string, primaryUrl: string): Promise<ReplicaServer> {
    const { bin } = await findInstallation(directory, () => undefined);
    const data = join(directory, 'data');
    const { uid, gid } = await stat(data);
    const account = process.getuid?.() === 0 ? { uid, gid } : undefined;
    const url = new URL(primaryUrl);
    const port = await freePort();
    const primary = `host=${url.hostname} port=${url.port} user=${url.username} password=${url.password}`;
    const settings = {
      port: String(port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      primary_conninfo: `${primary} application_name=replica`,
      wal_retrieve_retry_interval: '100ms',
      fsync: 'off',
      // A query in the way of the replay is cancelled at once.
      max_standby_streaming_delay: '0',
      log_statement: 'all',
      log_line_prefix: '<%a> ',
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    await appendFile(join(data, 'postgresql.auto.conf'), lines.join(''));
    for (const name of ['standby.signal', '../server.log']) {
      await writeFile(join(data, name), '');
      await chown(join(data, name), uid, gid);
    }
    url.port = String(port);
    const replica = new ReplicaServer(url.href, directory, bin, account);
    await replica.start();
    return replica;
  }

  /** As Rialto calls it. */
  get name(): string {
    const { host, pathname } = new URL(this.url);
    return host + pathname;
  }

  async start(): Promise<void> {
    await this.control('start', '-w', '-t', '120', '-l', join(this.directory, 'server.log'));
  }

  /** Ends it at once, as a power failure does. */
  async kill(): Promise<void> {
    await this.control('stop', '-m', 'immediate');
  }

  /** It goes on answering, with what it has now. */
  async pauseReplay(): Promise<void> {
    await this.execute('SELECT pg_wal_replay_pause()');
    // The pause is a request; until it is granted something may still be replayed.
    for (;;) {
      const [row] = await this.execute<{ state: string }>('SELECT pg_get_wal_replay_pause_state() AS state');
      if (row!.state === 'paused') return;
    }
  }

  async resumeReplay(): Promise<void> {
    await this.execute('SELECT pg_wal_replay_resume()');
  }

  /** Nothing of it moves any more, and nobody is told: connections stay open and new ones are taken, by the kernel. */
  async freeze(): Promise<void> {
    for (const pid of await this.processes()) process.kill(pid, 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    for (const pid of await this.processes()) process.kill(pid, 'SIGCONT');
  }

  /** It is a primary of its own from then on, for good. */
  async promote(): Promise<void> {
    await this.execute('SELECT pg_promote()');
  }

  async endConnections(applicationName: string): Promise<void> {
    await this.execute(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${applicationName}'`);
  }

  /** Every statement that it was sent, after the application_name of who sent it. */
  async statements(): Promise<{ application: string; text: string }[]> {
    const log = await readFile(join(this.directory, 'server.log'), 'utf8');
    return [...log.matchAll(/^<(.*?)> LOG: {2}(?:statement|execute [^:]+): ([^]*?)(?=^<|$(?![^]))/gm)].map(
      ([, application, text]) => ({ application: application!, text: text! }),
    );
  }

  async remove(): Promise<void> {
    await this.thaw().catch(() => undefined); // It may not be running at all.
    await this.control('stop', '-m', 'immediate').catch((error: Error) => {
      if (!error.message.includes('postmaster.pid')) throw error; // It was not running.
    });
    await rm(this.directory, { recursive: true, force: true });
  }

  private async execute<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    for (;;) {
      const client = new pg.Client({ connectionString: this.url, application_name: 'the test' });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query<Row>(sql)).rows;
      } catch (error) {
        if ((error as { code?: string }).code !== '40001') throw error; // It was in the way of the replay.
      } finally {
        await client.end();
      }
    }
  }

  private async processes(): Promise<number[]> {
    const pidFile = await readFile(join(this.directory, 'data', 'postmaster.pid'), 'utf8');
    const postmaster = Number(pidFile.split('\n')[0]);
    const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
    return [postmaster, ...children.trim().split(' ').filter(Boolean).map(Number)];
  }

  private async control(...args: string[]): Promise<void> {
    const { code, output } = await run(join(this.bin, 'pg_ctl'), ['-D', join(this.directory, 'data'), ...args], {
      account: this.account,
    });
    if (code === 0) return;
    const log = await readFile(join(this.directory, 'server.log'), 'utf8').catch(() => '');
    throw new Error(`pg_ctl ${args[0]}: ${output}\n${log.slice(-2_000)}`);
  }
}
