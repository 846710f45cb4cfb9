import { join } from 'node:path';
import { nodeFlags } from './lib/node-flags.mjs';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// A program of test/, whose sources are compiled as they are loaded.
const [name, ...args] = process.argv.slice(2);
await prepare();
supervise([...nodeFlags, '--import', 'tsx', join(root, 'test', name, 'main.ts'), ...args]);
