import { once } from 'node:events';
import type { MigrationJob, MigrationWord } from './migrate-apart.js';

/**
 * The process that migrate-apart.ts starts. It ends with who started it, and at no signal that is for both (a Ctrl-C, a service
 * that is stopped): what is loaded takes a while, so that is loaded afterwards.
 */
process.once('disconnect', () => process.exit(1));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);

const say = (word: MigrationWord) => new Promise<void>((said) => process.send!(word, () => said()));
const [{ url, options }] = (await once(process, 'message')) as [MigrationJob];
const { migrate } = await import('./migrate.js');
try {
  await migrate(url, { ...options, log: (line) => void say({ line }) });
} catch (error) {
  await say({ error: error as Error, code: (error as { code?: string }).code });
  process.exit(1);
}
process.exit(0);
