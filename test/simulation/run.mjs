/**
 * The simulation outside of Jest: `node test/simulation/run.mjs --seconds 60`, or `--seed 1234` for one run again, step by step.
 * Sources are compiled as they are loaded.
 */
import { register } from 'node:module';
import { parseArgs } from 'node:util';

register('./typescript-loader.mjs', import.meta.url);
await import('reflect-metadata');
const { simulate } = await import('./simulate.ts');

const options = { seconds: { type: 'string' }, seed: { type: 'string' }, interleavings: { type: 'string' }, all: { type: 'boolean' } };
const { seconds, seed, interleavings, all } = parseArgs({ options }).values;
const numberOf = (text) => (text === undefined ? undefined : Number(text));
const trace = seed !== undefined && seconds === undefined && interleavings === undefined ? [] : undefined;
const started = performance.now();
const result = await simulate({
  seconds: numberOf(seconds),
  seed: numberOf(seed),
  interleavings: numberOf(interleavings),
  endOnFailure: !all,
  trace,
});
if (trace) console.log(trace.join('\n'));
const took = (performance.now() - started) / 1_000;
for (const { seed, what } of result.violations) console.error([`seed ${seed}:`, ...what].join('\n  '));
const count = (number) => Math.round(number).toLocaleString('en');
console.log(
  `${count(result.interleavings)} interleavings of ${count(result.steps / result.interleavings)} steps, ` +
    `${count(result.interleavings / took)} a second; ${count(result.operationsChecked)} checks, ${result.violations.length} violated`,
);
process.exitCode = result.violations.length > 0 ? 1 : 0;
