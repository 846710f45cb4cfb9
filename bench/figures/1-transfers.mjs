import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';
import { preparePgbench } from '../subjects.mjs';

/** One transfer per request between random accounts, 128 connections, each request with its own key. */
export async function transfers(bench) {
  const { postgres, rounds, timed } = bench;
  const rialto = await bench.rialto();
  const baseline = await bench.transferServer();
  const pgbench = await preparePgbench(postgres, 10);
  const pgbenchHot = await preparePgbench(postgres, 1);
  const seconds = timed.measureMs / 1_000;
  const measure = async (subject) =>
    (await transferLoad(postgres, subject, { traffic: 'transfer', ...timed })).perSecond;

  const results = await inTurns(rounds, {
    rialto: () => measure(rialto),
    baseline: () => measure(baseline),
    ...(pgbench && { pgbench: () => pgbench(seconds) }),
  });
  bench.transferRate = median(results.rialto);
  const row = (name, theirs, least) => {
    const ratio = medianRatio(results.rialto, theirs);
    return {
      figure: '1 transfers, one per request',
      rialto: rate(median(results.rialto)),
      baseline: `${name} ${rate(median(theirs))}`,
      ratio,
      asked: `≥ ${least}`,
      met: ratio >= least,
    };
  };
  const rows = [row('transfer server', results.baseline, 3)];
  if (pgbench) {
    rows.push(row('pgbench scale 10', results.pgbench, 2.5));
    bench.note(`pgbench at scale 1, where its rows are hot: ${rate(await pgbenchHot(seconds))}.`);
  }
  return rows;
}
