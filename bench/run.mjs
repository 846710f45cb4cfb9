import { parseArgs } from 'node:util';
import { transfers } from './figures/1-transfers.mjs';
import { hotAccount } from './figures/2-hot-account.mjs';
import { bulk } from './figures/3-bulk.mjs';
import { latency } from './figures/4-latency.mjs';
import { reads } from './figures/5-reads.mjs';
import { longLog } from './figures/6-long-log.mjs';
import { writeToVisible } from './figures/7-write-to-visible.mjs';
import { memory } from './figures/8-memory.mjs';
import { orders } from './figures/9-orders.mjs';
import { hotSku } from './figures/10-hot-sku.mjs';
import { placing } from './figures/11-placing.mjs';
import { checkoutTime } from './figures/12-checkout-time.mjs';
import { catalogue } from './figures/13-catalogue.mjs';
import { cachedReads } from './figures/14-cached-reads.mjs';
import { cachedReadsBehindNginx } from './figures/15-cached-reads-behind-nginx.mjs';
import { split } from './figures/16-split.mjs';
import { twoCommandNodes } from './figures/17-two-command-nodes.mjs';
import { splitVisibility } from './figures/18-split-visibility.mjs';
import { frozenRedis } from './figures/19-frozen-redis.mjs';
import { idle } from './figures/20-idle.mjs';
import { machineFacts } from './machine.mjs';
import { load, orderLoad } from './measure.mjs';
import { rate } from './numbers.mjs';
import { startPostgres } from './postgres.mjs';
import { plainTable, results, writeResults } from './report.mjs';
import { startCheckoutServer, startShop } from './shops.mjs';
import { seedRialto, startRialto, startTransferServer } from './subjects.mjs';
import { here, stopAll } from './systems.mjs';

const figures = {
  1: transfers,
  2: hotAccount,
  3: bulk,
  4: latency,
  5: reads,
  6: longLog,
  7: writeToVisible,
  8: memory,
  9: orders,
  10: hotSku,
  11: placing,
  12: checkoutTime,
  13: catalogue,
  14: cachedReads,
  15: cachedReadsBehindNginx,
  16: split,
  17: twoCommandNodes,
  18: splitVisibility,
  19: frozenRedis,
  20: idle,
};

const usage = `npm run bench -- [--quick] [--only <figure>]… [--rounds <n>]

  --quick          a short run: for trying it out, its numbers mean little
  --only <figure>  1 to 20, may be repeated
  --rounds <n>     how often each side of a comparison is measured (default 3)

A full run writes its table into bench/README.md. The exit code is 0 also when a figure misses what was asked
of it, and 1 when something broke: a server did not start, an answer was not 2xx, money was not conserved.`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '3' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const unknown = values.only?.find((figure) => !(figure in figures));
  if (unknown) throw new Error(`--only ${unknown}: there are the figures ${Object.keys(figures).join(', ')}`);
  if (!/^[1-9]\d?$/.test(values.rounds)) throw new Error(`--rounds ${values.rounds}: a number from 1 to 99`);
  return { ...values, rounds: Number(values.rounds) };
}

/** What figures share: the sizes of this run, and the systems that more than one of them measures. */
function createBench(postgres, { quick, rounds }) {
  const notes = [];
  const accounts = 10_000;
  const skus = 10_000;
  const shared = [];
  const once = (start) => {
    const system = { started: undefined };
    shared.push(system);
    return () => (system.started ??= start());
  };
  const trial = { warmMs: 2_000, measureMs: 5_000 };
  /** Which pool is best for a server depends on the machine, so it is looked for rather than set. */
  async function bestOf(start, measure) {
    if (quick) return start(16);
    const tried = [];
    for (const poolSize of [10, 16, 20]) {
      const server = await start(poolSize);
      await postgres.checkpoint();
      tried.push({ poolSize, perSecond: (await measure(server)).perSecond });
      await server.stop();
    }
    const best = tried.reduce((a, b) => (b.perSecond > a.perSecond ? b : a));
    const list = tried.map((each) => `${each.poolSize} connections ${rate(each.perSecond)}`).join(', ');
    const server = await start(best.poolSize);
    notes.push(`${server.name[0].toUpperCase()}${server.name.slice(1)}: pool of ${best.poolSize}, the best of ${list}.`);
    return server;
  }
  async function checkoutServer(hold) {
    const database = `bench_checkout_${hold}`;
    await postgres.createDatabase(database);
    return bestOf(
      (poolSize) => startCheckoutServer(postgres, database, skus, accounts, poolSize, hold),
      (server) => orderLoad(postgres, server, { traffic: 'order', ...trial }),
    );
  }
  return {
    postgres,
    rounds,
    accounts,
    notes,
    note: (text) => notes.push(text),
    /** After a broken figure: the next one gets its systems started anew, whatever state these are in. */
    async startAnew() {
      for (const system of shared) {
        await system.started?.then((server) => server.stop()).catch(() => {});
        system.started = undefined;
      }
    },
    timed: quick ? { warmMs: 1_000, measureMs: 3_000 } : { warmMs: 3_000, measureMs: 10_000 },
    sizes: quick
      ? {
          events: 50_000,
          longLogWarm: 3_000,
          longLogCommands: 6_000,
          memoryAccounts: 10_000,
          memoryTransfers: 100_000,
          products: 10_000,
        }
      : {
          events: 1_000_000,
          longLogWarm: 10_000,
          longLogCommands: 40_000,
          memoryAccounts: 100_000,
          memoryTransfers: 1_000_000,
          products: 100_000,
        },
    rialto: once(async () => {
      await postgres.createDatabase('bench_rialto');
      const rialto = await startRialto(postgres, 'bench_rialto', accounts);
      await seedRialto(rialto);
      return rialto;
    }),
    transferServer: once(async () => {
      await postgres.createDatabase('bench_transfer_server');
      return bestOf(
        (poolSize) => startTransferServer(postgres, 'bench_transfer_server', accounts, poolSize),
        (server) => load(server, { traffic: 'transfer', ...trial }),
      );
    }),
    shop: once(async () => {
      await postgres.createDatabase('bench_shop');
      return startShop(postgres, 'bench_shop', skus, accounts);
    }),
    /** By which accounts keep what is pending: see the checkout server. */
    checkoutServer: {
      both: once(() => checkoutServer('both')),
      buyer: once(() => checkoutServer('buyer')),
    },
  };
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(usage);
  console.log('starting PostgreSQL');
  const postgres = await startPostgres();
  const bench = createBench(postgres, options);
  const rows = [];
  for (const [number, figure] of Object.entries(figures)) {
    if (options.only && !options.only.includes(number)) continue;
    const begin = Date.now();
    console.log(`figure ${number} …`);
    try {
      const measured = await figure(bench);
      rows.push(...measured);
      console.log(plainTable(measured));
    } catch (error) {
      if (stopping) return;
      process.exitCode = 1;
      rows.push({ figure: number, broken: error.message.replace(/\s+/g, ' ').slice(0, 300) });
      console.error(error);
      await bench.startAnew();
    }
    console.log(`figure ${number} took ${Math.round((Date.now() - begin) / 1_000)} s\n`);
  }
  const facts = [
    ...machineFacts(postgres.version),
    ['PostgreSQL settings and environment changed from their defaults', postgres.changedSettings],
    ['Rounds', `${options.rounds}, of ${bench.timed.measureMs / 1_000} s each after a warm-up`],
  ];
  console.log(plainTable(rows));
  console.log(`\n${bench.notes.concat(facts.map((fact) => fact.join(': '))).join('\n')}`);
  if (!options.quick && !options.only) writeResults(here('README.md'), results(rows, bench.notes, facts));
}

let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    if (stopping) return;
    stopping = true;
    console.error(`\n${signal}: stopping what was started`);
    await stopAll();
    process.exit(130);
  });
}

try {
  await main();
} catch (error) {
  if (!stopping) console.error(error.message);
  process.exitCode = 1;
} finally {
  if (!stopping) await stopAll();
}
