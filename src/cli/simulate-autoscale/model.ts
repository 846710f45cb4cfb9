import { Autoscaler, type Metric } from './autoscaler.js';
import type { Load } from './curve.js';
import { type Deployment, type Plan, type Work, works } from './plan.js';

/**
 * A fluid model of a day, second by second: amounts are real numbers, and nothing is random, so the same plan and
 * curve always give the same day.
 *
 * In a second each deployment's pods serve what waits, as far as their CPU goes. What they would serve in sum may be
 * more than PostgreSQL has CPU for: then all serve in proportion less. Requests that find too many before them are
 * shed with 503; what the inbox and the log hold waits, however long. Every fifteen seconds the autoscalers look at
 * the averages since they looked last.
 *
 * What it leaves out: the network, memory, disks (WAL is counted, not limited), the time that a request takes when
 * nothing waits, and that PostgreSQL works worse the fuller it gets.
 */
export interface Moment {
  readonly second: number;
  readonly pods: Readonly<Record<string, number>>;
  readonly waiting: Readonly<Record<Work, number>>;
  readonly shedPerSecond: number;
  readonly inboxAgeSeconds: number;
  readonly projectionLagSeconds: number;
  readonly postgresCores: number;
  readonly isPostgresLimit: boolean;
  readonly connections: number;
  readonly walBytesPerSecond: number;
  readonly redisOpsPerSecond: number;
  readonly hottestPartitionPerSecond: number;
}

export interface Flow {
  readonly arrived: number;
  readonly served: number;
  readonly shed: number;
  readonly waiting: number;
}

export interface Day {
  readonly moments: readonly Moment[];
  readonly flows: Readonly<Record<Work, Flow>>;
  readonly coreHours: Readonly<Record<string, number>>;
}

export const syncSeconds = 15;

/** What waits, oldest first, by the second in which it came. */
class Line {
  private readonly cohorts: { second: number; amount: number }[] = [];
  private first = 0;
  amount = 0;

  join(second: number, amount: number): void {
    if (amount <= 0) return;
    this.cohorts.push({ second, amount });
    this.amount += amount;
  }

  serve(amount: number): void {
    let left = Math.min(amount, this.amount);
    this.amount -= left;
    while (left > 0 && this.first < this.cohorts.length) {
      const cohort = this.cohorts[this.first]!;
      const taken = Math.min(left, cohort.amount);
      cohort.amount -= taken;
      left -= taken;
      if (cohort.amount <= 1e-9) this.first++;
    }
    if (this.first > 10_000) {
      this.cohorts.splice(0, this.first);
      this.first = 0;
    }
  }

  ageSeconds(second: number): number {
    const oldest = this.cohorts[this.first];
    return this.amount > 1e-6 && oldest ? second - oldest.second : 0;
  }
}

/** Per unit of a work: CPU of the node, CPU of PostgreSQL, WAL. */
interface UnitCost {
  readonly nodeCpuUs: number;
  readonly postgresCpuUs: number;
  readonly walBytes: number;
}

class Pods {
  private starting: { readyAtSecond: number; pods: number }[] = [];
  readonly scaler: Autoscaler;
  coreSeconds = 0;
  /** Since the autoscaler looked last. */
  usedCoreSeconds = 0;
  readyCoreSeconds = 0;
  requests = 0;
  readySeconds = 0;

  constructor(
    readonly deployment: Deployment,
    public ready: number,
  ) {
    this.scaler = new Autoscaler(deployment.rules);
  }

  get replicas(): number {
    return this.ready + this.starting.reduce((sum, { pods }) => sum + pods, 0);
  }

  begin(second: number): void {
    for (const batch of this.starting) if (batch.readyAtSecond <= second) this.ready += batch.pods;
    this.starting = this.starting.filter(({ readyAtSecond }) => readyAtSecond > second);
    const { coresPerPod } = this.deployment;
    this.coreSeconds += this.replicas * coresPerPod;
    this.readyCoreSeconds += this.ready * coresPerPod;
    this.readySeconds += this.ready;
  }

  scale(second: number, measured: Pick<Record<Metric, number>, 'inboxAgeSeconds' | 'projectionLagEvents'>): void {
    const metrics = {
      ...measured,
      cpu: this.readyCoreSeconds === 0 ? 0 : this.usedCoreSeconds / this.readyCoreSeconds,
      requestsPerSecond: this.readySeconds === 0 ? 0 : this.requests / this.readySeconds,
    };
    this.usedCoreSeconds = this.readyCoreSeconds = this.requests = this.readySeconds = 0;
    const wanted = this.scaler.decide(second, { replicas: this.replicas, ready: this.ready, metrics });
    const more = wanted - this.replicas;
    if (more > 0) this.starting.push({ readyAtSecond: second + this.deployment.startSeconds, pods: more });
    else this.remove(-more);
  }

  /** Those that are not ready yet go first, the youngest of them before all. */
  private remove(count: number): void {
    let left = count;
    for (const batch of this.starting.toReversed()) {
      const gone = Math.min(left, batch.pods);
      batch.pods -= gone;
      left -= gone;
    }
    this.starting = this.starting.filter(({ pods }) => pods > 0);
    this.ready -= left;
  }
}

/** So long the first second's load goes on before the day begins, so that it begins with the pods that this needs. */
const warmUpSeconds = 900;

/** A day, or the first `seconds` of it. */
export function simulate(plan: Plan, loadAt: (second: number) => Load, seconds: number): Day {
  const { capacities, postgres, cache } = plan;
  const { transfer, order, projectedEvent, read } = capacities;
  const pods = plan.deployments.map((deployment) => new Pods(deployment, Math.max(deployment.rules.min, 1)));
  const lines: Record<Work, Line> = { reads: new Line(), commands: new Line(), inbox: new Line(), projections: new Line() };
  const flows = Object.fromEntries(works.map((work) => [work, { arrived: 0, served: 0, shed: 0 }])) as Record<Work, { arrived: number; served: number; shed: number }>;
  const moments: Moment[] = [];

  const checkoutWrites = Math.max(1, order.events - 1);
  const writesOf: Record<Work, number> = { reads: 0, commands: 1, inbox: checkoutWrites, projections: 0 };
  // Placing an order is one command; the rest of an order's cost is its checkout's.
  const rest = (name: keyof UnitCost) => Math.max(0, order[name] - transfer[name]);
  const missed = (1 - cache.memoryHits) * (1 - cache.sharedHits);
  const costs = (share: { ordersOfCommands: number }, factor: number): Record<Work, UnitCost> => {
    const ofOrders = eventShareOfOrders(share.ordersOfCommands, order.events);
    const mixed = (name: keyof UnitCost) => ofOrders * projectedEvent.order[name] + (1 - ofOrders) * projectedEvent.transfer[name];
    return {
      reads: { nodeCpuUs: Math.max(read.account.nodeCpuUs, read.product.nodeCpuUs), postgresCpuUs: missed * Math.max(read.account.postgresCpuUs, read.product.postgresCpuUs), walBytes: 0 },
      commands: { nodeCpuUs: factor * transfer.nodeCpuUs, postgresCpuUs: factor * transfer.postgresCpuUs, walBytes: transfer.walBytes },
      inbox: { nodeCpuUs: factor * rest('nodeCpuUs'), postgresCpuUs: factor * rest('postgresCpuUs'), walBytes: rest('walBytes') },
      projections: { nodeCpuUs: mixed('nodeCpuUs'), postgresCpuUs: mixed('postgresCpuUs'), walBytes: mixed('walBytes') },
    };
  };

  for (let second = -warmUpSeconds; second < seconds; second++) {
    if (second === 0) {
      for (const one of pods) one.coreSeconds = 0;
      for (const work of works) flows[work] = { arrived: lines[work].amount, served: 0, shed: 0 };
    }
    for (const one of pods) one.begin(second);
    const load = loadAt(Math.max(0, second));
    const podsWith = (work: Work) => pods.filter(({ deployment }) => deployment.works.includes(work));
    const readyFor = (work: Work) => podsWith(work).reduce((sum, { ready }) => sum + ready, 0);

    const arrivals = { reads: load.readsPerSecond, commands: load.commandsPerSecond + load.ordersPerSecond };
    const ordersOfCommands = arrivals.commands === 0 ? 0 : load.ordersPerSecond / arrivals.commands;
    let shed = 0;
    const arrive = (work: Work, amount: number) => {
      lines[work].join(second, amount);
      flows[work].arrived += amount;
    };
    for (const work of ['reads', 'commands'] as const) {
      arrive(work, arrivals[work]);
      const serving = podsWith(work);
      const ready = readyFor(work);
      for (const one of serving) one.requests += ready === 0 ? 0 : (arrivals[work] * one.ready) / ready;
    }

    const writers = readyFor('commands') + readyFor('inbox');
    const unit = costs({ ordersOfCommands }, writers > 1 ? plan.manyNodesFactor : 1);
    // What the pods would serve. Those that share a work share it as they have CPU left.
    const wanted = Object.fromEntries(works.map((work) => [work, 0])) as Record<Work, number>;
    const shares = new Map<Pods, Partial<Record<Work, number>>>();
    // The busiest partition's writes are in one line: it bounds how much can be written in all.
    let writable = plan.partitionCommandsPerSecond / plan.hottestShare;
    const left = new Map(pods.map((one) => [one, one.ready * one.deployment.coresPerPod * 1e6]));
    for (const work of works) {
      let remaining = Math.min(lines[work].amount, writesOf[work] === 0 ? Infinity : writable / writesOf[work]);
      for (const one of podsWith(work)) {
        const budget = left.get(one)!;
        const amount = unit[work].nodeCpuUs === 0 ? remaining : Math.min(remaining, budget / unit[work].nodeCpuUs);
        left.set(one, budget - amount * unit[work].nodeCpuUs);
        shares.set(one, { ...shares.get(one), [work]: amount });
        wanted[work] += amount;
        remaining -= amount;
      }
      writable = Math.max(0, writable - wanted[work] * writesOf[work]);
    }
    const wantedCores = works.reduce((sum, work) => sum + wanted[work] * unit[work].postgresCpuUs, 0) / 1e6;
    const factor = wantedCores > postgres.cores ? postgres.cores / wantedCores : 1;

    const served = {} as Record<Work, number>;
    for (const work of works) {
      // A read that a cache answers does not wait for PostgreSQL: only the others are served less.
      const share = work === 'reads' ? 1 - missed + missed * factor : factor;
      served[work] = wanted[work] * share;
      lines[work].serve(served[work]);
      flows[work].served += served[work];
      for (const [one, amounts] of shares) one.usedCoreSeconds += ((amounts[work] ?? 0) * share * unit[work].nodeCpuUs) / 1e6;
    }
    const checkouts = served.commands * ordersOfCommands;
    arrive('inbox', checkouts);
    const events = served.commands * transfer.events + served.inbox * Math.max(0, order.events - transfer.events);
    arrive('projections', events);

    for (const work of ['reads', 'commands'] as const) {
      const excess = Math.max(0, lines[work].amount - plan.waitingPerPod[work] * Math.max(1, readyFor(work)));
      // The newest are turned away; by whom the line is shortened makes no difference to its length.
      lines[work].serve(excess);
      flows[work].shed += excess;
      shed += excess;
    }

    const ages = { inboxAgeSeconds: lines.inbox.ageSeconds(second), projectionLagSeconds: lines.projections.ageSeconds(second) };
    // A lookup in the shared tier and, after a miss, a store; one message per projections' commit, at most 50 a second a worker.
    const lookups = served.reads * (1 - cache.memoryHits);
    const commits = Math.min(served.projections, 50 * Math.max(1, readyFor('projections')));
    if (second >= 0) moments.push({
      second,
      pods: Object.fromEntries(pods.map((one) => [one.deployment.name, one.replicas])),
      waiting: Object.fromEntries(works.map((work) => [work, lines[work].amount])) as Record<Work, number>,
      shedPerSecond: shed,
      ...ages,
      postgresCores: Math.min(wantedCores, postgres.cores),
      isPostgresLimit: factor < 1,
      connections: pods.reduce((sum, one) => sum + one.replicas * one.deployment.connectionsPerPod, 0),
      walBytesPerSecond: works.reduce((sum, work) => sum + served[work] * unit[work].walBytes, 0),
      redisOpsPerSecond: lookups * (2 - cache.sharedHits) + commits,
      hottestPartitionPerSecond: (served.commands + served.inbox * checkoutWrites) * plan.hottestShare,
    });
    if ((second + 1 + warmUpSeconds) % syncSeconds === 0) {
      for (const one of pods) one.scale(second + 1, { inboxAgeSeconds: ages.inboxAgeSeconds, projectionLagEvents: lines.projections.amount });
    }
  }
  return {
    moments,
    flows: Object.fromEntries(works.map((work) => [work, { ...flows[work], waiting: lines[work].amount }])) as Record<Work, Flow>,
    coreHours: Object.fromEntries(pods.map((one) => [one.deployment.name, one.coreSeconds / 3_600])),
  };
}

/** Of the events that commands and checkouts make, those that orders make. */
function eventShareOfOrders(ordersOfCommands: number, eventsPerOrder: number): number {
  const ofOrders = ordersOfCommands * eventsPerOrder;
  return ofOrders === 0 ? 0 : ofOrders / (ofOrders + 1 - ordersOfCommands);
}
