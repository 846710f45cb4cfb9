import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { simulate } from './simulate.js';

const usage = `npm run simulate -- [options]

Runs the writer, the inbox and the consumers against a simulated PostgreSQL, in one order of events after the other.

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

async function main(): Promise<number> {
  if (values.help) return console.log(usage), 0;
  // Of half a minute the compiler would spend a third on functions that it has put others into, for little that they gain.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=200');
  const isAgain = values.seed !== undefined && values.seconds === undefined;
  const trace: string[] | undefined = isAgain ? [] : undefined;
  const beganAtMs = performance.now();
  const result = await simulate({
    ...(values.seed !== undefined && { seed: Number(values.seed) }),
    ...(!isAgain && { seconds: Number(values.seconds ?? 10) }),
    endOnFailure: !values.all,
    trace,
  });
  if (trace) console.log(trace.join('\n'));
  for (const { seed, what } of result.violations) console.error([`seed ${seed}:`, ...what].join('\n  '));
  console.log(summaryOf(result, (performance.now() - beganAtMs) / 1_000));
  return result.violations.length > 0 ? 1 : 0;
}

function summaryOf({ firstSeed, interleavings, steps, operationsChecked, violations }: Awaited<ReturnType<typeof simulate>>, seconds: number): string {
  const count = (number: number) => Math.round(number).toLocaleString('en');
  const what = `${count(interleavings)} interleavings from seed ${firstSeed} on, of ${count(steps / interleavings)} steps`;
  return `${what}, ${count(interleavings / seconds)} a second; ${count(operationsChecked)} checks, ${violations.length} violated`;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    process.exit(2);
  },
);
