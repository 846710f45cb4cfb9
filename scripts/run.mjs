import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { giveUp, prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

const [name, ...args] = process.argv.slice(2);
await prepare();
const { nodeFlags } = await import('../dist/node-flags.js'); // Not there before everything is prepared.
const directory = join(root, 'dist', 'cli');
const names = (existsSync(directory) ? readdirSync(directory) : [])
  .filter((file) => file.endsWith('.js'))
  .map((file) => file.slice(0, -'.js'.length));
if (!names.includes(name)) giveUp(`Usage: node scripts/run.mjs <${names.join('|')}> [arguments]`);

const settings = join(root, '.env');
if (existsSync(settings)) process.loadEnvFile(settings);
supervise([...nodeFlags, join(directory, `${name}.js`), ...args]);
