import type { Worker } from 'node:cluster';
import type { MetricObjectWithValues, MetricValue } from 'prom-client';

export type Metrics = MetricObjectWithValues<MetricValue<string>>[];

/** What a child of a cluster tells its primary. */
export type FromChild =
  | { readonly rialto: 'prepared'; readonly connectionsMax: number }
  | { readonly rialto: 'listening'; readonly address: string }
  | { readonly rialto: 'ready' }
  /** It was asked for the metrics of all, under a number of its own. */
  | { readonly rialto: 'asks-metrics'; readonly question: number }
  /** Its own, as the primary wanted them. */
  | { readonly rialto: 'metrics'; readonly round: number; readonly metrics: Metrics };

/** What the primary of a cluster tells a child. */
export type FromPrimary =
  | { readonly rialto: 'listen' }
  | { readonly rialto: 'begin' }
  | { readonly rialto: 'wants-metrics'; readonly round: number }
  | { readonly rialto: 'metrics-of-all'; readonly question: number; readonly text: string };

export function tell(child: Worker, message: FromPrimary): void {
  // One that has just ended hears nothing; its `exit` says so.
  if (child.isConnected()) child.send(message, () => undefined);
}
