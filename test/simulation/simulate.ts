import { randomInt } from 'node:crypto';
import { withSimulatedTime } from './scheduler.js';
import { World, type Sabotage } from './world.js';

export interface Simulated {
  readonly firstSeed: number;
  /** How many runs there were, each with an order of its own. */
  interleavings: number;
  steps: number;
  /** How many answers, commits and records were held against the rules. */
  operationsChecked: number;
  violations: { readonly seed: number; readonly what: readonly string[] }[];
}

export interface SimulateOptions {
  /** The first seed, and the only one where neither `seconds` nor `interleavings` is given. Default: a fresh one. */
  readonly seed?: number;
  readonly interleavings?: number;
  /** As many as there is time for. */
  readonly seconds?: number;
  /** Stop at the first that is wrong. Default: yes. */
  readonly endOnFailure?: boolean;
  readonly sabotage?: Sabotage;
  /** Is told step by step what happens. */
  readonly trace?: string[];
}

/** Runs the heart of the product against a simulated PostgreSQL, one seed after the other. */
export async function simulate({ seed = randomInt(1, 2 ** 31), interleavings, seconds, endOnFailure = true, sabotage, trace }: SimulateOptions): Promise<Simulated> {
  const deadline = seconds === undefined ? Infinity : Date.now() + seconds * 1_000;
  const limit = interleavings ?? (seconds === undefined ? 1 : Infinity);
  const { now } = Date;
  const result: Simulated = { firstSeed: seed, interleavings: 0, steps: 0, operationsChecked: 0, violations: [] };
  return withSimulatedTime(async (breathe) => {
    while (result.interleavings < limit && now() < deadline) {
      const world = new World(seed + result.interleavings, sabotage);
      if (trace) world.traceInto(trace);
      await world.run();
      result.interleavings++;
      result.steps += world.scheduler.steps;
      result.operationsChecked += world.checks.checked;
      if (world.violations.length > 0) {
        result.violations.push({ seed: world.seed, what: world.violations });
        if (endOnFailure) break;
      }
      // Timers and signals of whoever runs this get their turn.
      if (result.interleavings % 50 === 0) await breathe();
    }
    return result;
  });
}
