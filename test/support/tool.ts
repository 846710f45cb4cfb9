import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { root } from './command.js';

/** A command-line tool as `npm run` starts it, on a database. */
export function tool(database: { readonly url: string }, name: string, ...args: string[]) {
  const env = { PATH: process.env.PATH, DATABASE_URL: database.url };
  const child = spawn(process.execPath, [`${root}dist/cli/${name}.js`, ...args], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, output }));
  return { child, ended };
}
