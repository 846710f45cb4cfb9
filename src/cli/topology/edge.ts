import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Service, findProgram, foreignService } from './service.js';

const rules = fileURLToPath(new URL('../../../docker/nginx.conf', import.meta.url));
const listens = 'listen 8080;';

export interface Edge {
  readonly url: string;
  readonly service: Service;
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
): Promise<Edge> {
  const text = await readFile(rules, 'utf8');
  if (text.split(listens).length !== 2) throw new Error(`${rules} does not say "${listens}" once`);
  await mkdir(join(directory, 'nodes'), { recursive: true });
  const write = (file: string, content: string) => writeFile(join(directory, file), content);
  await write('nginx.conf', text.replace(listens, `listen 127.0.0.1:${port};`).replace('/dev/stdout', join(directory, 'access.log')));
  for (const [side, ports] of Object.entries(nodes)) {
    const lines = (parameters: string) => ports.map((port) => `server 127.0.0.1:${port} ${parameters};\n`).join('');
    await write(`nodes/${side}.conf`, lines('max_fails=3 fail_timeout=5s'));
    await write(`nodes/${side}-elsewhere.conf`, lines('max_fails=0'));
  }
  const url = `http://127.0.0.1:${port}`;
  const prefix = `${directory}/`;
  const service = foreignService('nginx', program, ['-e', 'stderr', '-p', prefix, '-c', join(directory, 'nginx.conf'), '-g', 'daemon off;']);
  await service.start(() => isLive(url));
  return { url, service };
}

async function isLive(url: string): Promise<boolean> {
  return fetch(`${url}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  );
}
