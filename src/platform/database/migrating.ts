import { once } from 'node:events';
import { migrate } from './migrate.js';
import type { MigrationJob, MigrationWord } from './migrate-apart.js';

/** The process that migrate-apart.ts starts. It ends with who started it, and not before at a Ctrl-C, which is for both. */
process.once('disconnect', () => process.exit(1));
process.on('SIGINT', () => undefined);

const say = (word: MigrationWord) => new Promise<void>((said) => process.send!(word, () => said()));
const [{ url, options }] = (await once(process, 'message')) as [MigrationJob];
try {
  await migrate(url, { ...options, log: (line) => void say({ line }) });
} catch (error) {
  await say({ error: error as Error, code: (error as { code?: string }).code });
}
process.exit(0);
