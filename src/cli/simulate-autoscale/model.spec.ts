import fc from 'fast-check';
import { dayCurve, type Load, readCurve } from './curve.js';
import { type Moment, simulate } from './model.js';
import { type Capacities, defaultDeployments, type Plan, works } from './plan.js';
import { charts, csv, judge, minutes } from './report.js';

const cost = { nodeCpuUs: 100, postgresCpuUs: 50, walBytes: 1_000 };
const capacities: Capacities = {
  measuredBy: 'nobody: round numbers for tests',
  machine: {},
  transfer: { ...cost, events: 1 },
  order: { nodeCpuUs: 1_100, postgresCpuUs: 550, walBytes: 9_000, events: 4 },
  projectedEvent: { transfer: cost, order: cost },
  read: { account: { nodeCpuUs: 50, postgresCpuUs: 10, walBytes: 0 }, product: { nodeCpuUs: 50, postgresCpuUs: 10, walBytes: 0 } },
};
const plan: Plan = {
  capacities,
  deployments: defaultDeployments({ minPods: 1, maxPods: 20 }),
  hottestShare: 1 / 16,
  partitionCommandsPerSecond: 5_000,
  postgres: { cores: 8, maxConnections: 500, reservedConnections: 20 },
  cache: { memoryHits: 0, sharedHits: 0 },
  manyNodesFactor: 1,
  waitingPerPod: { reads: 10_000, commands: 10_000 },
  pricePerCoreHour: 0.04,
};
const constant = (load: Partial<Load>) => (): Load => ({ readsPerSecond: 0, commandsPerSecond: 0, ordersPerSecond: 0, ...load });

describe('A day in the model', () => {
  const rate = (max: number) => fc.double({ min: 0, max, noNaN: true });
  const anyCurve = fc.array(fc.record({ readsPerSecond: rate(500_000), commandsPerSecond: rate(50_000), ordersPerSecond: rate(5_000) }), { minLength: 1, maxLength: 12 });
  const anyPlan = fc
    .record({ minPods: fc.integer({ min: 1, max: 4 }), morePods: fc.integer({ min: 0, max: 30 }), cores: fc.integer({ min: 1, max: 32 }), hottestShare: fc.double({ min: 0.01, max: 1, noNaN: true }) })
    .map(({ minPods, morePods, cores, hottestShare }): Plan => ({
      ...plan,
      hottestShare,
      deployments: defaultDeployments({ minPods, maxPods: minPods + morePods }),
      postgres: { ...plan.postgres, cores },
    }));
  const loadOf = (curve: readonly Load[]) => (second: number) => curve[Math.min(curve.length - 1, Math.floor(second / 60))]!;

  test('loses nothing: what arrived was served, was turned away, or waits', () => {
    fc.assert(
      fc.property(anyPlan, anyCurve, (given, curve) => {
        const { flows } = simulate(given, loadOf(curve), 60 * curve.length);
        for (const work of works) {
          const { arrived, served, shed, waiting } = flows[work];
          expect(Math.abs(arrived - served - shed - waiting)).toBeLessThanOrEqual(1e-6 * Math.max(1, arrived));
          expect(Math.min(arrived, served, shed, waiting)).toBeGreaterThanOrEqual(-1e-6);
        }
        // What is accepted, or in the log, is never turned away.
        expect(flows.inbox.shed + flows.projections.shed).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test('keeps within its pods, PostgreSQL\'s cores and the busiest partition', () => {
    fc.assert(
      fc.property(anyPlan, anyCurve, (given, curve) => {
        const { moments } = simulate(given, loadOf(curve), 60 * curve.length);
        const isOutside = ({ pods, postgresCores, hottestPartitionPerSecond }: Moment) =>
          given.deployments.some(({ name, rules }) => pods[name]! < rules.min || pods[name]! > rules.max) ||
          postgresCores > given.postgres.cores ||
          hottestPartitionPerSecond > given.partitionCommandsPerSecond * (1 + 1e-9);
        expect(moments.filter(isOutside)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test('is the same day every time', () => {
    const curve = dayCurve({ mean: constant({ readsPerSecond: 5_000, commandsPerSecond: 200, ordersPerSecond: 50 })(), salePeak: 20, saleStartSeconds: 600, saleRampSeconds: 60, saleDecaySeconds: 120 });
    expect(simulate(plan, curve, 1_800)).toEqual(simulate(plan, curve, 1_800));
  });

  test('settles on the pods that a load needs: its CPU at 70 %', () => {
    // 50 µs each: 100,000 reads are the work of 5 cores.
    const { moments, flows } = simulate(plan, constant({ readsPerSecond: 100_000 }), 1_800);
    expect(moments.at(-1)!.pods.query).toBeGreaterThanOrEqual(7);
    expect(moments.at(-1)!.pods.query).toBeLessThanOrEqual(20);
    expect(flows.reads.shed).toBe(0);
  });

  test('turns reads away until the pods that a sudden load needs have started, and not afterwards', () => {
    const sudden = (second: number) => constant({ readsPerSecond: second < 120 ? 1_000 : 200_000 })();
    const { moments } = simulate(plan, sudden, 900);
    const shedding = moments.filter(({ shedPerSecond }) => shedPerSecond > 0).map(({ second }) => second);
    expect(shedding.length).toBeGreaterThan(0);
    expect(Math.min(...shedding)).toBeGreaterThanOrEqual(120);
    expect(Math.max(...shedding)).toBeLessThan(300);
  });

  test('accepts a peak of orders and works it off: the inbox grows, is served, and is empty again', () => {
    const peak = (second: number) => constant({ ordersPerSecond: second >= 60 && second < 120 ? 4_000 : 10 })();
    const { moments, flows } = simulate({ ...plan, hottestShare: 0.01 }, peak, 1_200);
    expect(Math.max(...moments.map(({ waiting }) => waiting.inbox))).toBeGreaterThan(10_000);
    expect(Math.max(...moments.map(({ pods }) => pods['command-worker']!))).toBeGreaterThan(1);
    expect(flows.inbox.waiting).toBeLessThan(20);
    expect(flows.commands.shed).toBe(0);
  });

  test('is PostgreSQL\'s when its cores are used up: more pods do no more', () => {
    // 50 µs each: two cores are 40,000 commands a second.
    const small = { ...plan, hottestShare: 0.01, postgres: { ...plan.postgres, cores: 2 } };
    const { moments } = simulate(small, constant({ commandsPerSecond: 60_000 }), 900);
    expect(moments.at(-1)!.isPostgresLimit).toBe(true);
    expect(judge(small, simulate(small, constant({ commandsPerSecond: 60_000 }), 900)).find(({ what }) => what === 'PostgreSQL, CPU')).toMatchObject({ isMet: false });
  });

  test('takes from one partition what one line takes, and from sixteen sixteen times that', () => {
    const commands = (hottestShare: number) => {
      const { flows } = simulate({ ...plan, hottestShare, postgres: { ...plan.postgres, cores: 64 } }, constant({ commandsPerSecond: 200_000 }), 600);
      return flows.commands.served / 600;
    };
    expect(Math.round(commands(1))).toBe(5_000);
    expect(Math.round(commands(1 / 16))).toBe(80_000);
  });
});

describe('The day\'s curve', () => {
  const mean = { readsPerSecond: 1_000, commandsPerSecond: 100, ordersPerSecond: 10 };

  test('has the average it is given, is highest in the evening, and halves as the sale fades', () => {
    const curve = dayCurve({ mean, salePeak: 1, saleStartSeconds: 72_000, saleRampSeconds: 60, saleDecaySeconds: 300 });
    const all = Array.from({ length: 1_440 }, (_, minute) => curve(60 * minute).readsPerSecond);
    expect(all.reduce((sum, value) => sum + value, 0) / all.length).toBeCloseTo(1_000, 6);
    expect(all.indexOf(Math.max(...all))).toBeGreaterThan(19 * 60);
    const sale = dayCurve({ mean, salePeak: 11, saleStartSeconds: 72_000, saleRampSeconds: 60, saleDecaySeconds: 300 });
    const excess = (second: number) => sale(second).ordersPerSecond / curve(second).ordersPerSecond - 1;
    expect([71_999, 72_060, 72_360, 72_660].map((second) => Number(excess(second).toFixed(6)))).toEqual([0, 10, 5, 2.5]);
  });

  test('comes from a file, in straight lines between its rows', () => {
    const curve = readCurve('second,reads,commands,orders\n0,0,10,1\n100,1000,10,3\n');
    expect(curve(50)).toEqual({ readsPerSecond: 500, commandsPerSecond: 10, ordersPerSecond: 2 });
    expect(curve(5_000)).toEqual({ readsPerSecond: 1_000, commandsPerSecond: 10, ordersPerSecond: 3 });
    expect(curve(0)).toEqual({ readsPerSecond: 0, commandsPerSecond: 10, ordersPerSecond: 1 });
    expect(() => readCurve('second,reads,commands,orders\n10,1,1,1\n10,1,1,1\n')).toThrow('row 2');
    expect(() => readCurve('second,reads\n10,1\n')).toThrow();
  });
});

test('The report keeps the peaks of seconds, and names what was the limit', () => {
  const spike = (second: number) => constant({ readsPerSecond: second === 3_000 ? 900_000 : 100 })();
  const day = simulate(plan, spike, 7_200);
  const shedInSecond = Math.max(...day.moments.map(({ shedPerSecond }) => shedPerSecond));
  expect(shedInSecond).toBeGreaterThan(0);
  expect(Math.max(...minutes(day).map(({ shedPerSecond }) => shedPerSecond))).toBe(shedInSecond);
  expect(judge(plan, day).filter(({ isMet }) => isMet === false).map(({ what }) => what)).toEqual(['turned away (503)']);
  expect(csv(plan, day).split('\n')).toHaveLength(1 + 120);
  expect(charts(plan, day, 0, 7_200)).toContain('nodes');
});
