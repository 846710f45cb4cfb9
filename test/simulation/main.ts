import 'reflect-metadata';
import { fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { simulate, type Simulated } from './simulate.js';

const usage = `npm run simulate -- [options]

Runs the writer, the inbox and the consumers against a simulated PostgreSQL, in one order of events after the other, on
every core.

  --seconds N          as many orders as there is time for; 10 by default
  --seed N             the first order's, a fresh one by default; alone, that one again, step by step
  --all                does not stop at the first that is wrong`;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    all: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
/** So that two cores do not try the same. */
const seedsPerCore = 2 ** 31;

async function main(): Promise<number> {
  if (values.help) return console.log(usage), 0;
  const options = { endOnFailure: !values.all, seconds: Number(values.seconds ?? 10) };
  if (process.send) {
    process.send(await simulate({ ...options, seed: Number(values.seed) }));
    return 0;
  }
  const isAgain = values.seed !== undefined && values.seconds === undefined;
  const beganAtMs = performance.now();
  const results = isAgain ? [await again(Number(values.seed))] : await onEveryCore(Number(values.seed ?? randomInt(1, seedsPerCore)));
  const violations = results.flatMap((result) => result.violations);
  for (const { seed, what } of violations) console.error([`seed ${seed}:`, ...what].join('\n  '));
  console.log(summaryOf(results, (performance.now() - beganAtMs) / 1_000));
  return violations.length > 0 ? 1 : 0;
}

async function again(seed: number): Promise<Simulated> {
  const trace: string[] = [];
  const result = await simulate({ seed, trace });
  console.log(trace.join('\n'));
  return result;
}

const flags = [
  // Of half a minute the compiler would spend a third on functions that it has put others into, for little that they gain.
  '--max-inlined-bytecode-size-cumulative=200',
  // What was often made to last, V8 makes among the old from then on. Here nothing outlasts its world; but what is dead
  // among the old keeps what it knows of the young, which thus lasts too. In three processes of four that took hold: 12 % of
  // all memory was copied twice instead of less than 1 %, in a third of the time.
  '--no-allocation-site-pretenuring',
];

/** Worlds share nothing, and neither do processes. */
async function onEveryCore(firstSeed: number): Promise<Simulated[]> {
  const args = process.argv.slice(2).filter((arg) => arg === '--all');
  return Promise.all(
    Array.from({ length: availableParallelism() }, async (_, core) => {
      const seed = String(firstSeed + core * seedsPerCore);
      const execArgv = [...process.execArgv, ...flags];
      const child = fork(process.argv[1]!, [...args, '--seconds', values.seconds ?? '10', '--seed', seed], { execArgv });
      const ended = once(child, 'exit').then(([code]) => {
        throw new Error(`the simulation from seed ${seed} on ended with ${code}`);
      });
      const [result] = (await Promise.race([once(child, 'message'), ended])) as [Simulated];
      return result;
    }),
  );
}

function summaryOf(results: readonly Simulated[], seconds: number): string {
  const sum = (countOf: (result: Simulated) => number) => results.reduce((total, result) => total + countOf(result), 0);
  const count = (number: number) => Math.round(number).toLocaleString('en');
  const interleavings = sum((result) => result.interleavings);
  const seeds = results.map(({ firstSeed }) => firstSeed).join(' and ');
  const steps = sum((result) => result.steps) / interleavings;
  const checks = sum((result) => result.operationsChecked);
  const violated = sum(({ violations }) => violations.length);
  return (
    `${count(interleavings)} interleavings from seed ${seeds} on, of ${count(steps)} steps, ` +
    `${count(interleavings / seconds)} a second on ${results.length} core${results.length === 1 ? '' : 's'}; ${count(checks)} checks, ${violated} violated`
  );
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(2);
  },
);
