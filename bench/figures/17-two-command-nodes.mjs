import { inTurns, load, medianRatio } from '../measure.mjs';
import { median } from '../numbers.mjs';
import { cpuOf, startNodes } from '../topologies.mjs';

const ledgers = Array.from({ length: 64 }, (_, number) => number);

/**
 * CPU time per transfer (nodes, PostgreSQL, Redis) with two command nodes beside one, over 64 ledgers: when each
 * partition's writes go to one of the two, as docker/nginx.conf sends them, and when they go to either.
 */
export async function twoCommandNodes(bench) {
  const { postgres, rounds, sizes } = bench;
  const { partitionOf } = await import('../../dist/platform/log/partition.js');
  const database = 'bench_two';
  await postgres.createDatabase(database);
  const topology = await startNodes(postgres, database, { command: 2, query: 1 });
  const [first, second] = topology.nodes;
  for (const number of ledgers) {
    for (const account of [{ accountId: 'world', overdraft: 'unlimited' }, { accountId: 'shop' }]) {
      const answer = await fetch(`${first.url}/v1/ledgers/l${number}/accounts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...account, currency: 'EUR' }),
      });
      if (!answer.ok) throw new Error(`opening an account: ${answer.status} ${await answer.text()}`);
    }
  }
  const ofNode = (index) => ledgers.filter((number) => partitionOf(`l${number}`, 16) % 2 === index);
  const ways = {
    one: { ports: [first.port], ledgers: [ledgers] },
    affinity: { ports: [first.port, second.port], ledgers: [ofNode(0), ofNode(1)] },
    none: { ports: [first.port, second.port], ledgers: [ledgers, ledgers] },
  };
  const behind = async () => {
    const [row] = await postgres.query(
      database,
      'select coalesce(sum(p.head - c.position), 0)::int as events from checkpoints c join partitions p using (partition)',
    );
    return row.events;
  };
  const settle = async () => {
    while ((await behind()) > 0) await new Promise((resume) => setTimeout(resume, 100));
  };
  // Shorter turns than elsewhere, and more: what is compared is nearly alike, and the machine has its own pace every half minute.
  const count = sizes.longLogCommands / 4;
  // A node that is not part of a turn is there all the same: its idle cost is in all three.
  const pids = [...topology.nodes, topology.redis.service].map(({ pid }) => pid);
  async function cpuUs(way) {
    const subject = { name: 'Rialto, command nodes', host: '127.0.0.1', log: () => first.output + second.output };
    await load(subject, { traffic: 'ledgerTransfer', count: count / 10, ...way });
    await settle();
    await postgres.checkpoint();
    const before = cpuOf(pids, postgres.pid);
    const eventsBefore = await countEvents(postgres, database);
    const result = await load(subject, { traffic: 'ledgerTransfer', count, ...way });
    await settle();
    const events = (await countEvents(postgres, database)) - eventsBefore;
    if (events !== result.acknowledged) throw new Error(`${result.acknowledged} acknowledged, ${events} posted`);
    return ((cpuOf(pids, postgres.pid) - before) / count) * 1e6;
  }
  // Each node has done as much before the first turn, or what V8 has still to compile of the second would be counted.
  for (const way of [ways.one, { ports: [second.port], ledgers: [ledgers] }]) {
    await load({ name: 'Rialto', host: '127.0.0.1', log: () => '' }, { traffic: 'ledgerTransfer', count: sizes.longLogCommands, ...way });
    await settle();
  }
  const results = await inTurns(
    4 * rounds,
    Object.fromEntries(Object.entries(ways).map(([name, way]) => [name, () => cpuUs(way)])),
  );
  await topology.stop();
  const row = (figure, name, most) => {
    const ratio = medianRatio(results[name], results.one);
    return {
      figure: `17 CPU per transfer, two command nodes, ${figure}`,
      rialto: `${Math.round(median(results[name]))} µs`,
      baseline: `Rialto, one command node ${Math.round(median(results.one))} µs`,
      ratio,
      asked: `≤ ${most}`,
      met: ratio <= most,
    };
  };
  return [row('each partition at one', 'affinity', 1.15), row('any partition at either', 'none', 2)];
}

async function countEvents(postgres, database) {
  return (await postgres.query(database, 'select count(*)::int as events from events'))[0].events;
}
