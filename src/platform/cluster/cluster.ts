import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { Config } from '../../config.js';
import { StartError } from '../errors.js';
import type { Service } from '../lifecycle.js';
import type { Logger } from '../observability/logger.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { closeWhatIsNotTaken } from './handovers.js';
import { tell, type FromChild, type FromPrimary } from './messages.js';

const pauseMsMax = 30_000;
/** A process that was ready for so long did not end because of how it started. */
const soundAfterMs = 60_000;

/** A place among the processes of the machine. Whoever holds it is replaced when it ends. */
interface Place {
  child?: Worker;
  isPrepared: boolean;
  isListening: boolean;
  readyAtMs?: number;
  /** Ends in a row, each soon after the start. */
  failures: number;
  pause?: NodeJS.Timeout;
}

/**
 * The processes of a machine that share a port: this one takes no request itself; it starts the others, replaces those
 * that end unasked, and stops them all.
 *
 * Each child is a process like a single one and knows nothing of its siblings; Node hands the connections to them in
 * turn. Until all have been ready once, a child that gives up takes everything down, for the next one would give up as
 * well: the port is taken, say. One that is killed is replaced then, too. Later any end is replaced: at once the first
 * time, then after pauses that double, so that a fault that comes with the start never becomes a tight loop. When this
 * process is killed, the children lose their channel to it and end at once.
 */
export class Cluster implements Service {
  address = '';
  connectionsMax = 0;
  private readonly places: readonly Place[];
  private readonly metrics: ClusterMetrics;
  private readonly onePrepared = deferred();
  private readonly allListening = deferred();
  private readonly allReady = deferred();
  private phase: 'preparing' | 'listening' | 'begun' | 'ready' | 'stopping' = 'preparing';
  private leftWork = false;

  private constructor(
    private readonly databaseUrl: string,
    private readonly logger: Logger,
    size: number,
  ) {
    this.places = Array.from({ length: size }, () => ({ isPrepared: false, isListening: false, failures: 0 }));
    const onError = (error: unknown) => logger.error({ err: error }, 'could not add up the metrics of the processes');
    this.metrics = new ClusterMetrics(() => this.children, onError);
    // However this process ends: a child that is stuck would not notice.
    process.on('exit', () => this.children.forEach((child) => child.process.kill('SIGKILL')));
  }

  /** Resolves when it is known what the processes will need. */
  static async prepare({ clusterWorkers }: Config, databaseUrl: string, logger: Logger): Promise<Cluster> {
    const prepared = new Cluster(databaseUrl, logger, clusterWorkers);
    for (const place of prepared.places) prepared.fill(place);
    await prepared.onePrepared.promise;
    return prepared;
  }

  async listen(): Promise<void> {
    this.phase = 'listening';
    this.tellAll({ rialto: 'listen' });
    await this.allListening.promise;
  }

  async begin(): Promise<void> {
    if (this.phase === 'listening') this.phase = 'begun';
    this.tellAll({ rialto: 'begin' });
    await this.allReady.promise;
  }

  async stop(): Promise<void> {
    this.phase = 'stopping';
    for (const waited of [this.allListening, this.allReady]) waited.resolve();
    for (const { pause } of this.places) clearTimeout(pause);
    const ends = this.children.map((child) => once(child, 'exit'));
    for (const child of this.children) child.process.kill('SIGTERM');
    await Promise.all(ends);
    if (this.leftWork) throw new Error('not every process of the cluster could stop in time');
  }

  private get children(): Worker[] {
    return this.places.flatMap(({ child }) => child ?? []);
  }

  private fill(place: Place): void {
    const child = cluster.fork({ DATABASE_URL: this.databaseUrl });
    closeWhatIsNotTaken(child);
    Object.assign(place, { child, isPrepared: false, isListening: false, readyAtMs: undefined });
    child.on('message', (message: FromChild) => this.hear(place, child, message));
    // A signal or message that can not be delivered: its exit tells why.
    child.on('error', (error) => this.logger.warn({ err: error, pid: child.process.pid }, 'lost touch with a process'));
    child.once('exit', (code: number | null, signal: string | null) => this.ended(place, child, code, signal));
  }

  private hear(place: Place, child: Worker, message: FromChild): void {
    this.metrics.hear(child, message);
    switch (message.rialto) {
      case 'prepared':
        this.connectionsMax = message.connectionsMax * this.places.length;
        place.isPrepared = true;
        this.onePrepared.resolve();
        // At the first start it listens first, for health to answer. One that comes later takes no request before it
        // is ready: the others are.
        if (this.phase === 'begun' || this.phase === 'ready') tell(child, { rialto: 'begin' });
        if (this.phase !== 'preparing') tell(child, { rialto: 'listen' });
        break;
      case 'listening':
        this.address = message.address;
        place.isListening = true;
        break;
      case 'ready':
        place.readyAtMs = performance.now();
        break;
      default:
        return;
    }
    if (this.phase === 'listening' && this.places.every(({ isListening }) => isListening)) this.allListening.resolve();
    if (this.phase === 'begun' && this.places.every((one) => one.isListening && one.readyAtMs !== undefined)) {
      this.phase = 'ready';
      this.allReady.resolve();
    }
  }

  private tellAll(message: FromPrimary): void {
    for (const { child, isPrepared } of this.places) if (child && isPrepared) tell(child, message);
  }

  private ended(place: Place, child: Worker, code: number | null, signal: string | null): void {
    this.metrics.gone(child);
    place.child = undefined;
    if (this.phase === 'stopping') {
      // One that is just starting has nothing under way, and does not know yet how to stop.
      if (code !== 0 && signal !== 'SIGTERM' && signal !== 'SIGINT') this.leftWork = true;
      return;
    }
    const what = { pid: child.process.pid, code, signal };
    if (this.phase !== 'ready' && code !== null) {
      const error = new StartError(`one of its processes ended with code ${code}, having said why`);
      for (const waited of [this.onePrepared, this.allListening, this.allReady]) waited.reject(error);
      return;
    }
    const wasSound = place.readyAtMs !== undefined && performance.now() - place.readyAtMs > soundAfterMs;
    place.failures = wasSound ? 1 : place.failures + 1;
    const pauseMs = place.failures === 1 ? 0 : Math.min(pauseMsMax, 100 * 2 ** place.failures);
    this.logger.error({ ...what, pauseMs }, 'a process ended unasked and is replaced');
    this.metrics.replaced.inc();
    place.pause = setTimeout(() => this.fill(place), pauseMs);
  }
}

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function deferred(): Deferred {
  let settle!: Pick<Deferred, 'resolve' | 'reject'>;
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  // Whoever waits for it hears of it; nobody may be waiting yet.
  promise.catch(() => undefined);
  return { promise, ...settle };
}
