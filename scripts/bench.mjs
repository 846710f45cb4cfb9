import { prepare } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

// `npm run bench`: bench/README.md says what is measured and how. Options: npm run bench -- --help
await prepare();
const { nodeFlags } = await import('../dist/node-flags.js'); // Not there before everything is prepared.
supervise([...nodeFlags, 'bench/run.mjs', ...process.argv.slice(2)]);
