import { SingleBar } from 'cli-progress';
import { ProjectionCatalogue } from '../platform/consumers/projection-catalogue.js';
import { Rebuild } from '../platform/consumers/rebuild.js';
import { EventCatalogue } from '../platform/log/catalogue.js';
import { readArguments, UsageError } from './tool/arguments.js';
import { commandLine } from './tool/command-line.js';

const usage = `Usage: npm run rebuild -- <view>

Fills a read table anew beside the live one, in the database of DATABASE_URL or the one in DATA_DIR, and swaps them. Without
a view it says which there are.`;

await commandLine(usage, () => readArguments({}).positionals, async (app, pool, [name, ...more]) => {
  const projections = app.get(ProjectionCatalogue, { strict: false });
  const projection = more.length === 0 && projections.find(name ?? '');
  if (!projection) throw new UsageError(`Name a view, one of: ${projections.names.join(', ')}`);
  const bar = new SingleBar({
    format: `${projection.name} [{bar}] {percentage} % | {value} of {total} events | {eta_formatted} to go`,
    noTTYOutput: true,
    notTTYSchedule: 5_000,
  });
  bar.start(0, 0);
  const catalogue = app.get(EventCatalogue, { strict: false });
  const rebuild = new Rebuild(pool, catalogue, projection, ({ applied, total }) => {
    bar.setTotal(total);
    bar.update(applied);
  });
  try {
    const { rows, different, examples } = await rebuild.run();
    bar.stop();
    process.stdout.write(`${projection.table} was rebuilt with ${rows} rows; ${different} differed from the old table.\n`);
    for (const key of examples) process.stdout.write(`  ${JSON.stringify(key)}\n`);
    return 0;
  } finally {
    bar.stop();
  }
});
