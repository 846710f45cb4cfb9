import { inTurns, load, medianRatio } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';
import { startBareFastify, startNode } from '../subjects.mjs';
import { startEdge } from '../topologies.mjs';

/** Figure 14's accounts through nginx with two query nodes, beside two bare Fastify behind the same nginx. */
export async function cachedReadsBehindNginx(bench) {
  const { postgres, rounds, timed } = bench;
  const rialto = await bench.rialto();
  const { accounts } = rialto;
  const account = await rialto.read('/accounts/a0');
  const two = (start) => Promise.all([start(), start()]);
  const nodes = await two(() => startNode(postgres, 'bench_rialto', { ROLE: 'query' }));
  const resource = ['/v1/ledgers/:ledger/accounts/:id', 'accountId', 'a', accounts, account];
  const bare = await two(() => startBareFastify(...resource));
  const behind = async (servers, name) =>
    Object.assign(await startEdge(servers.map(({ port }) => port)), { name, accounts, log: () => servers.map((one) => one.log()).join('\n') });
  const subjects = { rialto: await behind(nodes, 'Rialto behind nginx'), bare: await behind(bare, 'Fastify behind nginx') };
  const measure = async (subject) => {
    await postgres.checkpoint();
    return (await load(subject, { traffic: 'read', ...timed })).perSecond;
  };
  // What is cached is what is asked for: at the rate that nginx lets through, three seconds are not enough for two nodes to
  // have read all accounts, and the first round was of a cache that was being filled.
  for (const subject of Object.values(subjects)) await load(subject, { traffic: 'read', ...timed });
  const results = await inTurns(rounds, { rialto: () => measure(subjects.rialto), bare: () => measure(subjects.bare) });
  for (const server of [subjects.rialto, subjects.bare, ...nodes, ...bare]) await server.stop();
  const ratio = medianRatio(results.rialto, results.bare);
  return [
    {
      figure: '15 reading an account, cached, through nginx',
      rialto: rate(median(results.rialto)),
      baseline: `bare Fastify behind the same nginx ${rate(median(results.bare))}`,
      ratio,
      asked: '≥ 0.75',
      met: ratio >= 0.75,
    },
  ];
}
