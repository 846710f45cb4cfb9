import { createRedisBackend, Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import { Cluster, Redis } from 'ioredis';
import {
  noting,
  queueOptions,
  UnsuitableStoreError,
  within,
  workerOptions,
  type JobConnection,
  type JobData,
  type JobQueue,
  type JobStore,
  type Timings,
} from './job-store.js';
import type { Queue } from './wake-ups.js';

const connectMs = 3_000;

/** Jobs in Redis, or in a Redis Cluster when there are several URLs. */
export class RedisJobs implements JobStore {
  readonly trustsWorkersClocks = false;
  readonly databaseConnectionsMax = 0;

  constructor(private readonly urls: readonly string[]) {}

  async connect(timings: Timings, onLost: (error: Error) => void): Promise<JobConnection> {
    const connection = new RedisJobConnection(this.urls, timings, onLost);
    try {
      await within(connectMs, 'connecting to Redis', connection.open());
    } catch (error) {
      await connection.end();
      throw error;
    }
    return connection;
  }
}

class RedisJobConnection implements JobConnection {
  private readonly client: Redis | Cluster;
  private readonly copies: { disconnect(): void }[] = [];

  constructor(
    urls: readonly string[],
    private readonly timings: Timings,
    onLost: (error: Error) => void,
  ) {
    // Nothing is repeated and nothing is repaired: a connection that breaks is given up, with all that it was asked,
    // and another is made (`JobQueues`). What ioredis would keep for later is a wake-up that a sweep has overtaken.
    const options = { connectTimeout: connectMs, keepAlive: 10_000, maxRetriesPerRequest: null };
    const { username, password, protocol } = new URL(urls[0]!);
    this.client =
      urls.length === 1
        ? new Redis(urls[0]!, { ...options, lazyConnect: true, retryStrategy: () => null })
        : new Cluster([...urls], {
            lazyConnect: true,
            clusterRetryStrategy: () => null,
            redisOptions: {
              ...options,
              ...(username && { username: decodeURIComponent(username) }),
              ...(password && { password: decodeURIComponent(password) }),
              ...(protocol === 'rediss:' && { tls: {} }),
            },
          });
    this.client.on('error', onLost);
    this.client.on('end', () => onLost(new Error('the connection to Redis has ended')));
    // BullMQ copies the connection for each worker, to block on it, and can not be relied on to end a silent one.
    const duplicate = this.client.duplicate.bind(this.client) as (...args: unknown[]) => Redis;
    (this.client as { duplicate: unknown }).duplicate = (...args: unknown[]) => {
      const copy = duplicate(...args);
      this.copies.push(copy);
      return copy;
    };
  }

  async open(): Promise<void> {
    await this.client.connect();
    const nodes = this.client instanceof Cluster ? this.client.nodes('master') : [this.client];
    for (const node of nodes) {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await node.info('memory'))?.[1];
      if (policy !== undefined && policy !== 'noeviction') {
        throw new UnsuitableStoreError(
          `a Redis whose maxmemory-policy is ${policy}; queues need noeviction, or it drops jobs when it is full`,
        );
      }
    }
  }

  queue(name: Queue): JobQueue {
    const options = { connection: this.client, prefix: prefixOf(name), ...queueOptions };
    return new BullQueue<JobData, void, string, JobData, void, string>(name, options, createRedisBackend);
  }

  worker(
    name: Queue,
    work: (job: { name: string; data: JobData }) => Promise<void>,
    onAlive: () => void,
  ): BullWorker {
    const { idleSeconds: drainDelay } = this.timings;
    const options = { connection: this.client, prefix: prefixOf(name), ...workerOptions, drainDelay };
    return new BullWorker(name, work, options, (...args) => noting(createRedisBackend(...args), onAlive));
  }

  async time(): Promise<number> {
    const [seconds, microseconds] = await this.client.time();
    return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
  }

  end(): Promise<void> {
    for (const client of [...this.copies, this.client]) client.disconnect();
    return Promise.resolve();
  }
}

/** Hash-tagged, so that all keys of a queue lie in one slot of a cluster, and different queues in different ones. */
function prefixOf(queue: Queue): string {
  return `{rialto:${queue}}`;
}
