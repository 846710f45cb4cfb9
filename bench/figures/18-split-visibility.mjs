import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median, milliseconds, rate } from '../numbers.mjs';
import { seedRialto } from '../subjects.mjs';
import { startSplit } from '../topologies.mjs';

/** Figure 7 with a command and a query node over Redis, beside all in one. */
export async function splitVisibility(bench) {
  const { postgres, rounds, timed } = bench;
  const all = await bench.rialto();
  await postgres.createDatabase('bench_visible');
  const split = await startSplit(postgres, 'bench_visible', bench.accounts);
  await seedRialto(split);
  bench.transferRate ??= (await transferLoad(postgres, all, { traffic: 'transfer', ...timed })).perSecond;
  const asked = bench.transferRate / 2;
  const job = { traffic: 'transfer', rate: asked, readEvery: 20, ...timed };
  const results = await inTurns(rounds, {
    split: () => transferLoad(postgres, split, job),
    all: () => transferLoad(postgres, all, job),
  });
  await split.stop();
  const p99 = (name) => results[name].map((round) => round.visibleP99Ms);
  const reached = median(results.split.map((round) => round.perSecond));
  const ratio = medianRatio(p99('split'), p99('all'));
  bench.note(
    `Write to visible, split: ${rate(reached)} of ${rate(asked)} wanted, p50 ` +
      `${milliseconds(median(results.split.map((round) => round.visibleP50Ms)))} beside ` +
      `${milliseconds(median(results.all.map((round) => round.visibleP50Ms)))} all in one.`,
  );
  return [
    {
      figure: '18 write to visible over two nodes and Redis, p99',
      rialto: milliseconds(median(p99('split'))),
      baseline: `Rialto, all in one ${milliseconds(median(p99('all')))}`,
      ratio,
      asked: '≤ 2, at ≥ 95 % of that rate',
      met: ratio <= 2 && reached >= 0.95 * asked,
    },
  ];
}
