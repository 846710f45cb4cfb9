import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';

/** As figure 1, with one account in every transfer; and what that costs beside random accounts. */
export async function hotAccount(bench) {
  const { postgres, rounds, timed } = bench;
  const rialto = await bench.rialto();
  const baseline = await bench.transferServer();
  const measure = async (subject, traffic) =>
    (await transferLoad(postgres, subject, { traffic, ...timed })).perSecond;

  const results = await inTurns(rounds, {
    hot: () => measure(rialto, 'hotTransfer'),
    baseline: () => measure(baseline, 'hotTransfer'),
    uniform: () => measure(rialto, 'transfer'),
  });
  const row = (name, theirs, least) => {
    const ratio = medianRatio(results.hot, theirs);
    return {
      figure: '2 transfers, one hot account',
      rialto: rate(median(results.hot)),
      baseline: `${name} ${rate(median(theirs))}`,
      ratio,
      asked: `≥ ${least}`,
      met: ratio >= least,
    };
  };
  return [
    row('transfer server, hot', results.baseline, 10),
    row('Rialto, random accounts', results.uniform, 0.9),
  ];
}
