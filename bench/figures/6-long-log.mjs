import { cpuOfSystem, hasProc } from '../machine.mjs';
import { Broken, inTurns, load, medianRatio, transferLoad } from '../measure.mjs';
import { median, milliseconds } from '../numbers.mjs';
import { seedRialto, startRialto } from '../subjects.mjs';

/**
 * Whether the past makes the present slower: transfers per CPU second of the server and PostgreSQL, with a
 * long log and with a short one of the same accounts. One of them, a0, is in every transfer of the long log.
 * Every turn starts the product anew, so both begin with nothing in memory, and the short log begins each turn
 * as a fresh copy. The views' share of the work is counted: the CPU time is read when they have caught up.
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
  const fill = { traffic: 'hotBulk', items: 1_000, connections: 4, count: sizes.events / 1_000 };
  await transferLoad(postgres, filler, fill);
  await filler.stop();
  // Now rather than by autovacuum in the middle of a turn, which would be charged to the long log.
  await postgres.query('log_long', 'vacuum analyze');
  bench.note(await firstTransfers(postgres, sizes.events));

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

/** What a transfer takes whose accounts are not in memory, of an account with that many entries and of others. */
async function firstTransfers(postgres, entries) {
  const rialto = await startRialto(postgres, 'log_long');
  const transfer = async (source, destination) => {
    const begin = performance.now();
    const answer = await fetch(`http://${rialto.host}:${rialto.port}/v1/ledgers/bench/transactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ postings: [{ source, destination, amount: '1' }] }),
    });
    await answer.text();
    if (answer.status !== 201) throw new Broken(`Rialto: a transfer from ${source}: ${answer.status}`);
    return performance.now() - begin;
  };
  // The first hundred warm the process up. One after the other: each is to be timed by itself.
  const others = [];
  for (let n = 1; n <= 200; n += 1) others.push(await transfer(`a${2 * n}`, `a${2 * n + 1}`));
  const long = await transfer('a0', 'a1');
  await rialto.stop();
  return (
    `The first transfer after a start of an account with ${entries.toLocaleString('en')} entries: ${milliseconds(long)}; ` +
    `of others, p50 ${milliseconds(median(others.slice(100)))}.`
  );
}
