import { plot, type Point } from 'simple-ascii-chart';
import type { Day, Moment } from './model.js';
import { type Plan, works } from './plan.js';

export interface Finding {
  readonly what: string;
  readonly value: string;
  /** Absent: a number to know, with no limit of its own. */
  readonly isMet?: boolean;
}

const round = (value: number, digits = 0) => Number(value.toFixed(digits)).toLocaleString('en-US');
const clock = (second: number) => [second / 3_600, (second / 60) % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':');
const perMinute = 60;

const podsOf = ({ pods }: Moment) => Object.values(pods).reduce((sum, count) => sum + count, 0);

function peakOf(day: Day, of: (moment: Moment) => number): { value: number; at: string } {
  let peak = day.moments[0]!;
  for (const moment of day.moments) if (of(moment) > of(peak)) peak = moment;
  return { value: of(peak), at: clock(peak.second) };
}

/** What the day says about the plan: its peaks beside its limits. */
export function judge(plan: Plan, day: Day): Finding[] {
  const { deployments, postgres } = plan;
  const findings: Finding[] = [];
  const all = peakOf(day, podsOf);
  findings.push({ what: 'nodes at the peak', value: `${all.value} at ${all.at}, ${podsOf(day.moments[0]!)} at midnight` });
  for (const { name, rules } of deployments) {
    const peak = peakOf(day, ({ pods }) => pods[name]!);
    findings.push({ what: `  ${name}`, value: `${peak.value} at ${peak.at}, of at most ${rules.max}`, isMet: peak.value < rules.max });
  }
  const age = peakOf(day, ({ inboxAgeSeconds }) => inboxAgeSeconds);
  findings.push({ what: 'oldest accepted command', value: `${round(age.value)} s at ${age.at}` });
  const lag = peakOf(day, ({ waiting }) => waiting.projections);
  const lagSeconds = peakOf(day, ({ projectionLagSeconds }) => projectionLagSeconds);
  findings.push({ what: 'views behind', value: `${round(lagSeconds.value)} s at ${lagSeconds.at}; ${round(lag.value)} events at ${lag.at}` });
  const left = works.filter((work) => day.flows[work].waiting > 1 && (work === 'inbox' || work === 'projections'));
  for (const work of left) {
    const isAtRest = day.flows[work].waiting < 2 * (day.flows[work].arrived / day.moments.length) + 10;
    if (!isAtRest) findings.push({ what: `${work} at the end`, value: `${round(day.flows[work].waiting)} still waiting`, isMet: false });
  }
  const requests = day.flows.reads.arrived + day.flows.commands.arrived;
  const shed = day.flows.reads.shed + day.flows.commands.shed;
  const shedFrom = day.moments.find(({ shedPerSecond }) => shedPerSecond > 0);
  findings.push({
    what: 'turned away (503)',
    value: shedFrom ? `${round(shed)} of ${round(requests)} requests (${round((100 * shed) / requests, 3)} %), from ${clock(shedFrom.second)}` : `none of ${round(requests)} requests`,
    isMet: !shedFrom,
  });
  const cores = peakOf(day, ({ postgresCores }) => postgresCores);
  const full = day.moments.find(({ isPostgresLimit }) => isPostgresLimit);
  findings.push({
    what: 'PostgreSQL, CPU',
    value: `${round(cores.value, 2)} of ${postgres.cores} cores at ${cores.at}; ${full ? `the limit from ${clock(full.second)}` : 'never the limit'}`,
    isMet: !full,
  });
  const usable = postgres.maxConnections - postgres.reservedConnections;
  const connections = peakOf(day, (moment) => moment.connections);
  findings.push({
    what: 'PostgreSQL, connections',
    value: `${round(connections.value)} at ${connections.at}, of ${usable} (max_connections ${postgres.maxConnections}, ${postgres.reservedConnections} kept back)`,
    isMet: connections.value <= usable,
  });
  const wal = peakOf(day, ({ walBytesPerSecond }) => walBytesPerSecond);
  const walOfDay = day.moments.reduce((sum, { walBytesPerSecond }) => sum + walBytesPerSecond, 0);
  findings.push({ what: 'PostgreSQL, WAL', value: `${round(wal.value / 1e6, 1)} MB/s at ${wal.at}, ${round(walOfDay / 1e9, 1)} GB in the day` });
  const hottest = peakOf(day, ({ hottestPartitionPerSecond }) => hottestPartitionPerSecond);
  findings.push({
    what: 'busiest partition',
    value: `${round(hottest.value)} commands/s at ${hottest.at}, of ${round(plan.partitionCommandsPerSecond)}`,
    // At the limit the model holds it there.
    isMet: hottest.value < 0.999 * plan.partitionCommandsPerSecond,
  });
  const redis = peakOf(day, ({ redisOpsPerSecond }) => redisOpsPerSecond);
  findings.push({ what: 'Redis', value: `${round(redis.value)} operations/s at ${redis.at}` });
  const coreHours = Object.values(day.coreHours).reduce((sum, hours) => sum + hours, 0);
  const coresAtPeak = deployments.reduce((sum, { name, coresPerPod }) => sum + coresPerPod * peakOf(day, ({ pods }) => pods[name]!).value, 0);
  const always = (coresAtPeak * day.moments.length) / 3_600;
  findings.push({
    what: 'cost of the nodes',
    value: `${round(coreHours)} core hours, ${round(coreHours * plan.pricePerCoreHour, 2)}; with the peak's nodes all day ${round(always)}, ${round(always * plan.pricePerCoreHour, 2)}`,
  });
  return findings;
}

export function verdictTable(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ what }) => what.length)) + 2;
  return findings.map(({ what, value, isMet }) => `  ${isMet === undefined ? '     ' : isMet ? 'ok   ' : 'LIMIT'} ${what.padEnd(width)}${value}`).join('\n');
}

/** The worst of each minute: a peak of seconds must not be lost between two samples. */
export function minutes(day: Day): Moment[] {
  const result: Moment[] = [];
  for (let from = 0; from < day.moments.length; from += perMinute) result.push(worstOf(day.moments.slice(from, from + perMinute)));
  return result;
}

function worstOf(moments: readonly Moment[]): Moment {
  const most = (of: (moment: Moment) => number) => moments.reduce((worst, moment) => Math.max(worst, of(moment)), 0);
  const [first] = moments as [Moment];
  return {
    second: first.second,
    pods: Object.fromEntries(Object.keys(first.pods).map((name) => [name, most(({ pods }) => pods[name]!)])),
    waiting: Object.fromEntries(works.map((work) => [work, most(({ waiting }) => waiting[work])])) as Moment['waiting'],
    shedPerSecond: most((moment) => moment.shedPerSecond),
    inboxAgeSeconds: most((moment) => moment.inboxAgeSeconds),
    projectionLagSeconds: most((moment) => moment.projectionLagSeconds),
    postgresCores: most((moment) => moment.postgresCores),
    isPostgresLimit: moments.some(({ isPostgresLimit }) => isPostgresLimit),
    connections: most((moment) => moment.connections),
    walBytesPerSecond: most((moment) => moment.walBytesPerSecond),
    redisOpsPerSecond: most((moment) => moment.redisOpsPerSecond),
    hottestPartitionPerSecond: most((moment) => moment.hottestPartitionPerSecond),
  };
}

const columns = 72;

/** Nodes, lag and cost of a part of the day, in three charts under each other. */
export function charts(plan: Plan, day: Day, fromSecond: number, toSecond: number): string {
  const part = day.moments.slice(Math.max(0, fromSecond), toSecond);
  const step = Math.ceil(part.length / columns);
  const sampled: Moment[] = [];
  for (let from = 0; from < part.length; from += step) sampled.push(worstOf(part.slice(from, from + step)));
  const isLong = part.length > 4 * 3_600;
  const x = (second: number) => (isLong ? Number((second / 3_600).toFixed(2)) : Number(((second - fromSecond) / 60).toFixed(2)));
  const line = (of: (moment: Moment) => number): Point[] => sampled.map((moment) => [x(moment.second), Number(of(moment).toFixed(2))]);
  const chart = (title: string, points: Point[]) =>
    plot(points, {
      title,
      width: columns,
      height: 9,
      yRange: [0, Math.max(1, ...points.map(([, y]) => y))],
      customXAxisTicks: ticks(sampled, x),
      formatter: (value: number) => Number(value.toFixed(1)),
      xLabel: isLong ? 'hour of the day' : `minutes from ${clock(fromSecond)}`,
    });
  const costPerHour = ({ pods }: Moment) =>
    plan.pricePerCoreHour * plan.deployments.reduce((sum, { name, coresPerPod }) => sum + coresPerPod * pods[name]!, 0);
  return [
    chart('nodes', line(podsOf)),
    chart('seconds behind: the oldest accepted command, or the oldest event that the views do not show', line((moment) => Math.max(moment.inboxAgeSeconds, moment.projectionLagSeconds))),
    chart('cost of the nodes, per hour', line(costPerHour)),
  ].join('\n');
}

function ticks(sampled: readonly Moment[], x: (second: number) => number): number[] {
  return Array.from({ length: 7 }, (_, index) => x(sampled[Math.floor((index * (sampled.length - 1)) / 6)]!.second));
}

export function csv(plan: Plan, day: Day): string {
  const names = plan.deployments.map(({ name }) => name);
  const head = ['minute', ...names, 'inboxAgeSeconds', 'projectionLagSeconds', 'projectionLagEvents', 'shedPerSecond', 'postgresCores', 'connections', 'walBytesPerSecond', 'redisOpsPerSecond'];
  const rows = minutes(day).map((moment) =>
    [
      clock(moment.second),
      ...names.map((name) => moment.pods[name]!),
      ...[moment.inboxAgeSeconds, moment.projectionLagSeconds, moment.waiting.projections, moment.shedPerSecond].map((value) => Math.round(value)),
      moment.postgresCores.toFixed(3),
      moment.connections,
      Math.round(moment.walBytesPerSecond),
      Math.round(moment.redisOpsPerSecond),
    ].join(),
  );
  return [head.join(), ...rows].join('\n');
}
