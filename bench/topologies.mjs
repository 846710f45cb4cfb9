import { chmodSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSeconds, cpuOfSystem } from './machine.mjs';
import { asRialto, startNode } from './subjects.mjs';
import { atEnd, findProgram, freePort, runDirectory, startProgram } from './systems.mjs';

/** A Redis for queues and cache, as one starts it for that: nothing is kept, nothing is thrown away. */
export async function startRedis() {
  const program = findProgram('redis-server');
  if (!program) throw new Error('needs redis-server');
  const port = await freePort();
  const settings = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--maxmemory-policy', 'noeviction'];
  const redis = await startProgram('redis', program, [...settings.map(String), '--dir', runDirectory()], port);
  return { ...redis, env: { REDIS_URL: `redis://127.0.0.1:${port}` } };
}

/** One command node and one query node on a database, and the Redis between them, asked like one Rialto. */
export async function startSplit(postgres, database, accounts) {
  const redis = await startRedis();
  const command = await startNode(postgres, database, { ...redis.env, ROLE: 'command' });
  const query = await startNode(postgres, database, { ...redis.env, ROLE: 'query' });
  const { host, port } = command;
  const server = { name: 'split', host, port, readPort: query.port, log: () => command.log() + query.log() };
  return Object.assign(asRialto(postgres, database, accounts, server), {
    name: 'Rialto, split',
    redis,
    pids: [command.pid, query.pid, redis.pid],
    async stop() {
      await query.stop();
      await command.stop();
    },
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
