import { inTurns, load, medianRatio } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';
import { seedRialto } from '../subjects.mjs';
import { startSplit } from '../topologies.mjs';

/** Transfers accepted with `Prefer: respond-async` while Redis is frozen, beside the same with Redis. */
export async function frozenRedis(bench) {
  const { postgres, rounds, timed } = bench;
  const database = 'bench_frozen';
  await postgres.createDatabase(database);
  const rialto = await startSplit(postgres, database, bench.accounts);
  await seedRialto(rialto);
  async function accept(frozen) {
    await postgres.checkpoint();
    const before = await rialto.countTransfers();
    if (frozen) rialto.redis.signal('SIGSTOP');
    const result = await load(rialto, { traffic: 'acceptTransfer', ...timed });
    rialto.redis.signal('SIGCONT');
    const waiting = `select count(*)::int as n from commands where status = 'accepted'`;
    while ((await postgres.query(database, waiting))[0].n > 0) await new Promise((resume) => setTimeout(resume, 100));
    const posted = (await rialto.countTransfers()) - before;
    if (posted !== result.acknowledged) throw new Error(`${result.acknowledged} accepted, ${posted} posted`);
    return result.perSecond;
  }
  const results = await inTurns(rounds, { frozen: () => accept(true), normal: () => accept(false) });
  await rialto.stop();
  const ratio = medianRatio(results.frozen, results.normal);
  return [
    {
      figure: '19 transfers accepted while Redis is frozen',
      rialto: rate(median(results.frozen)),
      baseline: `Rialto, Redis as usual ${rate(median(results.normal))}`,
      ratio,
      asked: '≥ 0.9',
      met: ratio >= 0.9,
    },
  ];
}
