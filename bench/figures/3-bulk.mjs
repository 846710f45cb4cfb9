import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median, milliseconds, rate } from '../numbers.mjs';
import { preparePgbench } from '../subjects.mjs';

/** 1,000 transfers per request over 4 connections, and how long the views take to show the last of them. */
export async function bulk(bench) {
  const { postgres, rounds, timed } = bench;
  const rialto = await bench.rialto();
  const pgbench = await preparePgbench(postgres, 10);
  const results = await inTurns(rounds, {
    rialto: () => transferLoad(postgres, rialto, { traffic: 'bulk', items: 1_000, connections: 4, ...timed }),
    ...(pgbench && { pgbench: () => pgbench(timed.measureMs / 1_000) }),
  });
  const ours = results.rialto.map((round) => round.perSecond);
  const ratio = pgbench && medianRatio(ours, results.pgbench);
  const caughtUp = results.rialto.map(
    ({ acknowledged, totalSeconds, catchUpMs }) => acknowledged / (totalSeconds + catchUpMs / 1_000),
  );
  const catchUp = milliseconds(median(results.rialto.map((round) => round.catchUpMs)));
  bench.note(
    `Bulk: the views showed the last transfer ${catchUp} after its answer; with that time and the warm-up ` +
      `counted in: ${rate(median(caughtUp))}.`,
  );
  return [
    {
      figure: '3 transfers, 1,000 per request',
      rialto: rate(median(ours)),
      baseline: pgbench ? `pgbench scale 10 ${rate(median(results.pgbench))}` : 'pgbench not found',
      ratio,
      asked: '≥ 8',
      met: pgbench && ratio >= 8,
    },
  ];
}
