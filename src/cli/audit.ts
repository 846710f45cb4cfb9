import { Audit } from '../platform/audit/audit.js';
import { ProjectionCatalogue } from '../platform/consumers/projection-catalogue.js';
import { EventCatalogue } from '../platform/log/catalogue.js';
import { readOptions } from './tool/arguments.js';
import { commandLine } from './tool/command-line.js';

const usage = `Usage: npm run audit

Proves the invariants on a live database: that of DATABASE_URL, or the one in DATA_DIR. Exit code 1 when one is broken.`;

await commandLine(usage, () => readOptions({}), async (app, pool) => {
  const audit = app.get(Audit, { strict: false });
  const catalogues = [app.get(EventCatalogue, { strict: false }), app.get(ProjectionCatalogue, { strict: false })] as const;
  let broken = 0;
  for await (const { invariant, counted, offenders } of audit.run(pool, ...catalogues)) {
    process.stdout.write(`${offenders.length === 0 ? 'holds ' : 'BROKEN'}  ${invariant}: ${counted}\n`);
    for (const offender of offenders) process.stdout.write(`          ${offender}\n`);
    if (offenders.length > 0) broken++;
  }
  process.stdout.write(broken === 0 ? 'All invariants hold.\n' : `${broken} broken.\n`);
  return broken === 0 ? 0 : 1;
});
