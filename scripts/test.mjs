import { join } from 'node:path';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// Without the settings of .env: tests must not depend on, or write to, what a developer runs.
await prepare();
supervise([join(root, 'node_modules', 'jest', 'bin', 'jest.js'), ...process.argv.slice(2)]);
