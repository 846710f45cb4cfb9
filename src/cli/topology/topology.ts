import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../platform/database/embedded-postgres.js';
import { type Edge, findNginx, startEdge } from './edge.js';
import { NodeProcess, type Role } from './node-process.js';
import { type Service, findProgram, foreignService, freePort } from './service.js';

/** Of each node's reads: "auto" would take the machine for its own. */
const poolSize = 10;
/** With the few that writer, projections, sagas and inbox have; the server's own limit of 100 is for five nodes. */
const connectionsPerNode = poolSize + 10;

/** The default of PARTITIONS. */
const usualPartitions = 16;

export interface TopologyPlan {
  readonly command: number;
  readonly query: number;
  /** Absent: a PostgreSQL of its own in `dataDir`. */
  readonly databaseUrl?: string;
  /** Absent: a directory of the topology's own, which is removed with it. */
  readonly dataDir?: string;
  /** Of the PostgreSQL of its own. */
  readonly postgres?: Readonly<Record<string, string>>;
  /** False: queues on PostgreSQL. By default a Redis of its own where one is installed. */
  readonly redis?: boolean;
  /** False: no load balancer. By default an nginx where one is installed. */
  readonly nginx?: boolean;
  /** Of the load balancer; any that is free by default. */
  readonly port?: number;
  /** Of the nodes, over what the topology sets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly log?: (line: string) => void;
}

/**
 * The processes of docker/compose.yml without containers: PostgreSQL, Redis, nodes of both roles, nginx with
 * docker/nginx.conf. What is not installed is left out. Everything listens on 127.0.0.1 only.
 */
export class Topology {
  postgres: EmbeddedPostgres | undefined;
  redis: { readonly url: string; readonly service: Service } | undefined;
  /** The load balancer; undefined without one. */
  edge: Edge | undefined;
  readonly nodes: NodeProcess[] = [];

  private constructor(
    readonly directory: string,
    private readonly plan: TopologyPlan,
  ) {}

  /** Starts everything, and resolves when all of it is ready. What was started is stopped again if something is not. */
  static async start(plan: TopologyPlan): Promise<Topology> {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-topology-'));
    await chmod(directory, 0o755); // Started by root, PostgreSQL and nginx run as other users.
    const topology = new Topology(directory, plan);
    try {
      await topology.startAll();
      return topology;
    } catch (error) {
      await topology.stop();
      throw error;
    }
  }

  get databaseUrl(): string {
    return this.plan.databaseUrl ?? this.postgres!.url;
  }

  ofRole(role: Role): NodeProcess[] {
    return this.nodes.filter((node) => node.role === role);
  }

  /** Who takes requests first, who they need last. Nobody is left behind, also when one of them does not stop well. */
  async stop(): Promise<void> {
    await this.edge?.service.end('SIGQUIT'); // What is under way is answered.
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.redis?.service.end('SIGTERM');
    const ownData = this.plan.dataDir === undefined;
    await this.postgres?.stop(ownData ? 'immediate' : 'fast');
    // Two places, if root's other user could not reach the first.
    const gone = ownData ? [this.directory, this.postgres?.dataDir] : [this.directory];
    for (const path of gone) if (path) await rm(path, { recursive: true, force: true });
  }

  private async startAll(): Promise<void> {
    const { command, query, databaseUrl, dataDir = join(this.directory, 'data'), env = {}, log = () => undefined } = this.plan;
    if (databaseUrl === undefined) {
      const settings = { max_connections: String(20 + (command + query) * connectionsPerNode), ...this.plan.postgres };
      this.postgres = await startEmbeddedPostgres({ dataDir, settings, log });
    }
    const redisServer = this.plan.redis === false ? undefined : findProgram('redis-server');
    if (redisServer) this.redis = await startRedis(redisServer, this.directory);
    else if (this.plan.redis !== false) log('redis-server is not installed: queues are on PostgreSQL, and nodes share no cache');

    const settings = {
      LOG_LEVEL: 'warn',
      HOST: '127.0.0.1',
      DATABASE_POOL_SIZE: String(poolSize),
      DATABASE_URL: this.databaseUrl,
      ...(this.redis && { REDIS_URL: this.redis.url }),
      ...env,
    };
    for (const [role, count] of [['command', command], ['query', query]] as const) {
      for (let number = 1; number <= count; number++) {
        this.nodes.push(new NodeProcess(`${role}-${number}`, role, await freePort(), settings));
      }
    }
    await all(this.nodes.map((node) => node.start()));

    const nginx = this.plan.nginx === false ? undefined : findNginx();
    if (nginx) {
      const ports = (role: Role) => this.ofRole(role).map(({ port }) => port);
      const port = this.plan.port ?? (await freePort());
      const nodes = { command: ports('command'), query: ports('query') };
      this.edge = await startEdge(nginx, this.directory, port, nodes, Number(env.PARTITIONS ?? usualPartitions));
    } else if (this.plan.nginx !== false) {
      log('nginx is not installed: there is no load balancer');
    }
  }
}

/** Waits for all of them before it fails, so that none is still being started when they are stopped. */
async function all(starts: Promise<void>[]): Promise<void> {
  await Promise.allSettled(starts);
  await Promise.all(starts);
}

/** Without persistence: nothing that is lost with it is missed. */
async function startRedis(program: string, directory: string) {
  const port = await freePort();
  const settings = { port, bind: '127.0.0.1', dir: directory, save: '', appendonly: 'no', 'maxmemory-policy': 'noeviction' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const service = foreignService('redis', program, args);
  await service.start(() => accepts(port));
  return { url: `redis://127.0.0.1:${port}`, service };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => done(true)).on('error', () => done(false));
    const done = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
  });
}
