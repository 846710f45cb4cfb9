import { parseArgs } from 'node:util';
import { commandLine } from './command-line.js';
import { distribute, prepare, Refusal } from './db-distribute/distribute.js';

const usage = `Usage: npm run db:distribute -- [--dry-run] [--nodes <n>]

Brings the tables of the write side onto the Citus cluster of DATABASE_URL, distributed by partition. All nodes of Rialto
must be stopped. --dry-run prints the statements and changes nothing; --nodes says how many worker nodes there are, where
there is no Citus to ask.`;

/** `npm run db:distribute`: docs/SCALING.md, "Citus". Exit code 1 when it is not done. */
await commandLine(async (_app, pool) => {
  const options = readOptions();
  if (options === undefined) {
    process.stderr.write(`${usage}\n`);
    return 1;
  }
  const sql = await pool.connect();
  try {
    const preparation = await prepare(sql, options.nodes);
    const { shardCount, nodes } = preparation.placement;
    process.stdout.write(`-- ${shardCount} shards\n`);
    nodes.forEach((partitions, node) => process.stdout.write(`-- node ${node + 1}: partitions ${partitions.join(', ') || 'none'}\n`));
    if (options.isDryRun) {
      process.stdout.write(`BEGIN;\n${preparation.steps.map((step) => `${step.sql};\n`).join('')}COMMIT;\n`);
      return 0;
    }
    await distribute(sql, preparation);
    process.stdout.write('The write tables are distributed.\n');
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  } finally {
    sql.release();
  }
});

function readOptions(): { isDryRun: boolean; nodes: number | undefined } | undefined {
  try {
    const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false }, nodes: { type: 'string' } } });
    if (values.nodes !== undefined && !/^[1-9]\d{0,2}$/.test(values.nodes)) return undefined;
    // Told a number, it would distribute for a cluster that may not be there.
    if (values.nodes !== undefined && !values['dry-run']) return undefined;
    return { isDryRun: values['dry-run'], nodes: values.nodes === undefined ? undefined : Number(values.nodes) };
  } catch {
    return undefined;
  }
}
