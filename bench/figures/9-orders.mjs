import { inTurns, medianRatio, orderLoad } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';

/**
 * Orders of one unit of a random SKU, each answered when it is confirmed, 128 connections. The checkout server comes
 * twice: with what is pending on the shop's account, as Rialto has it, and without, sharing no row between buyers.
 */
export async function orders(bench) {
  const { postgres, rounds, timed } = bench;
  const shop = await bench.shop();
  const both = await bench.checkoutServer.both();
  const buyer = await bench.checkoutServer.buyer();
  const measure = async (subject) => (await orderLoad(postgres, subject, { traffic: 'order', ...timed })).perSecond;
  const results = await inTurns(rounds, {
    rialto: () => measure(shop),
    both: () => measure(both),
    buyer: () => measure(buyer),
  });
  bench.orderRate = median(results.rialto);
  const row = (name, theirs) => {
    const ratio = medianRatio(results.rialto, theirs);
    return {
      figure: '9 orders confirmed',
      rialto: rate(median(results.rialto)),
      baseline: `${name} ${rate(median(theirs))}`,
      ratio,
      asked: '≥ 1.5',
      met: ratio >= 1.5,
    };
  };
  return [row('checkout server', results.both), row('checkout server, shop\'s row not written', results.buyer)];
}
