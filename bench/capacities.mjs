import { writeFileSync } from 'node:fs';
import { cpuOfSystem, hasProc, machineFacts } from './machine.mjs';
import { load } from './measure.mjs';
import { startPostgres } from './postgres.mjs';
import { startShop } from './shops.mjs';
import { here, stopAll } from './systems.mjs';

/**
 * What one command, one projected event and one read cost, in CPU time and in bytes of WAL: what
 * `npm run simulate:autoscale` computes with. Written to capacities.json.
 *
 * CPU time and bytes, not rates: they say nearly the same on a busy machine, and can be divided among nodes. To tell
 * commands from the projections behind them, the projections' checkpoints are kept locked while the commands run, and
 * what the projections use to catch up afterwards is measured by itself. They then read their events from the log, as
 * they do on a query node of its own, and not from the memory of the process that wrote them.
 */
const [accounts, products] = [10_000, 1_000];
const database = 'bench_capacities';
const loads = { transfer: 20_000, order: 4_000, read: 30_000, product: 30_000 };

/** Holds up all projections until it is called back. A projection is a consumer that is named like its table. */
async function holdProjections(postgres) {
  const holder = await postgres.connect(database);
  await holder.query('BEGIN');
  await holder.query(`select from checkpoints where to_regclass(replace(consumer, '-', '_')) is not null for update`);
  return async () => {
    await holder.query('COMMIT');
    await holder.end();
  };
}

async function main() {
  if (!hasProc) throw new Error('needs /proc');
  const postgres = await startPostgres();
  await postgres.createDatabase(database);
  const shop = await startShop(postgres, database, products, accounts);
  const one = async (sql) => Number(Object.values((await postgres.query(database, sql))[0])[0]);
  const look = async () => ({
    ...cpuOfSystem(shop.pid, postgres.pid),
    wal: await one(`select pg_current_wal_insert_lsn() - '0/0'::pg_lsn`),
    events: await one('select sum(head) from partitions'),
  });
  /** What `work` used, per each of so many. */
  async function used(count, work) {
    const before = await look();
    await work();
    const after = await look();
    const per = (name) => (after[name] - before[name]) / count;
    return {
      nodeCpuUs: Math.round(1e6 * per('server')),
      postgresCpuUs: Math.round(1e6 * per('postgres')),
      walBytes: Math.round(per('wal')),
      events: Number(per('events').toFixed(2)),
    };
  }

  async function command(traffic) {
    const count = loads[traffic];
    await load(shop, { traffic, count: Math.round(count / 10) }); // Warm-up.
    await shop.settleAll();
    await postgres.checkpoint();
    const release = await holdProjections(postgres);
    const costs = await used(count, () => load(shop, { traffic, count }));
    const catchUp = await used(costs.events * count, async () => {
      await release();
      await shop.settleAll();
    });
    return { command: costs, projectedEvent: catchUp };
  }
  async function read(traffic) {
    const count = loads[traffic];
    await load(shop, { traffic, count: Math.round(count / 10) });
    return used(count, () => load(shop, { traffic, count }));
  }

  const transfer = await command('transfer');
  const order = await command('order');
  const reads = [await read('read'), await read('product')];
  const costs = ({ nodeCpuUs, postgresCpuUs, walBytes, events }, hasEvents = false) =>
    ({ nodeCpuUs, postgresCpuUs, walBytes, ...(hasEvents && { events }) });
  const measured = {
    measuredBy: 'node bench/capacities.mjs',
    machine: Object.fromEntries(machineFacts(postgres.version)),
    transfer: costs(transfer.command, true),
    order: costs(order.command, true),
    projectedEvent: { transfer: costs(transfer.projectedEvent), order: costs(order.projectedEvent) },
    read: { account: costs(reads[0]), product: costs(reads[1]) },
  };
  writeFileSync(here('capacities.json'), `${JSON.stringify(measured, null, 2)}\n`);
  console.log(JSON.stringify(measured, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await stopAll();
}
