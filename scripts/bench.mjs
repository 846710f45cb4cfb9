import { nodeFlags } from './lib/node-flags.mjs';
import { prepare } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// `npm run bench`: bench/README.md says what is measured and how. Options: npm run bench -- --help
await prepare();
supervise([...nodeFlags, 'bench/run.mjs', ...process.argv.slice(2)]);
