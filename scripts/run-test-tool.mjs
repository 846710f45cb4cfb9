import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare, root } from './lib/prepare.mjs';
import { supervise } from './lib/supervise.mjs';

/** Files find others from where they are themselves, which is not where they end up. */
const staysWhereItWas = {
  name: 'stays where it was',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      return { loader: 'ts', contents: source.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)) };
    });
  },
};

/**
 * A program of test/, compiled into one file, which takes half a second. tsx, which compiles file by file as they
 * are loaded, notes the name of each function as it is made: 10 % of what the simulation did, which makes many.
 */
async function compile(name) {
  const { build } = await import('esbuild'); // Not there before everything is prepared.
  const program = join(root, '.rialto', 'tools', `${name}.js`);
  const written = `${program}.${process.pid}`;
  await build({
    entryPoints: [join(root, 'test', name, 'main.ts')],
    outfile: written,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    sourcemap: 'inline',
    sourcesContent: false,
    plugins: [staysWhereItWas],
  });
  await rename(written, program); // At once: another may be starting from it.
  return program;
}

// It holds what hundreds of thousands of requests saw, and throws away as much as it keeps: with room for the young, most
// of it is gone before anybody looks.
const [name, ...args] = process.argv.slice(2);
const memory = ['--max-old-space-size=4096', '--max-semi-space-size=32'];
await prepare();
supervise(['--enable-source-maps', ...memory, await compile(name), ...args]);
