import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { type Edge, findNginx, startEdge } from '../../src/cli/topology/edge.js';
import { NodeProcess, type Role } from '../../src/cli/topology/node-process.js';
import { findProgram } from '../../src/cli/topology/service.js';
import type { FaultPoint } from '../../src/platform/fault-points.js';
import { createTestPool } from '../support/database.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { RedisServer } from '../support/redis-server.js';
import { freePort } from '../support/server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export const topologies = {
  /** One process that does everything. */
  'all-in-one': ['all'],
  /** Two that write and two that read, nginx before them; those that read feed the views, those that write the rest. */
  split: ['command', 'command', 'query', 'query'],
} as const satisfies Record<string, readonly Role[]>;

export type TopologyName = keyof typeof topologies;

/** nginx, whose connections with clients are in our hands. Those with the nodes are the nodes'. */
export interface TorturedEdge {
  readonly nginx: Edge;
  readonly http: TcpProxy;
  /** Where clients find it: through its proxy. */
  readonly url: string;
}

/** A connection, by who is at its ends. */
export interface Link {
  readonly target: string;
  readonly proxy: TcpProxy;
}

/** How a node is reached, and how it reaches others. */
export interface Links {
  /** From clients and nginx to the node. */
  readonly http: TcpProxy;
  readonly database: TcpProxy;
  readonly redis: TcpProxy | undefined;
}

const linkNames = ['http', 'database', 'redis'] as const;

/** Less than in production, so that what waits for a time-out is seen in a run of a minute. */
const nodeSettings = {
  LOG_LEVEL: 'warn',
  HOST: '127.0.0.1',
  DATABASE_POOL_SIZE: '6',
  COMMAND_CLAIM_MS: '3000',
  SHUTDOWN_DRAIN_MS: '300',
};

/** Big enough for a run's data, and small enough to be filled in a moment. */
const diskMegabytes = 768;
const walDiskMegabytes = 384;

/**
 * PostgreSQL, Redis, nginx and the processes of Rialto, all of its own and on loopback, with a proxy in every
 * connection between them. What is not installed is left out, and `missing` says what.
 */
export class System {
  readonly nodes: TorturedNode[] = [];
  readonly missing: string[] = [];
  postgres!: PostgresServer;
  redis: RedisServer | undefined;
  edge: TorturedEdge | undefined;
  /** To look at the database, past all proxies. */
  pool!: pg.Pool;
  /** A file system of its own, which may be filled; undefined where none can be mounted. */
  disk: string | undefined;
  /** Another one, for the write-ahead log alone. */
  walDisk: string | undefined;

  private constructor(
    readonly topology: TopologyName,
    readonly directory: string,
  ) {}

  static async start(topology: TopologyName): Promise<System> {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-torture-'));
    await chmod(directory, 0o755); // Started by root, PostgreSQL and nginx run as other users.
    const system = new System(topology, directory);
    try {
      await system.startAll();
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  get links(): Link[] {
    const links = (name: string, proxies: Partial<Links>) =>
      linkNames.flatMap((to) => (proxies[to] ? [{ target: `${name}/${to}`, proxy: proxies[to] }] : []));
    return [...this.nodes.flatMap((node) => links(node.name, node.links)), ...links('nginx', { http: this.edge?.http })];
  }

  /** The nodes that take writes, or that answer reads. */
  serving(side: 'commands' | 'queries'): TorturedNode[] {
    const role: Role = side === 'commands' ? 'command' : 'query';
    return this.nodes.filter((node) => node.role === 'all' || node.role === role);
  }

  /** For good: the data goes too. */
  async stop(): Promise<void> {
    await this.edge?.nginx.service.killGroup();
    await this.edge?.http.close();
    await Promise.all(this.nodes.map((node) => node.end()));
    await this.pool?.end();
    await this.redis?.stop();
    await this.postgres?.stop();
    for (const path of [this.disk, this.walDisk]) if (path) spawnSync('umount', ['-l', path]);
    await rm(this.directory, { recursive: true, force: true });
  }

  private async startAll(): Promise<void> {
    const roles = topologies[this.topology];
    this.disk = await this.mountDisk('disk', diskMegabytes);
    const settings = { max_connections: String(40 + roles.length * 25), max_wal_size: `${walDiskMegabytes / 2}MB` };
    this.postgres = await startPostgresServer(settings, this.disk ?? tmpdir());
    if (this.disk) this.walDisk = await this.moveWal();
    this.pool = createTestPool(this.postgres.url);
    if (findProgram('redis-server')) this.redis = await RedisServer.start();
    else this.missing.push('redis-server');
    const preload = await findFaketime();
    if (!preload) this.missing.push('libfaketime');
    for (const [index, role] of roles.entries()) {
      const name = role === 'all' ? 'node' : `${role}-${(index % 2) + 1}`;
      this.nodes.push(await TorturedNode.create(name, role, this, preload));
    }
    // One migrates; the others find it done.
    await this.nodes[0]!.process.start();
    await Promise.all(this.nodes.slice(1).map(({ process }) => process.start()));
    if (roles.length === 1) return;
    const nginx = findNginx();
    if (!nginx) return void this.missing.push('nginx');
    const ports = (role: Role) => this.nodes.filter((node) => node.role === role).map(({ links }) => links.http.port);
    const edge = await startEdge(nginx, this.directory, await freePort(), { command: ports('command'), query: ports('query') }, 16);
    const http = await TcpProxy.to(edge.url);
    this.edge = { nginx: edge, http, url: throughProxy(http, edge.url) };
  }

  private async mountDisk(name: string, megabytes: number): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return void this.missing.push(`a ${name} to fill (needs root)`);
    const path = join(this.directory, name);
    await mkdir(path);
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'rialto-torture', path]);
    return status === 0 ? path : void this.missing.push(`a ${name} to fill (mount failed)`);
  }

  private async moveWal(): Promise<string | undefined> {
    const disk = await this.mountDisk('disk-of-wal', walDiskMegabytes);
    if (!disk) return undefined;
    await this.postgres.shutDown();
    const [from, to] = [join(this.postgres.clusterDir, 'pg_wal'), join(disk, 'pg_wal')];
    const { status, stderr } = spawnSync('sh', ['-ec', 'cp -a "$1" "$2"; rm -r "$1"; ln -s "$2" "$1"', 'sh', from, to], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`the write-ahead log could not be moved: ${stderr}`);
    await this.postgres.start();
    return disk;
  }
}

/** A process of Rialto whose connections, clock and way of dying are in our hands. */
export class TorturedNode {
  private constructor(
    readonly name: string,
    readonly role: Role,
    readonly process: NodeProcess,
    readonly links: Links,
    private readonly clockFile: string | undefined,
    private readonly faultPointFile: string,
  ) {}

  static async create(name: string, role: Role, { directory, postgres, redis }: System, faketime: string | undefined): Promise<TorturedNode> {
    const port = await freePort();
    const links: Links = {
      http: await TcpProxy.to(`http://127.0.0.1:${port}`),
      database: await TcpProxy.to(postgres.url),
      redis: redis && (await TcpProxy.to(redis.url)),
    };
    const clockFile = join(directory, `${name}.clock`);
    await writeFile(clockFile, '+0\n');
    const faultPointFile = join(directory, `${name}.fault-point`);
    const env = {
      PATH: process.env.PATH!,
      ...nodeSettings,
      DATABASE_URL: links.database.urlOf(postgres.url),
      ...(links.redis && { REDIS_URL: links.redis.urlOf(redis!.url) }),
      NODE_OPTIONS: `--import ${new URL('arm-fault-point.mjs', import.meta.url).href}`,
      RIALTO_FAULT_POINT_FILE: faultPointFile,
      ...(faketime && {
        LD_PRELOAD: faketime,
        FAKETIME_TIMESTAMP_FILE: clockFile,
        FAKETIME_CACHE_DURATION: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      }),
    };
    return new TorturedNode(name, role, new NodeProcess(name, role, port, env), links, faketime && clockFile, faultPointFile);
  }

  /** Where clients find it: through its proxy. */
  get url(): string {
    return throughProxy(this.links.http, this.process.url);
  }

  get hasClock(): boolean {
    return this.clockFile !== undefined;
  }

  /** Its wall clock is so many seconds ahead, or behind, from a second later on. Timers do not notice. */
  async setClock(seconds: number): Promise<void> {
    await writeFile(this.clockFile!, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  /** It ends the next time that it has passed the point so many times. */
  async dieAt(point: FaultPoint, passes: number): Promise<void> {
    await writeFile(this.faultPointFile, JSON.stringify({ point, passes }));
    process.kill(this.process.pid!, 'SIGUSR2');
  }

  async end(): Promise<void> {
    this.process.thaw();
    await this.process.kill();
    const { http, database, redis } = this.links;
    await Promise.all([http.close(), database.close(), redis?.close()]);
  }
}

/** What paths are put behind. */
function throughProxy(proxy: TcpProxy, url: string): string {
  return proxy.urlOf(url).replace(/\/$/, '');
}

/** Debian's libfaketime, which lies about the wall clock to a program that it is loaded into. */
async function findFaketime(): Promise<string | undefined> {
  const { stdout } = spawnSync('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null'], { encoding: 'utf8' });
  return stdout.split('\n')[0] || undefined;
}

/** The processes of a PostgreSQL, the postmaster first. */
export async function postgresPids({ clusterDir }: PostgresServer): Promise<number[]> {
  const postmaster = Number((await readFile(join(clusterDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
  return [postmaster, ...children.split(' ').filter(Boolean).map(Number)];
}
