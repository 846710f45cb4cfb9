import { environment, readConfig } from '../config.js';
import { clientTool } from './client/client-tool.js';
import { Topology } from './topology/topology.js';
import { readOptions, wholeNumber } from './tool/arguments.js';

const usage = `Usage: npm run topology -- [--command 2] [--query 2] [--port 8080] [--no-redis] [--no-nginx]

Runs the nodes of docker/compose.yml as plain processes on this machine, with a PostgreSQL of their own (in DATA_DIR,
unless DATABASE_URL names one), Redis and nginx where they are installed. Ctrl-C stops everything, in order.`;

await clientTool(usage, async () => {
  const values = readOptions({
    command: { type: 'string', default: '2' },
    query: { type: 'string', default: '2' },
    port: { type: 'string', default: '8080' },
    'no-redis': { type: 'boolean', default: false },
    'no-nginx': { type: 'boolean', default: false },
  });
  const { databaseUrl, dataDir } = readConfig(process.env);
  const interrupted = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal).once(signal, resolve);
  });
  const starting = Topology.start({
    command: wholeNumber('command', values.command, 1, 16),
    query: wholeNumber('query', values.query, 1, 16),
    port: wholeNumber('port', values.port, 1, 65_535),
    redis: !values['no-redis'],
    nginx: !values['no-nginx'],
    ...(databaseUrl === undefined ? { dataDir } : { databaseUrl }),
    env: ownSettings(),
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const topology = await starting;
  const nodes = topology.nodes.map(({ name, url }) => `  ${name.padEnd(10)} ${url}\n`).join('');
  const redis = topology.redis ? `  redis      ${topology.redis.url}\n` : '';
  process.stdout.write(`\n${nodes}${redis}\nThe topology is ready on ${topology.edge?.url ?? topology.nodes[0]!.url}\n`);
  await interrupted;
  process.stderr.write('Stopping …\n');
  await topology.stop();
  return 0;
});

/** What the shell or .env sets for all nodes; what tells them apart is the topology's. */
function ownSettings(): Record<string, string> {
  const ours = new Set(['PORT', 'HOST', 'ROLE', 'DATABASE_URL', 'REDIS_URL', 'DATA_DIR']);
  const given = Object.entries(process.env).filter(([name, value]) => name in environment && !ours.has(name) && value);
  return Object.fromEntries(given) as Record<string, string>;
}
