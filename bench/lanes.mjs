import { cpuOfSystem, hasProc, machineFacts } from './machine.mjs';
import { inTurns, load, medianRatio } from './measure.mjs';
import { median } from './numbers.mjs';
import { startPostgres } from './postgres.mjs';
import { startShop } from './shops.mjs';
import { stopAll } from './systems.mjs';

/**
 * What a lane for each partition costs on one PostgreSQL, beside one lane: transfers over 64 ledgers, and orders, a second
 * and in PostgreSQL's CPU. The two processes are on databases of their own and take turns. ADR 0021 has the result.
 */
const rounds = 3;
const counts = { ledgerTransfer: 8_000, order: 2_000 };
const ledgers = Array.from({ length: 64 }, (_, number) => number);

async function openLedgers({ host, port }) {
  for (const number of ledgers) {
    for (const account of [{ accountId: 'world', overdraft: 'unlimited' }, { accountId: 'shop' }]) {
      const body = JSON.stringify({ ...account, currency: 'EUR' });
      const answer = await fetch(`http://${host}:${port}/v1/ledgers/l${number}/accounts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      if (!answer.ok) throw new Error(`opening an account: ${answer.status} ${await answer.text()}`);
    }
  }
}

async function main() {
  if (!hasProc) throw new Error('needs /proc');
  const postgres = await startPostgres();
  const contenders = {};
  for (const lanes of [1, 16]) {
    const database = `bench_lanes_${lanes}`;
    await postgres.createDatabase(database);
    const shop = await startShop(postgres, database, 1_000, 1_000, { WRITER_LANES: String(lanes) });
    await openLedgers(shop);
    for (const [traffic, count] of Object.entries(counts)) {
      await load(shop, { traffic, count: count / 4, ports: [shop.port], ledgers: [ledgers] }); // Warm-up.
      contenders[`${traffic} ${lanes}`] = async () => {
        await shop.settleAll();
        await postgres.checkpoint();
        const before = cpuOfSystem(shop.pid, postgres.pid);
        const begin = performance.now();
        await load(shop, { traffic, count, ports: [shop.port], ledgers: [ledgers] });
        const seconds = (performance.now() - begin) / 1_000;
        await shop.settleAll();
        const after = cpuOfSystem(shop.pid, postgres.pid);
        const us = (name) => Math.round(((after[name] - before[name]) / count) * 1e6);
        return { perSecond: count / seconds, postgresUs: us('postgres'), nodeUs: us('server') };
      };
    }
  }
  const results = await inTurns(rounds, contenders);
  for (const traffic of Object.keys(counts)) {
    const [one, sixteen] = [1, 16].map((lanes) => results[`${traffic} ${lanes}`]);
    for (const what of ['perSecond', 'postgresUs', 'nodeUs']) {
      const [ofOne, ofSixteen] = [one, sixteen].map((all) => all.map((result) => result[what]));
      console.log(`${traffic}, ${what}: one lane ${Math.round(median(ofOne))}, sixteen ${Math.round(median(ofSixteen))}, ratio ${medianRatio(ofSixteen, ofOne).toFixed(2)}`);
    }
  }
  console.log(machineFacts(postgres.version).map((fact) => fact.join(': ')).join('\n'));
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await stopAll();
}
