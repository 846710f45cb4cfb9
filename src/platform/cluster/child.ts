import cluster from 'node:cluster';
import { Registry } from 'prom-client';
import type { FromChild, FromPrimary, Metrics } from './messages.js';

/** How long a process that was asked for metrics waits for those of the others. */
const metricsWaitMs = 3_000;

/** Whether this process is one of several that share a port. */
export const isChild = cluster.isWorker;

export function tellPrimary(message: FromChild): void {
  // While the primary ends there is nobody to tell; this process is about to end too.
  if (process.connected) process.send!(message);
}

/** Does what the primary says, one thing after the other: it is the primary that knows which has to come first. */
export function obeyPrimary(orders: { listen(): Promise<void>; begin(): Promise<void> }, onError: (error: unknown) => void): void {
  let done: Promise<void> = Promise.resolve();
  process.on('message', ({ rialto }: FromPrimary) => {
    if (rialto === 'listen' || rialto === 'begin') done = done.then(() => orders[rialto]()).catch(onError);
  });
}

/** The metrics that `/metrics` shows: of this process, or of all that share its port, whichever of them is asked. */
export class MetricsPage {
  private readonly waiting = new Map<number, (text: string) => void>();
  private questions = 0;

  constructor(private readonly registry: Registry) {
    if (isChild) process.on('message', (message: FromPrimary) => void this.hear(message));
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  text(): Promise<string> {
    if (!isChild) return this.registry.metrics();
    const question = ++this.questions;
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => {
        this.waiting.delete(question);
        reject(new Error(`the primary did not send the metrics of all processes in ${metricsWaitMs} ms`));
      }, metricsWaitMs);
      this.waiting.set(question, (text) => {
        clearTimeout(timeout);
        this.waiting.delete(question);
        resolve(text);
      });
      tellPrimary({ rialto: 'asks-metrics', question });
    });
  }

  private async hear(message: FromPrimary): Promise<void> {
    if (message.rialto === 'metrics-of-all') this.waiting.get(message.question)?.(message.text);
    if (message.rialto !== 'wants-metrics') return;
    const metrics = (await this.registry.getMetricsAsJSON()) as Metrics;
    tellPrimary({ rialto: 'metrics', round: message.round, metrics });
  }
}
