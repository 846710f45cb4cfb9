import { inTurns, medianRatio, orderLoad } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';

/**
 * Orders accepted with `Prefer: respond-async`, beside orders answered when they are confirmed. Those that were
 * accepted are checked out meanwhile and afterwards, and the load is over when all of them are confirmed.
 */
export async function placing(bench) {
  const { postgres, rounds, timed } = bench;
  const shop = await bench.shop();
  const results = await inTurns(rounds, {
    accepted: () => orderLoad(postgres, shop, { traffic: 'placeOrder', ...timed }),
    confirmed: () => orderLoad(postgres, shop, { traffic: 'order', ...timed }),
  });
  const accepted = results.accepted.map((round) => round.perSecond);
  const confirmed = results.confirmed.map((round) => round.perSecond);
  const throughout = results.accepted.map(
    ({ acknowledged, totalSeconds, settleMs }) => acknowledged / (totalSeconds + settleMs / 1_000),
  );
  const seconds = (median(results.accepted.map((round) => round.settleMs)) / 1_000).toFixed(1);
  bench.note(
    `Placing: all were confirmed, and shown by the views, ${seconds} s after the last was accepted; with that time ` +
      `and the warm-up counted in: ${rate(median(throughout))}.`,
  );
  const ratio = medianRatio(accepted, confirmed);
  return [
    {
      figure: '11 orders accepted',
      rialto: rate(median(accepted)),
      baseline: `Rialto, confirmed ${rate(median(confirmed))}`,
      ratio,
      asked: '≥ 2',
      met: ratio >= 2,
    },
  ];
}
