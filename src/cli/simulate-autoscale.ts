import { readFile } from 'node:fs/promises';
import { clientTool } from './client/client-tool.js';
import { dayCurve, daySeconds, readCurve } from './simulate-autoscale/curve.js';
import { simulate } from './simulate-autoscale/model.js';
import { type Capacities, capacitiesSchema, defaultDeployments, type Plan } from './simulate-autoscale/plan.js';
import { charts, csv, judge, minutes, verdictTable } from './simulate-autoscale/report.js';
import { readOptions, UsageError, wholeNumber } from './tool/arguments.js';

const usage = `Usage: npm run simulate:autoscale -- [--reads 12000] [--commands 500] [--orders 100] [--sale-peak 10] [--sale-at 20:00]
                                     [--curve <file.csv>] [--min-pods 2] [--max-pods <n>]
                                     [--postgres-cores 16] [--max-connections 1000] [--partitions 16] [--hottest-share 25]
                                     [--memory-hits 80] [--shared-hits 60] [--many-nodes-percent 115]
                                     [--core-hour-cents 4] [--capacities <file.json>] [--json | --csv]

Replays a day with a flash sale against a model of the autoscalers of docker/kubernetes, and prints nodes, lag and cost,
and what becomes the limit. Nothing is started and nothing is random. --reads, --commands and --orders are the day's
averages per second without the sale; --min-pods and --max-pods are of each deployment; --curve takes them from a file with the columns second, reads, commands, orders.
What a command, an event and a read cost is measured (bench/capacities.json); docs/SCALING.md says what is assumed.`;

await clientTool(usage, async () => {
  const values = readOptions({
    reads: { type: 'string', default: '12000' },
    commands: { type: 'string', default: '500' },
    orders: { type: 'string', default: '100' },
    'sale-peak': { type: 'string', default: '10' },
    'sale-at': { type: 'string', default: '20:00' },
    curve: { type: 'string' },
    'min-pods': { type: 'string', default: '2' },
    'max-pods': { type: 'string' },
    'postgres-cores': { type: 'string', default: '16' },
    'max-connections': { type: 'string', default: '1000' },
    partitions: { type: 'string', default: '16' },
    'hottest-share': { type: 'string', default: '25' },
    'memory-hits': { type: 'string', default: '80' },
    'shared-hits': { type: 'string', default: '60' },
    'many-nodes-percent': { type: 'string', default: '115' },
    'core-hour-cents': { type: 'string', default: '4' },
    capacities: { type: 'string' },
    json: { type: 'boolean', default: false },
    csv: { type: 'boolean', default: false },
  });
  if (values.json && values.csv) throw new UsageError('--json or --csv, not both');
  const number = (name: keyof typeof values, min: number, max: number) => wholeNumber(name, String(values[name]), min, max);

  const saleAt = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(values['sale-at']);
  if (!saleAt) throw new UsageError(`--sale-at: got ${values['sale-at']}; a time such as 20:00`);
  const saleStartSeconds = 3_600 * Number(saleAt[1]) + 60 * Number(saleAt[2]);
  const shape = {
    mean: {
      readsPerSecond: number('reads', 0, 100_000_000),
      commandsPerSecond: number('commands', 0, 10_000_000),
      ordersPerSecond: number('orders', 0, 10_000_000),
    },
    salePeak: number('sale-peak', 1, 10_000),
    saleStartSeconds,
    saleRampSeconds: 60,
    saleDecaySeconds: 300,
  };
  const loadAt = values.curve === undefined ? dayCurve(shape) : await curveFrom(values.curve);
  const minPods = number('min-pods', 1, 1_000);
  const partitions = number('partitions', 1, 256);
  const plan: Plan = {
    capacities: await capacitiesFrom(values.capacities),
    deployments: defaultDeployments({ minPods, ...(values['max-pods'] !== undefined && { maxPods: number('max-pods', minPods, 10_000) }) }),
    // Spread as evenly as can be, the busiest has its part.
    hottestShare: Math.max(1 / partitions, number('hottest-share', 1, 100) / 100),
    partitionCommandsPerSecond: 5_400,
    postgres: { cores: number('postgres-cores', 1, 1_000), maxConnections: number('max-connections', 1, 100_000), reservedConnections: 20 },
    cache: { memoryHits: number('memory-hits', 0, 100) / 100, sharedHits: number('shared-hits', 0, 100) / 100 },
    manyNodesFactor: number('many-nodes-percent', 100, 1_000) / 100,
    waitingPerPod: { reads: 10_000, commands: 10_000 },
    pricePerCoreHour: number('core-hour-cents', 0, 100_000) / 100,
  };
  const day = simulate(plan, loadAt, daySeconds);
  const findings = judge(plan, day);
  if (values.csv) process.stdout.write(`${csv(plan, day)}\n`);
  else if (values.json) process.stdout.write(`${JSON.stringify({ plan, findings, flows: day.flows, coreHours: day.coreHours, minutes: minutes(day) })}\n`);
  else {
    process.stdout.write(`${charts(plan, day, 0, daySeconds)}\n`);
    if (values.curve === undefined && shape.salePeak > 1) {
      const from = Math.max(0, saleStartSeconds - 300);
      process.stdout.write(`The sale:\n${charts(plan, day, from, Math.min(daySeconds, from + 45 * 60))}\n`);
    }
    process.stdout.write(`${verdictTable(findings)}\n\nWhat a command, an event and a read cost was measured on: ${Object.entries(plan.capacities.machine).map(([name, value]) => `${name} ${value}`).join('; ')}.\n`);
  }
  return 0;
});

async function curveFrom(file: string) {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`--curve: ${error.message}`);
  });
  try {
    return readCurve(text);
  } catch (error) {
    throw new UsageError(`--curve ${file}: ${(error as Error).message}`);
  }
}

async function capacitiesFrom(file: string | undefined): Promise<Capacities> {
  const text = await readFile(file ?? new URL('../../bench/capacities.json', import.meta.url), 'utf8').catch((error: Error) => {
    throw new UsageError(`--capacities: ${error.message}`);
  });
  const parsed = capacitiesSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new UsageError(`--capacities: ${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`);
}
