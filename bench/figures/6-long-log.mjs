import { cpuOfSystem, hasProc } from '../machine.mjs';
import { inTurns, load, medianRatio, transferLoad } from '../measure.mjs';
import { median } from '../numbers.mjs';
import { seedRialto, startRialto } from '../subjects.mjs';

/**
 * Whether the past makes the present slower: transfers per CPU second of the server and PostgreSQL, with a
 * long log and with a short one of the same accounts. Every turn starts the product anew, so both begin with
 * nothing in memory, and the short log begins each turn as a fresh copy. The views' share of the work is
 * counted: the CPU time is read when they have caught up.
 */
export async function longLog(bench) {
  const { postgres, rounds, sizes } = bench;
  if (!hasProc) throw new Error('needs /proc');
  await postgres.createDatabase('log_seed');
  const seed = await startRialto(postgres, 'log_seed', bench.accounts);
  await seedRialto(seed);
  await seed.stop();

  await postgres.createDatabase('log_long', 'log_seed');
  const filler = await startRialto(postgres, 'log_long', bench.accounts);
  const fill = { traffic: 'bulk', items: 1_000, connections: 4, count: sizes.events / 1_000 };
  await transferLoad(postgres, filler, fill);
  await filler.stop();
  // Now rather than by autovacuum in the middle of a turn, which would be charged to the long log.
  await postgres.query('log_long', 'vacuum analyze');

  const split = { short: [], long: [] };
  async function turn(name) {
    if (name === 'short') {
      await postgres.createDatabase('log_short', 'log_seed');
      await postgres.query('log_short', 'vacuum analyze');
    }
    const rialto = await startRialto(postgres, `log_${name}`, bench.accounts);
    await transferLoad(postgres, rialto, { traffic: 'transfer', count: sizes.longLogWarm });
    await postgres.checkpoint();
    const before = cpuOfSystem(rialto.pid, postgres.pid);
    const result = await load(rialto, { traffic: 'transfer', count: sizes.longLogCommands });
    await rialto.settle(result.token);
    const after = cpuOfSystem(rialto.pid, postgres.pid);
    await rialto.stop();
    const server = after.server - before.server;
    const database = after.postgres - before.postgres;
    split[name].push([server, database].map((seconds) => (seconds / sizes.longLogCommands) * 1e6));
    return sizes.longLogCommands / (server + database);
  }
  const results = await inTurns(rounds, { long: () => turn('long'), short: () => turn('short') });
  const us = (name, index) => `${Math.round(median(split[name].map((pair) => pair[index])))} µs`;
  bench.note(
    `CPU per transfer: server ${us('short', 0)}, PostgreSQL ${us('short', 1)} with a short log; ` +
      `${us('long', 0)} and ${us('long', 1)} with the long one.`,
  );
  const ratio = medianRatio(results.long, results.short);
  return [
    {
      figure: `6 transfers per CPU second, ${sizes.events.toLocaleString('en')} events in the log`,
      rialto: Math.round(median(results.long)).toLocaleString('en'),
      baseline: `Rialto, empty log ${Math.round(median(results.short)).toLocaleString('en')}`,
      ratio,
      asked: '≥ 0.9',
      met: ratio >= 0.9,
    },
  ];
}
