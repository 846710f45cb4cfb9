import 'reflect-metadata';
import { randomBytes, randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { simulate } from '../simulation/simulate.js';
import type { History } from './history.js';
import { htmlReport, textFigures, textReport } from './report.js';
import { run, type Plan } from './run.js';
import { topologies, type TopologyName } from './system.js';

const usage = `npm run torture -- [options]

Lets clients loose on processes of Rialto, does to them what networks, disks and machines do, and says what was violated. First the
heart of it is simulated for a while, in many more orders of events (npm run simulate).

  --quick              two runs, some four minutes in all; by default runs for 20 minutes
  --hours N            runs for N hours
  --seed TEXT          of the first run; printed, and by default made up
  --topology NAME      ${Object.keys(topologies).join(' or ')}; by default in turn
  --faults A,B         only faults whose names begin so, e.g. postgres,link-cut
  --clients N          default 10
  --report FILE        writes an HTML page of the last run, or of the first that found something
  --history FILE       writes what clients saw, as JSON lines, of the last run
  --verbose            a line for every fault

Ends with 0 when nothing was violated, with 1 when something was, and with 2 when it could not run.`;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    hours: { type: 'string' },
    seed: { type: 'string' },
    topology: { type: 'string' },
    faults: { type: 'string' },
    clients: { type: 'string', default: '10' },
    report: { type: 'string' },
    history: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** How long the runs take between them, and how long the faults of one. */
const mode = options.quick
  ? { totalMs: 0, runs: 2, faultsMs: 45_000, calmMs: 8_000, simulationSeconds: 15 }
  : { totalMs: options.hours ? Number(options.hours) * 3_600_000 : 20 * 60_000, runs: 2, faultsMs: 120_000, calmMs: 15_000, simulationSeconds: 120 };

async function main(): Promise<number> {
  if (options.help) return console.log(usage), 0;
  const first = options.seed ?? randomBytes(4).toString('hex');
  const names = Object.keys(topologies) as TopologyName[];
  if (options.topology && !names.includes(options.topology as TopologyName)) throw new Error(`there is no topology ${options.topology}`);
  const beganAtMs = performance.now();
  const histories: History[] = [];
  let failed = (await simulation()) ? 0 : 1;
  for (let index = 0; index < mode.runs || performance.now() - beganAtMs < mode.totalMs; index++) {
    // What is repeated by its seed is the first run of that seed.
    const seed = index === 0 ? first : `${first}.${index}`;
    const topology = (options.topology as TopologyName | undefined) ?? names[index % names.length]!;
    const { history, checked, missing } = await run(planOf(seed, topology));
    // For the figures of all: what was answered is looked at by now, and would fill the memory in a night.
    histories.push({ ...history, entries: history.entries.map(({ body: _body, etag: _etag, tokenSent: _sent, tokenReceived: _received, ...entry }) => entry) });
    if (index === 0 && missing.length > 0) console.log(`left out, since it is not here: ${missing.join(', ')}`);
    const isRight = checked.violations.length === 0;
    console.log(isRight ? `${seed} (${topology}): ${history.faults.length} faults, ${checked.objects.calls} calls in linearizable order (${checked.objects.undecided.length} of ${checked.objects.objects} objects undecided), no violation` : `${seed} (${topology}):\n${textReport(history, checked)}`);
    if (!isRight) failed++;
    if (options.report && (isRight ? failed === 0 : failed === 1)) await writeFile(options.report, htmlReport(history, checked));
  }
  const minutes = Math.round((performance.now() - beganAtMs) / 60_000);
  console.log(`\n${histories.length} runs in ${minutes} minutes, ${failed} with violations; seeds ${first} and on\n${textFigures(...histories)}`);
  return failed > 0 ? 1 : 0;
}

/** Whether nothing was violated. What is repeated by its seed, and some faults alone, are of the real processes. */
async function simulation(): Promise<boolean> {
  if (options.seed || options.faults || options.topology) return true;
  const { interleavings, operationsChecked, violations } = await simulate({ seconds: mode.simulationSeconds, seed: randomInt(2 ** 31) });
  console.log(`simulation: ${interleavings} interleavings, ${operationsChecked} checks, ${violations.length === 0 ? 'no violation' : 'violated'}`);
  for (const { seed, what } of violations) console.log([`  again: npm run simulate -- --seed ${seed}`, ...what].join('\n  '));
  return violations.length === 0;
}

function planOf(seed: string, topology: TopologyName): Plan {
  const given = [
    ...(options.quick ? ['--quick'] : []),
    ...(options.faults ? ['--faults', options.faults] : []),
    ...(options.clients !== '10' ? ['--clients', options.clients] : []),
  ];
  return {
    seed,
    command: ['npm run torture --', ...given, '--topology', topology, '--seed', seed].join(' '),
    topology,
    faultsMs: mode.faultsMs,
    calmMs: mode.calmMs,
    clients: Number(options.clients),
    hotPercent: 40,
    faults: options.faults?.split(',') ?? [],
    ...(options.history && { historyPath: options.history }),
    log: options.verbose ? (line) => console.log(line) : () => undefined,
  };
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof Error ? error.stack : error);
    process.exit(2);
  },
);
