import { mutants } from './mutants.js';
import { simulate, type Simulated } from './simulate.js';
import { withSimulatedTime } from './scheduler.js';
import { World } from './world.js';

const seconds = Number(process.env.RIALTO_SIMULATION_SECONDS ?? 8);
const seed = process.env.RIALTO_SIMULATION_SEED === undefined ? undefined : Number(process.env.RIALTO_SIMULATION_SEED);

/** With what to do about it. */
function found({ violations }: Simulated): string[] {
  return violations.map(({ seed, what }) => [`seed ${seed}; step by step: npm run simulate -- --seed ${seed}`, ...what].join('\n  '));
}

describe('However the statements, answers and failures of several processes interleave,', () => {
  const name = 'every command is done once or not at all, what was answered is so, nothing is skipped, and all of it settles';
  test(name, async () => {
    // A seed that is given is run alone, for whoever wants to see it again; and all that come after it, when there is time given.
    const isAlone = seed !== undefined && process.env.RIALTO_SIMULATION_SECONDS === undefined;
    const result = await simulate({ seed, seconds: isAlone ? undefined : seconds });
    expect(found(result)).toEqual([]);
    expect(result.operationsChecked).toBeGreaterThan(result.interleavings);
  }, 60_000 + seconds * 1_000);

  test('a seed is the same run every time, whatever was run before it', async () => {
    const seeds = Array.from({ length: 100 }, (_, index) => index + 1);
    const hashesOf = async (some: readonly number[]) => {
      const hashes = new Map<number, number>();
      for (const one of some) {
        const world = new World(one);
        await world.run();
        expect({ seed: one, violations: world.violations }).toEqual({ seed: one, violations: [] });
        hashes.set(one, world.scheduler.hash);
      }
      return seeds.map((one) => hashes.get(one));
    };
    const [forwards, backwards] = await withSimulatedTime(async () => [await hashesOf(seeds), await hashesOf(seeds.slice().reverse())]);
    expect(backwards).toEqual(forwards);
    // Where there is little to choose, two small ones may be the same.
    expect(new Set(forwards).size).toBeGreaterThan(0.9 * seeds.length);
  });
});

/**
 * Found after thousands of interleavings, by lot: one in seven runs of 55 s on a busy machine, which has 300 a second, did
 * without, and one took 183 s; of the last, 14 runs took 5,000 interleavings in the median, and two of them over 18,000. The
 * others take a second or two. So these are looked for from the seed on where they were found last; with other code, which orders
 * events otherwise, that is one like any other.
 */
const rare: Record<string, number | undefined> = {
  'looks for what a lost statement did while that may still be under way': 500_007,
  'answers what it has only looked up without asking whether it still holds': 503_751,
  'moves a checkpoint although its projection has failed': 835_155_400,
} satisfies Partial<Record<keyof typeof mutants, number>>;

describe('The simulation finds out a heart that', () => {
  test.each(Object.entries(mutants))('%s', async (name, sabotage) => {
    const { firstSeed, violations } = await simulate({ seed: rare[name], seconds: rare[name] ? 300 : 55, sabotage });
    expect({ firstSeed, violations }).toEqual({ firstSeed, violations: [expect.anything()] });
  }, 310_000);
});
