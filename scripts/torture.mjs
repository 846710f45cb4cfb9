import { join } from 'node:path';
import { nodeFlags } from './lib/node-flags.mjs';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

await prepare();
supervise([...nodeFlags, '--import', 'tsx', join(root, 'test', 'torture', 'main.ts'), ...process.argv.slice(2)]);
