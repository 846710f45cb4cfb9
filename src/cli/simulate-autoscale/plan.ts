import { z } from 'zod';
import type { ScalingRules } from './autoscaler.js';

const cost = z.object({ nodeCpuUs: z.number(), postgresCpuUs: z.number(), walBytes: z.number() });
const commandCost = cost.extend({ events: z.number() });

/** bench/capacities.json: per command, per event that the projections follow, per read that no cache answers. */
export const capacitiesSchema = z.object({
  measuredBy: z.string(),
  machine: z.record(z.string(), z.string()),
  transfer: commandCost,
  order: commandCost,
  projectedEvent: z.object({ transfer: cost, order: cost }),
  read: z.object({ account: cost, product: cost }),
});

export type Capacities = z.infer<typeof capacitiesSchema>;

/**
 * - `commands`: writes that are answered by their outcome, and the placing of orders.
 * - `inbox`: what was accepted and waits: the checkouts of orders.
 * - `projections`: events that read tables do not show yet.
 */
export const works = ['reads', 'commands', 'inbox', 'projections'] as const;
export type Work = (typeof works)[number];

/** Pods that are scaled together. */
export interface Deployment {
  readonly name: string;
  /** In the order in which they get the pod's CPU. */
  readonly works: readonly Work[];
  readonly coresPerPod: number;
  /** From the decision to the first request: scheduling, pulling the image, start, readiness probe. */
  readonly startSeconds: number;
  /** To PostgreSQL, of a pod's one process. */
  readonly connectionsPerPod: number;
  readonly rules: ScalingRules;
}

export interface Plan {
  readonly capacities: Capacities;
  readonly deployments: readonly Deployment[];
  /** The share of the commands and orders that falls into the busiest partition. */
  readonly hottestShare: number;
  /** What one partition takes: its writes are in one line. */
  readonly partitionCommandsPerSecond: number;
  readonly postgres: { readonly cores: number; readonly maxConnections: number; readonly reservedConnections: number };
  /** Reads that a cache answers, and of the others those that the shared tier answers: not PostgreSQL. */
  readonly cache: { readonly memoryHits: number; readonly sharedHits: number };
  /** What commands cost more where several nodes write: lost races that are decided again. */
  readonly manyNodesFactor: number;
  /** Requests that a pod lets wait before it answers 503. */
  readonly waitingPerPod: { readonly reads: number; readonly commands: number };
  readonly pricePerCoreHour: number;
}

/** Up at once, to at most twice as many every 15 s; down when five minutes have asked for less, by a pod a minute. */
const frontEnd = {
  tolerance: 0.1,
  up: { windowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
  down: { windowSeconds: 300, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
} satisfies Partial<ScalingRules>;

/** The defaults of Kubernetes, which a ScaledObject has when it says nothing else. */
const worker = {
  tolerance: 0.1,
  up: { windowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }, { type: 'Pods', value: 4, periodSeconds: 15 }] },
  down: { windowSeconds: 300, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
} satisfies Partial<ScalingRules>;

/**
 * The deployments and rules of docker/kubernetes. A pod is one process on one core. 10,000 reads and 3,000 commands a
 * second are 70 % of what bench/capacities.json says a core does; the request rate is what reacts first, CPU what
 * is right when requests are not what was expected. Connections, with Redis: writer 1, sagas 1, inbox and checkpoints 4,
 * reads 2 where commands are; projections 1, checkpoints 4, reads 5 (DATABASE_POOL_SIZE of the settings) where queries
 * are. A test holds all of it equal to the manifests.
 *
 * Front ends are scaled by what clients ask of them, workers by what waits for them: a worker that is not busy enough
 * may still be late, and a busy one may be early.
 */
export function defaultDeployments({ minPods, maxPods }: { minPods: number; maxPods?: number }): Deployment[] {
  const pods = { coresPerPod: 1, startSeconds: 20 };
  const range = (max: number) => ({ min: minPods, max: maxPods ?? Math.max(minPods, max) });
  const cpu = { metric: 'cpu', kind: 'perPod', target: 0.7 } as const;
  const requests = (target: number) => ({ metric: 'requestsPerSecond', kind: 'perPod', target }) as const;
  return [
    { name: 'query', works: ['reads'], ...pods, connectionsPerPod: 10, rules: { ...frontEnd, ...range(32), targets: [cpu, requests(10_000)] } },
    { name: 'command', works: ['commands'], ...pods, connectionsPerPod: 8, rules: { ...frontEnd, ...range(16), targets: [cpu, requests(3_000)] } },
    {
      name: 'command-worker',
      works: ['inbox'],
      ...pods,
      connectionsPerPod: 8,
      rules: { ...worker, ...range(8), targets: [cpu, { metric: 'inboxAgeSeconds', kind: 'value', target: 5 }] },
    },
    {
      name: 'query-worker',
      works: ['projections'],
      ...pods,
      connectionsPerPod: 10,
      rules: { ...worker, ...range(4), targets: [cpu, { metric: 'projectionLagEvents', kind: 'total', target: 5_000 }] },
    },
  ];
}
