import { createPostgresBackend, Queue as BullQueue, Worker as BullWorker, type BackendFactory } from 'bullmq';
import pg from 'pg';
import {
  noting,
  queueOptions,
  within,
  workerOptions,
  type JobConnection,
  type JobData,
  type JobQueue,
  type JobStore,
  type Timings,
} from './job-store.js';
import { queues, type Queue } from './wake-ups.js';

/** Where BullMQ keeps its tables; the migration runner makes them. */
export const jobSchema = 'bullmq';

const connectMs = 3_000;
const politeMs = 1_000;

/** Jobs in PostgreSQL: the default, for it needs nothing besides the database that is there. */
export class PostgresJobs implements JobStore {
  readonly trustsWorkersClocks = true;
  /** Every worker keeps a connection to listen on; adding, taking and looking share the others. */
  readonly databaseConnectionsMax = queues.length + 3;

  constructor(private readonly url: string) {}

  async connect(timings: Timings, onLost: (error: Error) => void): Promise<JobConnection> {
    const connection = new PostgresJobConnection(this.url, this.databaseConnectionsMax, timings, onLost);
    try {
      await connection.time();
    } catch (error) {
      await connection.end();
      throw error;
    }
    return connection;
  }
}

class PostgresJobConnection implements JobConnection {
  private readonly pool: pg.Pool;
  private readonly sockets = new Set<{ destroy(): void }>();

  constructor(
    url: string,
    connectionsMax: number,
    private readonly timings: Timings,
    onLost: (error: Error) => void,
  ) {
    // BullMQ makes its own pool only where there is `require`; and that one would wait for silent sockets for ever.
    this.pool = new pg.Pool({
      connectionString: url,
      max: connectionsMax,
      application_name: 'rialto queue',
      connectionTimeoutMillis: connectMs,
      query_timeout: timings.answerMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      idleTimeoutMillis: 60_000,
      options: `-c search_path=${jobSchema}`,
    });
    // Each of BullMQ's objects listens too.
    this.pool.setMaxListeners(0);
    this.pool.on('error', onLost);
    this.pool.on('connect', (client) => {
      const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection;
      this.sockets.add(stream);
      client.on('end', () => this.sockets.delete(stream));
      client.on('error', onLost);
    });
  }

  queue(name: Queue): JobQueue {
    return new BullQueue<JobData, void, string, JobData, void, string>(
      name,
      { connection: this.pool as never, ...queueOptions },
      createPostgresBackend as never,
    );
  }

  worker(
    name: Queue,
    work: (job: { name: string; data: JobData }) => Promise<void>,
    onAlive: () => void,
  ): BullWorker {
    return new BullWorker(
      name,
      work,
      { connection: this.pool as never, ...workerOptions, drainDelay: this.timings.idleSeconds },
      listening(this.timings.idleSeconds, onAlive) as never,
    );
  }

  async time(): Promise<number> {
    const { rows } = await this.pool.query<{ now: number }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now',
    );
    return rows[0]!.now;
  }

  async end(): Promise<void> {
    await within(politeMs, 'the end of the queue’s connections', this.pool.end()).catch(() => undefined);
    // pg waits for the server's goodbye, which a server that is gone does not say.
    for (const socket of this.sockets) socket.destroy();
  }
}

/**
 * BullMQ's own backend, except that a worker that hears nothing asks again after `idleSeconds`. With keep-alive it
 * would trust its listening socket for an hour, and through a proxy that answers keep-alive for ever.
 */
function listening(
  idleSeconds: number,
  onAlive: () => void,
): BackendFactory<ReturnType<typeof createPostgresBackend>, never> {
  return (...args) => {
    const backend = createPostgresBackend(...(args as Parameters<typeof createPostgresBackend>));
    Object.defineProperty(backend, 'maximumBlockTimeout', { value: idleSeconds });
    return noting(backend, onAlive);
  };
}
