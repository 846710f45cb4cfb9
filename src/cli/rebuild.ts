import { SingleBar } from 'cli-progress';
import { ProjectionCatalogue } from '../platform/consumers/projection-catalogue.js';
import { Rebuild } from '../platform/consumers/rebuild.js';
import { EventCatalogue } from '../platform/log/catalogue.js';
import { commandLine } from './command-line.js';

/** `npm run rebuild -- <view>`: fills a read table anew beside the live one, and swaps them. */
await commandLine(async (app, pool) => {
  const projections = app.get(ProjectionCatalogue, { strict: false });
  const [name] = process.argv.slice(2);
  const projection = projections.find(name ?? '');
  if (!projection) {
    process.stderr.write(`Usage: npm run rebuild -- <view>, one of: ${projections.names.join(', ')}\n`);
    return 1;
  }
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
