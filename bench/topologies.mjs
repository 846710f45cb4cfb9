import { chmodSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSeconds, cpuOfSystem } from './machine.mjs';
import { asRialto } from './subjects.mjs';
import { atEnd, findProgram, freePort, runDirectory } from './systems.mjs';

/** Nodes and the Redis between them as `npm run topology` starts them, on a database of this run's PostgreSQL. */
export async function startNodes(postgres, database, plan) {
  const { Topology } = await import('../dist/cli/topology/topology.js');
  if (!findProgram('redis-server')) throw new Error('needs redis-server');
  // One Rialto alone says what it is asked, as a user starts it: so do these.
  const env = { LOG_LEVEL: 'info' };
  const topology = await Topology.start({ databaseUrl: postgres.url(database), nginx: false, env, ...plan });
  atEnd(() => topology.stop());
  return topology;
}

/** One command node and one query node, asked like one Rialto. */
export async function startSplit(postgres, database, accounts) {
  const topology = await startNodes(postgres, database, { command: 1, query: 1 });
  const [command, query] = topology.nodes;
  const redis = topology.redis.service;
  const server = { host: '127.0.0.1', port: command.port, readPort: query.port, log: () => command.output + query.output };
  return Object.assign(asRialto(postgres, database, accounts, server), {
    name: 'Rialto, split',
    redis,
    pids: [command.pid, query.pid, redis.pid],
    stop: () => topology.stop(),
  });
}

/** CPU seconds of processes and of PostgreSQL. */
export function cpuOf(pids, postmasterPid) {
  const { server, postgres } = cpuOfSystem(pids[0], postmasterPid);
  return pids.slice(1).reduce((sum, pid) => sum + cpuSeconds(pid), server + postgres);
}

/** nginx with the product's own rules before query nodes, which are named by their ports. */
export async function startEdge(query) {
  const { findNginx, startEdge: start } = await import('../dist/cli/topology/edge.js');
  const program = findNginx();
  if (!program) throw new Error('needs nginx');
  const port = await freePort();
  const directory = mkdtempSync(join(runDirectory(), 'edge-'));
  chmodSync(directory, 0o755);
  const { service } = await start(program, directory, port, { command: query, query }, 16);
  const stop = () => service.end('SIGQUIT');
  atEnd(stop);
  return { host: '127.0.0.1', port, stop };
}
