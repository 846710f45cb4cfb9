import { inTurns, medianRatio, transferLoad } from '../measure.mjs';
import { median } from '../numbers.mjs';
import { seedRialto, startRialto } from '../subjects.mjs';
import { cpuOf, startSplit } from '../topologies.mjs';

/**
 * CPU time per transfer of everything that works for it (nodes, PostgreSQL, Redis, the views included) when a command
 * node and a query node share the work, beside one process that does all.
 */
export async function split(bench) {
  const { postgres, rounds, sizes } = bench;
  const subjects = {};
  for (const [name, start] of Object.entries({ split: startSplit, all: startRialto })) {
    await postgres.createDatabase(`bench_${name}`);
    subjects[name] = await start(postgres, `bench_${name}`, bench.accounts);
    await seedRialto(subjects[name]);
    await transferLoad(postgres, subjects[name], { traffic: 'transfer', count: sizes.longLogWarm });
  }
  async function cpuUs(subject) {
    const pids = subject.pids ?? [subject.pid];
    await postgres.checkpoint();
    const before = cpuOf(pids, postgres.pid);
    await transferLoad(postgres, subject, { traffic: 'transfer', count: sizes.longLogCommands });
    return ((cpuOf(pids, postgres.pid) - before) / sizes.longLogCommands) * 1e6;
  }
  const results = await inTurns(rounds, { split: () => cpuUs(subjects.split), all: () => cpuUs(subjects.all) });
  for (const subject of Object.values(subjects)) await subject.stop();
  const ratio = medianRatio(results.split, results.all);
  return [
    {
      figure: '16 CPU per transfer, one command and one query node over Redis',
      rialto: `${Math.round(median(results.split))} µs`,
      baseline: `Rialto, all in one ${Math.round(median(results.all))} µs`,
      ratio,
      asked: '≤ 1.35',
      met: ratio <= 1.35,
    },
  ];
}
