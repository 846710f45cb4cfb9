import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

await prepare();
const { nodeFlags } = await import('../dist/node-flags.js'); // Not there before everything is prepared.
const settings = join(root, '.env');
if (existsSync(settings)) process.loadEnvFile(settings);
supervise([...nodeFlags, join(root, 'dist', 'main.js'), ...process.argv.slice(2)]);
