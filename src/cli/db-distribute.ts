import { distribute, prepare, Refusal } from './db-distribute/distribute.js';
import { readOptions, UsageError, wholeNumber } from './tool/arguments.js';
import { commandLine } from './tool/command-line.js';

const usage = `Usage: npm run db:distribute -- [--dry-run] [--nodes <n>]

Brings the tables of the write side onto the Citus cluster of DATABASE_URL, distributed by partition. All nodes of Rialto
must be stopped; the last line says with what settings they are started again. --dry-run prints the statements and changes
nothing; --nodes says how many worker nodes there are, where there is no Citus to ask.`;

/** `npm run db:distribute`: docs/SCALING.md, "Citus". Exit code 1 when it is not done. */
await commandLine(usage, whatToDo, async (_app, pool, options) => {
  const sql = await pool.connect();
  try {
    const preparation = await prepare(sql, options.nodes);
    const { shardCount, nodes } = preparation.placement;
    process.stdout.write(`-- ${shardCount} shards\n`);
    nodes.forEach((partitions, node) => process.stdout.write(`-- node ${node + 1}: partitions ${partitions.join(', ') || 'none'}\n`));
    if (options.isDryRun) {
      process.stdout.write(`BEGIN;\n${preparation.steps.map((step) => `${step.sql};\n`).join('')}COMMIT;\n`);
      process.stdout.write(`-- ${whatNodesNeed(preparation.partitions)}`);
      return 0;
    }
    await distribute(sql, preparation);
    process.stdout.write(`The write tables are distributed.\n${whatNodesNeed(preparation.partitions)}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  } finally {
    sql.release();
  }
});

/** What was planned is what they send with these settings, and with no others. */
function whatNodesNeed(partitions: number): string {
  return `Start the nodes with WRITER_LANES=${partitions}, one for each partition, and with REDIS_URL: the queues' own SQL is not for several servers.\n`;
}

function whatToDo(): { isDryRun: boolean; nodes: number | undefined } {
  const values = readOptions({ 'dry-run': { type: 'boolean', default: false }, nodes: { type: 'string' } });
  const nodes = values.nodes === undefined ? undefined : wholeNumber('nodes', values.nodes, 1, 999);
  // Told a number, it would distribute for a cluster that may not be there.
  if (nodes !== undefined && !values['dry-run']) throw new UsageError('--nodes is for --dry-run: Citus says how many there are');
  return { isDryRun: values['dry-run'], nodes };
}
