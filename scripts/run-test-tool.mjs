import { join } from 'node:path';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// A program of test/, whose sources are compiled as they are loaded. It holds what hundreds of thousands of requests saw.
const [name, ...args] = process.argv.slice(2);
await prepare();
supervise(['--enable-source-maps', '--max-old-space-size=4096', '--import', 'tsx', join(root, 'test', name, 'main.ts'), ...args]);
