import { inTurns, medianRatio, orderLoad } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';

/** As figure 9, with one SKU in every order; and what that costs beside random SKUs. */
export async function hotSku(bench) {
  const { postgres, rounds, timed } = bench;
  const shop = await bench.shop();
  const baseline = await bench.checkoutServer.both();
  const measure = async (subject, traffic) => (await orderLoad(postgres, subject, { traffic, ...timed })).perSecond;

  const results = await inTurns(rounds, {
    hot: () => measure(shop, 'hotOrder'),
    baseline: () => measure(baseline, 'hotOrder'),
    uniform: () => measure(shop, 'order'),
  });
  const row = (name, theirs, least) => {
    const ratio = medianRatio(results.hot, theirs);
    return {
      figure: '10 orders confirmed, one hot SKU',
      rialto: rate(median(results.hot)),
      baseline: `${name} ${rate(median(theirs))}`,
      ratio,
      asked: `≥ ${least}`,
      met: ratio >= least,
    };
  };
  return [row('checkout server, hot', results.baseline, 6), row('Rialto, random SKUs', results.uniform, 0.8)];
}
