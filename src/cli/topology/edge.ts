import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Service, findProgram, foreignService } from './service.js';

const rules = fileURLToPath(new URL('../../../docker/nginx.conf', import.meta.url));
const listens = 'listen 8080;';

export interface Edge {
  readonly url: string;
  readonly service: Service;
  /** Again, when it has ended. Resolves when it answers. */
  start(): Promise<void>;
}

/** Where nginx is, or undefined. */
export const findNginx = (): string | undefined => findProgram('nginx');

/**
 * An nginx in front of the nodes, with the rules of docker/nginx.conf. Only its address differs, and the files that say
 * who the nodes are.
 */
export async function startEdge(
  program: string,
  directory: string,
  port: number,
  nodes: { readonly command: readonly number[]; readonly query: readonly number[] },
  partitions: number,
): Promise<Edge> {
  const text = await readFile(rules, 'utf8');
  if (text.split(listens).length !== 2) throw new Error(`${rules} does not say "${listens}" once`);
  await mkdir(join(directory, 'nodes'), { recursive: true });
  const write = (file: string, content: string) => writeFile(join(directory, file), content);
  await write('nginx.conf', text.replace(listens, `listen 127.0.0.1:${port};`).replace('/dev/stdout', join(directory, 'access.log')));
  const lines = (ports: readonly number[], parameters: string) => ports.map((port) => `server 127.0.0.1:${port} ${parameters};\n`).join('');
  const remembers = 'max_fails=3 fail_timeout=5s';
  const shares = nodes.command.map((port, index) => ({ port, partitions: shareOf(index, nodes.command.length, partitions) }));
  const owners = shares.filter((share) => share.partitions > 0);
  await write('nodes/command.conf', owners.map((share) => lines([share.port], `weight=${share.partitions} ${remembers}`)).join(''));
  await write('nodes/command-elsewhere.conf', lines(nodes.command, 'max_fails=0'));
  await write('nodes/query.conf', lines(nodes.query, remembers));
  await write('nodes/query-elsewhere.conf', lines(nodes.query, 'max_fails=0'));
  const url = `http://127.0.0.1:${port}`;
  const prefix = `${directory}/`;
  const service = foreignService('nginx', program, ['-e', 'stderr', '-p', prefix, '-c', join(directory, 'nginx.conf'), '-g', 'daemon off;']);
  const start = () => service.start(() => isLive(url));
  await start();
  return { url, service, start };
}

/** How many partitions a node has: none to spare when there are more nodes than partitions. */
function shareOf(index: number, nodes: number, partitions: number): number {
  return Math.floor(partitions / nodes) + (index < partitions % nodes ? 1 : 0);
}

async function isLive(url: string): Promise<boolean> {
  return fetch(`${url}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  );
}
