import { parseArgs } from 'node:util';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { run, type Plan, type Ran } from './run.js';
import { topologies, type TopologyName } from './system.js';

const usage = `npm run torture -- [options]

Lets clients loose on processes of Rialto, does to them what networks, disks and machines do, and says what was violated.

  --quick              two runs, some three minutes in all; by default runs for 20 minutes
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
  ? { totalMs: 0, runs: 2, faultsMs: 45_000, calmMs: 8_000 }
  : { totalMs: options.hours ? Number(options.hours) * 3_600_000 : 20 * 60_000, runs: 2, faultsMs: 120_000, calmMs: 15_000 };

async function main(): Promise<number> {
  if (options.help) return console.log(usage), 0;
  const first = options.seed ?? randomBytes(4).toString('hex');
  const names = Object.keys(topologies) as TopologyName[];
  if (options.topology && !names.includes(options.topology as TopologyName)) throw new Error(`there is no topology ${options.topology}`);
  const beganAt = performance.now();
  let failed = 0;
  for (let index = 0; index < mode.runs || performance.now() - beganAt < mode.totalMs; index++) {
    // A run that is to be repeated is the first one of its seed.
    const seed = index === 0 ? first : `${first}.${index}`;
    const topology = (options.topology as TopologyName | undefined) ?? names[index % names.length]!;
    const plan = planOf(seed, topology);
    console.log(`seed ${seed}, ${topology}`);
    const ran = await run(plan);
    tell(ran, plan);
    if (ran.violations.length > 0) failed++;
    if (options.report && (failed <= 1 || ran.violations.length === 0)) await writeReport(ran, options.report);
    if (failed > 0 && options.seed) break;
  }
  return failed > 0 ? 1 : 0;
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

function tell({ history, violations, missing, doneAfterMs }: Ran, plan: Plan): void {
  const answered = history.entries.filter(({ fate }) => fate === 'acknowledged' || fate === 'refused').length;
  if (missing.length > 0) console.log(`  left out, since it is not here: ${missing.join(', ')}`);
  console.log(`  ${history.entries.length} attempts, ${answered} answered; ${history.faults.length} faults; all done ${doneAfterMs === undefined ? 'never' : `${Math.round(doneAfterMs)} ms`} after the last`);
  if (violations.length === 0) return console.log('  nothing was violated');
  for (const { checker, sentence } of violations.slice(0, 20)) console.log(`  ${checker}: ${sentence}`);
  if (violations.length > 20) console.log(`  and ${violations.length - 20} more`);
  console.log(`  again: ${plan.command}`);
}

async function writeReport(_ran: Ran, path: string): Promise<void> {
  await writeFile(path, '');
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof Error ? error.stack : error);
    process.exit(2);
  },
);
