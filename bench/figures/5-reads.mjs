import { inTurns, load, medianRatio } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';
import { startBareFastify, startRialto } from '../subjects.mjs';

/** GET of a random account over 128 connections, without the cache, beside Fastify sending the same JSON from memory. */
export async function reads(bench) {
  const { rounds, timed } = bench;
  const { accounts } = await bench.rialto(); // Who has seeded them.
  const rialto = await startRialto(bench.postgres, 'bench_rialto', accounts, { CACHE_MB: '0' });
  const account = await rialto.read('/accounts/a0');
  const route = '/v1/ledgers/:ledger/accounts/:id';
  const bare = Object.assign(await startBareFastify(route, 'accountId', 'a', accounts, account), { accounts });
  const loadCpuUs = [];
  const measure = async (subject) => {
    await bench.postgres.checkpoint();
    const result = await load(subject, { traffic: 'read', ...timed });
    if (subject === bare) loadCpuUs.push(result.cpuUsPerRequest);
    return result.perSecond;
  };
  const results = await inTurns(rounds, { rialto: () => measure(rialto), bare: () => measure(bare) });
  await bare.stop();
  await rialto.stop();
  const ratio = medianRatio(results.rialto, results.bare);
  bench.note(`The load process used ${median(loadCpuUs).toFixed(1)} µs of CPU per GET of figure 5.`);
  return [
    {
      figure: '5 reading an account, not cached',
      rialto: rate(median(results.rialto)),
      baseline: `bare Fastify ${rate(median(results.bare))}`,
      ratio,
      asked: '≥ 0.35',
      met: ratio >= 0.35,
    },
  ];
}
