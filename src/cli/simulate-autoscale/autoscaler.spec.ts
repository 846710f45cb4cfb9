import fc from 'fast-check';
import { Autoscaler, type Metric, type Observed, type ScalingRules } from './autoscaler.js';

const rules: ScalingRules = {
  min: 2,
  max: 40,
  targets: [{ metric: 'cpu', kind: 'perPod', target: 0.7 }],
  tolerance: 0.1,
  up: { windowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }, { type: 'Pods', value: 4, periodSeconds: 15 }] },
  down: { windowSeconds: 300, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
};
const none: Record<Metric, number> = { cpu: 0, requestsPerSecond: 0, inboxAgeSeconds: 0, projectionLagEvents: 0 };
const observed = (replicas: number, metrics: Partial<Record<Metric, number>>, ready = replicas): Observed => ({ replicas, ready, metrics: { ...none, ...metrics } });
const decision = (given: Partial<ScalingRules>, ...seen: Parameters<typeof observed>) => new Autoscaler({ ...rules, ...given }).decide(0, observed(...seen));

describe('One decision', () => {
  test.each([
    ['the example of the documentation: 90 % of 75 % asks for a fifth more', { max: 100, targets: [{ metric: 'cpu', kind: 'perPod', target: 0.75 }] }, 50, { cpu: 0.9 }, 60],
    ['within the tolerance nothing changes', {}, 10, { cpu: 0.76 }, 10],
    ['just outside of it something does', {}, 10, { cpu: 0.78 }, 12],
    ['what is divided among the pods asks for its share', { targets: [{ metric: 'projectionLagEvents', kind: 'total', target: 5_000 }] }, 2, { projectionLagEvents: 21_000 }, 5],
    ['an age twice the target asks for twice as many', { targets: [{ metric: 'inboxAgeSeconds', kind: 'value', target: 5 }] }, 3, { inboxAgeSeconds: 10 }, 6],
    ['the hungriest of several metrics is heard', { targets: [rules.targets[0]!, { metric: 'requestsPerSecond', kind: 'perPod', target: 100 }] }, 4, { cpu: 0.7, requestsPerSecond: 150 }, 6],
    ['never more than the most', {}, 30, { cpu: 1 }, 40],
    ['no more at once than the more generous policy lets: here four', { targets: [{ metric: 'cpu', kind: 'perPod', target: 0.1 }] }, 2, { cpu: 1 }, 6],
    ['and here twice as many', { targets: [{ metric: 'cpu', kind: 'perPod', target: 0.1 }] }, 12, { cpu: 1 }, 24],
  ] as const)('%s', (_what, given, replicas, metrics, expected) => {
    expect(decision(given, replicas, metrics)).toBe(expected);
  });

  test('pods on their way count as idle, so they are not asked for again', () => {
    expect(decision({}, 8, { cpu: 1 }, 4)).toBe(8);
    // Unless they will not do: 8 pods' work on 10 pods is still 0.8 of them, a seventh above the target.
    expect(decision({}, 10, { cpu: 1 }, 8)).toBe(12);
  });
});

test('It goes down when five minutes have asked for less, and no further than any of them did', () => {
  const scaler = new Autoscaler(rules);
  let replicas = scaler.decide(0, observed(10, { cpu: 0.7 }));
  const history: number[] = [];
  for (let now = 15; now <= 600; now += 15) {
    // Work of 6 pods, but for a moment, at 120 s, of 8.
    replicas = scaler.decide(now, observed(replicas, { cpu: ((now === 120 ? 8 : 6) * 0.7) / replicas }));
    history.push(replicas);
  }
  expect(history.slice(0, 19)).toEqual(Array.from({ length: 19 }, () => 10));
  expect(history[(300 - 15) / 15]).toBe(8);
  expect(history[(405 - 15) / 15]).toBe(8);
  expect(history[(420 - 15) / 15]).toBe(6);
});

test('KEDA wakes a sleeping workload when it is active, and lets it sleep after the cool-down', () => {
  const scaler = new Autoscaler({
    ...rules,
    min: 0,
    targets: [{ metric: 'inboxAgeSeconds', kind: 'value', target: 5, activation: 1 }],
    keda: { pollingSeconds: 30, cooldownSeconds: 300 },
  });
  const at = (now: number, replicas: number, inboxAgeSeconds: number) => scaler.decide(now, observed(replicas, { inboxAgeSeconds }));
  expect(at(0, 0, 0)).toBe(0);
  // Between two polls it does not look.
  expect(at(15, 0, 100)).toBe(0);
  expect(at(30, 0, 1)).toBe(0);
  expect(at(60, 0, 2)).toBe(1);
  expect(at(360, 1, 0)).toBe(1);
  expect(at(390, 1, 0)).toBe(0);
});

describe('Whatever it is shown,', () => {
  const policies = fc.array(
    fc.record({ type: fc.constantFrom('Pods' as const, 'Percent' as const), value: fc.integer({ min: 1, max: 200 }), periodSeconds: fc.constantFrom(15, 30, 60) }),
    { minLength: 1, maxLength: 3 },
  );
  const behaviour = fc.record({ windowSeconds: fc.constantFrom(0, 15, 60, 300), policies });
  const anyRules = fc
    .record({ min: fc.integer({ min: 1, max: 10 }), more: fc.integer({ min: 0, max: 50 }), up: behaviour, down: behaviour })
    .map(({ min, more, up, down }): ScalingRules => ({ ...rules, min, max: min + more, up, down }));
  /** Used CPU in pods' worth, one number for every fifteen seconds. */
  const anyLoad = fc.array(fc.double({ min: 0, max: 80, noNaN: true }), { minLength: 1, maxLength: 80 });

  function run(given: ScalingRules, load: readonly number[]) {
    const scaler = new Autoscaler(given);
    let replicas = given.min;
    return load.map((used, index) => {
      const before = replicas;
      const cpu = Math.min(1, used / replicas);
      const within = Math.abs(cpu / 0.7 - 1) <= 0.1;
      replicas = scaler.decide(15 * index, observed(before, { cpu }));
      return { atSeconds: 15 * index, before, replicas, wanted: within ? before : Math.ceil((cpu / 0.7) * before) };
    });
  }

  test('there are never fewer than the least or more than the most', () => {
    fc.assert(
      fc.property(anyRules, anyLoad, (given, load) => {
        for (const { replicas } of run(given, load)) {
          expect(replicas).toBeGreaterThanOrEqual(given.min);
          expect(replicas).toBeLessThanOrEqual(given.max);
        }
      }),
    );
  });

  test('it goes up only to what the whole window asked for, and down only from what none of it asked for', () => {
    fc.assert(
      fc.property(anyRules, anyLoad, (given, load) => {
        const steps = run(given, load);
        for (const step of steps) {
          const asked = (windowSeconds: number) =>
            steps.filter(({ atSeconds }) => atSeconds === step.atSeconds || (atSeconds < step.atSeconds && atSeconds > step.atSeconds - windowSeconds)).map(({ wanted }) => wanted);
          if (step.replicas > step.before) expect(step.replicas).toBeLessThanOrEqual(Math.max(given.min, Math.min(...asked(given.up.windowSeconds))));
          if (step.replicas < step.before) expect(step.replicas).toBeGreaterThanOrEqual(Math.min(given.max, Math.max(...asked(given.down.windowSeconds))));
        }
      }),
    );
  });

  test('within the window of going down, it does not go back below what it went up to', () => {
    fc.assert(
      fc.property(anyRules, anyLoad, (given, load) => {
        const steps = run(given, load);
        steps.forEach((rise, index) => {
          if (rise.replicas <= rise.before) return;
          const soon = steps.slice(index + 1).filter(({ atSeconds }) => atSeconds < rise.atSeconds + given.down.windowSeconds);
          for (const { replicas } of soon) expect(replicas).toBeGreaterThanOrEqual(rise.replicas);
        });
      }),
    );
  });

  test('a load that stays the same ends in a number that stays the same', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 30, noNaN: true }), (used) => {
        const last = run(rules, Array.from({ length: 80 }, () => used)).slice(-30).map(({ replicas }) => replicas);
        expect(new Set(last).size).toBe(1);
      }),
    );
  });
});
