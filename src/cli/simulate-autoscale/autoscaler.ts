/**
 * The HorizontalPodAutoscaler of Kubernetes (autoscaling/v2) and what KEDA adds to it, as their documentation and the
 * controller's source describe them:
 *
 * - For each metric, desired = ceil(replicas × measured / target), and the present number when the ratio is within the
 *   tolerance (0.1) of 1. The largest of all metrics counts.
 *   https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
 * - Pods that are not ready yet count as using nothing when it would scale up, so that it does not ask again for what
 *   is on its way.
 * - Stabilisation: it goes up to no more than the smallest, and down to no less than the largest recommendation of the
 *   direction's window. Then the policies limit how many pods come or go within a period; the most generous one counts.
 *   https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
 * - KEDA makes such an autoscaler with external metrics, from 1 on; between 0 and 1 it decides itself: up when a metric
 *   exceeds its activation value, down when none did for the cool-down.
 *   https://keda.sh/docs/latest/reference/scaledobject-spec/
 */
export interface ScalingRules {
  /** 0 only with `keda`. */
  readonly min: number;
  readonly max: number;
  readonly targets: readonly Target[];
  readonly tolerance: number;
  readonly up: Behaviour;
  readonly down: Behaviour;
  readonly keda?: { readonly pollingSeconds: number; readonly cooldownSeconds: number };
}

/** `projectionLagEvents` is of the view that is furthest behind. */
export const metrics = ['cpu', 'requestsPerSecond', 'inboxAgeSeconds', 'projectionLagEvents'] as const;
export type Metric = (typeof metrics)[number];

export interface Target {
  /** `cpu` is the used share of what the pods requested, 0 to 1. */
  readonly metric: Metric;
  /**
   * - `perPod`: the average over the ready pods (metrics of type Resource and Pods).
   * - `total`: one number for all of them, divided among the replicas (External, AverageValue).
   * - `value`: one number that more pods make smaller, and that is not divided (External, Value): an age.
   */
  readonly kind: 'perPod' | 'total' | 'value';
  readonly target: number;
  /** KEDA only: the workload is active above this. */
  readonly activation?: number;
}

export interface Behaviour {
  readonly windowSeconds: number;
  readonly policies: readonly Policy[];
}

export interface Policy {
  readonly type: 'Pods' | 'Percent';
  readonly value: number;
  readonly periodSeconds: number;
}

export interface Observed {
  readonly replicas: number;
  /** Of the replicas, those that serve. */
  readonly ready: number;
  readonly metrics: Readonly<Record<Metric, number>>;
}

interface Change {
  readonly atSeconds: number;
  readonly pods: number;
}

export class Autoscaler {
  private recommendations: { atSeconds: number; replicas: number }[] = [];
  private added: Change[] = [];
  private removed: Change[] = [];
  private lastActiveSeconds = 0;
  private polledSeconds = -Infinity;

  constructor(readonly rules: ScalingRules) {}

  /** How many replicas there should be now. Asked every sync period (15 s), with times that never decrease. */
  decide(nowSeconds: number, observed: Observed): number {
    const { keda, min } = this.rules;
    if (!keda || min > 0) return this.decideFromOne(nowSeconds, observed);
    if (nowSeconds - this.polledSeconds >= keda.pollingSeconds) {
      this.polledSeconds = nowSeconds;
      const isActive = this.rules.targets.some(({ metric, activation = 0 }) => observed.metrics[metric] > activation);
      if (isActive) this.lastActiveSeconds = nowSeconds;
      if (observed.replicas === 0) return isActive ? 1 : 0;
      if (nowSeconds - this.lastActiveSeconds > keda.cooldownSeconds) return 0;
    }
    return observed.replicas === 0 ? 0 : this.decideFromOne(nowSeconds, observed);
  }

  private decideFromOne(nowSeconds: number, observed: Observed): number {
    const { replicas } = observed;
    const { targets, up, down, min, max } = this.rules;
    const wanted = Math.max(...targets.map((target) => this.wantedFor(target, observed)));
    this.recommendations.push({ atSeconds: nowSeconds, replicas: wanted });
    const longestWindowSeconds = Math.max(up.windowSeconds, down.windowSeconds);
    this.recommendations = this.recommendations.filter(({ atSeconds }) => atSeconds > nowSeconds - longestWindowSeconds || atSeconds === nowSeconds);
    const within = ({ windowSeconds }: Behaviour) =>
      this.recommendations.filter(({ atSeconds }) => atSeconds > nowSeconds - windowSeconds || atSeconds === nowSeconds).map((one) => one.replicas);
    const atLeast = Math.min(...within(up));
    const atMost = Math.max(...within(down));
    const stable = replicas < atLeast ? atLeast : replicas > atMost ? atMost : replicas;

    const floor = Math.max(min, 1);
    let decided = Math.min(max, Math.max(floor, stable));
    if (decided > replicas) decided = Math.min(decided, Math.max(replicas, this.limitOf(up, nowSeconds, replicas, 1)));
    else if (decided < replicas) decided = Math.max(decided, Math.min(replicas, this.limitOf(down, nowSeconds, replicas, -1)));
    decided = Math.min(max, Math.max(floor, decided));
    if (decided > replicas) this.added.push({ atSeconds: nowSeconds, pods: decided - replicas });
    if (decided < replicas) this.removed.push({ atSeconds: nowSeconds, pods: replicas - decided });
    return decided;
  }

  private wantedFor({ metric, kind, target }: Target, { replicas, ready, metrics }: Observed): number {
    const measured = metrics[metric];
    const isWithinTolerance = (ratio: number) => Math.abs(ratio - 1) <= this.rules.tolerance;
    if (kind === 'total') {
      return isWithinTolerance(measured / (target * replicas)) ? replicas : Math.ceil(measured / target);
    }
    const ratio = measured / target;
    if (kind === 'perPod' && ratio > 1 && ready < replicas) {
      const ratioOverAll = (measured * ready) / (target * replicas);
      // Smaller than 1: what is on its way is more than enough. It is no reason to call it back either.
      return ratioOverAll <= 1 || isWithinTolerance(ratioOverAll) ? replicas : Math.ceil(ratioOverAll * replicas);
    }
    return isWithinTolerance(ratio) ? replicas : Math.ceil(ratio * ready);
  }

  /** How far the most generous policy lets it go; `direction` 1 is up. */
  private limitOf({ policies }: Behaviour, nowSeconds: number, replicas: number, direction: 1 | -1): number {
    const limits = policies.map(({ type, value, periodSeconds }) => {
      const since = (changes: readonly Change[]) =>
        changes.filter(({ atSeconds }) => atSeconds > nowSeconds - periodSeconds).reduce((sum, { pods }) => sum + pods, 0);
      const atStart = replicas - since(this.added) + since(this.removed);
      if (type === 'Pods') return atStart + direction * value;
      return direction === 1 ? Math.ceil(atStart * (1 + value / 100)) : Math.floor(atStart * (1 - value / 100));
    });
    return direction === 1 ? Math.max(...limits) : Math.min(...limits);
  }
}
