import { join } from 'node:path';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// A program of test/, whose sources are compiled as they are loaded. It holds what hundreds of thousands of requests saw,
// and throws away as much as it keeps: with room for the young, most of it is gone before anybody looks.
const [name, ...args] = process.argv.slice(2);
const memory = ['--max-old-space-size=4096', '--max-semi-space-size=32'];
await prepare();
supervise(['--enable-source-maps', ...memory, '--import', 'tsx', join(root, 'test', name, 'main.ts'), ...args]);
