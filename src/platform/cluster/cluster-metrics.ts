import type { Worker } from 'node:cluster';
import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client';
import { tell, type FromChild, type Metrics } from './messages.js';

/** A child that does not answer so long is frozen or ending; what it said last stands for it. */
const answerWaitMs = 1_000;

/** What counts up, and must not fall when a process that counted is gone. */
const cumulative = new Set(['counter', 'histogram', 'summary']);

interface Round {
  readonly missing: Set<number>;
  end(): void;
}

/**
 * The metrics of all processes of a cluster as one: sums, or what a metric says of itself with its `aggregator` (a gauge
 * that every process reads from the database has the same value in each, and says `max`).
 *
 * prom-client's own way of gathering them (AggregatorRegistry.clusterMetrics) fails when one process does not answer,
 * and forgets what a process had counted when it is gone: the sum falls, which Prometheus takes for a restart and adds
 * everything the others have counted once more, as if it had happened that moment. An autoscaler would act on it. So
 * its arithmetic is used, and what processes that are gone had counted when they were last asked stays in the sum.
 */
export class ClusterMetrics {
  private readonly own = new Registry();
  private readonly last = new Map<number, Metrics>();
  private readonly rounds = new Map<number, Round>();
  private ofTheGone: Metrics = [];
  private roundsBegun = 0;
  readonly replaced: Counter;

  constructor(
    private readonly children: () => readonly Worker[],
    private readonly onError: (error: unknown) => void,
  ) {
    const registers = [this.own];
    this.replaced = new Counter({
      name: 'rialto_cluster_replaced_total',
      help: 'Processes of this machine that ended unasked and were replaced.',
      registers,
    });
    new Gauge({
      name: 'rialto_cluster_processes',
      help: 'Processes of this machine that share the port.',
      registers,
      collect() {
        this.set(children().length);
      },
    });
  }

  hear(child: Worker, message: FromChild): void {
    if (message.rialto === 'asks-metrics') {
      const { question } = message;
      this.text().then((text) => tell(child, { rialto: 'metrics-of-all', question, text }), this.onError);
    }
    if (message.rialto !== 'metrics') return;
    this.last.set(child.id, message.metrics);
    this.answered(message.round, child.id);
  }

  /** What it counted stays. */
  gone(child: Worker): void {
    const counted = (this.last.get(child.id) ?? []).filter(({ type }) => cumulative.has(type as unknown as string));
    this.last.delete(child.id);
    for (const round of this.rounds.keys()) this.answered(round, child.id);
    this.ofTheGone = sumOf([this.ofTheGone, counted]).getMetricsAsArray() as unknown as Metrics;
  }

  private async text(): Promise<string> {
    const round = ++this.roundsBegun;
    const children = this.children();
    await new Promise<void>((resolve) => {
      const end = () => (clearTimeout(timeout), this.rounds.delete(round), resolve());
      const timeout = setTimeout(end, answerWaitMs);
      this.rounds.set(round, { missing: new Set(children.map(({ id }) => id)), end });
      for (const child of children) tell(child, { rialto: 'wants-metrics', round });
    });
    const own = (await this.own.getMetricsAsJSON()) as Metrics;
    return sumOf([own, this.ofTheGone, ...this.last.values()]).metrics();
  }

  private answered(round: number, child: number): void {
    const asked = this.rounds.get(round);
    if (asked?.missing.delete(child) && asked.missing.size === 0) asked.end();
  }
}

function sumOf(metrics: readonly Metrics[]): Registry {
  return AggregatorRegistry.aggregate([...metrics]);
}
