import { Counter, Gauge, type Registry } from 'prom-client';
import type { Queue } from './wake-ups.js';

/** What is in the store: of all processes, whoever is asked. */
export interface QueueState {
  readonly queue: Queue;
  readonly waiting: number;
  readonly active: number;
  readonly failed: number;
  readonly oldestSeconds: number;
}

/** What the queues tell of themselves. */
export class QueueMetrics {
  readonly adds: Counter<'queue' | 'outcome'>;
  readonly arrivals: Counter<'queue'>;
  readonly missed: Counter<'queue'>;
  readonly rebuilds: Counter<'reason'>;
  readonly connected: Gauge;
  readonly unsuitable: Gauge;
  readonly clockSkewSeconds: Gauge;

  constructor(private readonly registry: Registry) {
    const registers = [registry];
    this.adds = new Counter({
      name: 'rialto_queue_adds_total',
      help: 'Wake-ups for other processes: added as jobs, left out because enough are waiting, failed, timed out.',
      labelNames: ['queue', 'outcome'],
      registers,
    });
    this.arrivals = new Counter({
      name: 'rialto_queue_arrivals_total',
      help: 'Jobs that came to this process.',
      labelNames: ['queue'],
      registers,
    });
    this.missed = new Counter({
      name: 'rialto_queue_missed_wake_ups_total',
      help: 'Times a sweep found work that had been waiting and that no wake-up had announced.',
      labelNames: ['queue'],
      registers,
    });
    this.rebuilds = new Counter({
      name: 'rialto_queue_rebuilds_total',
      help: 'Times the connection to the queues was given up, to be made anew, by what had gone wrong.',
      labelNames: ['reason'],
      registers,
    });
    this.connected = new Gauge({
      name: 'rialto_queue_connected',
      help: 'Processes that can add and take jobs; a process that can not finds its work by sweeps.',
      registers,
    });
    this.unsuitable = new Gauge({
      aggregator: 'max',
      name: 'rialto_queue_store_unsuitable',
      help: '1 when the store that is there must not be used: a Redis that evicts.',
      registers,
    });
    this.clockSkewSeconds = new Gauge({
      aggregator: 'max',
      name: 'rialto_queue_clock_skew_seconds',
      help: 'How far the clock of this machine is ahead of the clock of the store.',
      registers,
    });
  }

  /** `states` rejects or is empty while the store does not answer; the scrape goes on without. */
  watch(states: () => Promise<readonly QueueState[]>): void {
    const registers = [this.registry];
    const oldest = new Gauge({
      aggregator: 'max',
      name: 'rialto_queue_oldest_job_seconds',
      help: 'For how long the oldest waiting job has been waiting.',
      labelNames: ['queue'],
      registers,
    });
    new Gauge({
      aggregator: 'max',
      name: 'rialto_queue_jobs',
      help: 'Jobs by queue and state: waiting, active, failed.',
      labelNames: ['queue', 'state'],
      registers,
      async collect() {
        this.reset();
        oldest.reset();
        for (const { queue, oldestSeconds, ...counts } of await states()) {
          for (const [state, count] of Object.entries(counts)) this.set({ queue, state }, count);
          oldest.set({ queue }, oldestSeconds);
        }
      },
    });
  }
}
