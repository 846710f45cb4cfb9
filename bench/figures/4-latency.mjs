import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median, milliseconds } from '../numbers.mjs';

/** One connection: what a caller waits for one transfer when nobody else is there. */
export async function latency(bench) {
  const { postgres, rounds, timed } = bench;
  const rialto = await bench.rialto();
  const baseline = await bench.transferServer();
  const measure = async (subject) =>
    (await transferLoad(postgres, subject, { traffic: 'transfer', connections: 1, ...timed })).p50Ms;

  const results = await inTurns(rounds, { rialto: () => measure(rialto), baseline: () => measure(baseline) });
  const ratio = medianRatio(results.rialto, results.baseline);
  return [
    {
      figure: '4 one transfer at a time, p50',
      rialto: milliseconds(median(results.rialto)),
      baseline: `transfer server ${milliseconds(median(results.baseline))}`,
      ratio,
      asked: '≤ 1.5',
      met: ratio <= 1.5,
    },
  ];
}
