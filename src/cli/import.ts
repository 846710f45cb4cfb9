import { extname } from 'node:path';
import pMap from 'p-map';
import { Api } from './client/api.js';
import { clientTool, serverUrl, withProgress } from './client/client-tool.js';
import { ProductImport } from './import/import-product.js';
import { columns, productLines } from './import/product-lines.js';
import { lookAt, readCsv, readNdjson } from './import/read-records.js';
import { readArguments, UsageError } from './tool/arguments.js';

const usage = `Usage: npm run import -- <file> [--url <server>] [--delivery <name>]

Creates or changes the products of a .csv, .ndjson or .jsonl file, and receives their stock; docs/import.md says how the
file is to look. Run again it goes on: the stock of a file is received once, unless --delivery names another delivery. Without
--url it goes to the server of PORT and HOST.`;

const formats: Readonly<Record<string, (path: string) => ReturnType<typeof readNdjson>>> = {
  '.csv': (path) => readCsv(path, columns, ['description']),
  '.ndjson': readNdjson,
  '.jsonl': readNdjson,
};

/** So many products are under way at once. */
const concurrency = 64;

await clientTool(usage, async () => {
  const { values, positionals } = readArguments({
    url: { type: 'string' },
    delivery: { type: 'string', default: '' },
  });
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new UsageError('Name one file to import');
  const read = formats[extname(path).toLowerCase()];
  if (!read) throw new UsageError(`${path} is not a file of ${Object.keys(formats).join(', ')}`);
  if (!/^[\w.:-]{0,64}$/.test(values.delivery)) throw new UsageError('--delivery: up to 64 letters, digits and . _ : -');

  const url = serverUrl(values.url);
  process.stderr.write(`Importing ${path} into ${url}\n`);
  const { digest, lines } = await lookAt(path);
  const bad = new Map<number, string>();
  const reportBad = (line: number, reason: string) => void bad.set(line, reason);
  const api = new Api(url, { connections: concurrency });
  const products = new ProductImport(api, [digest, values.delivery].filter(Boolean).join(':'), reportBad);
  try {
    await withProgress('Importing', lines, async (advance) => {
      let done = 0;
      const importOne = async (product: Parameters<ProductImport['run']>[0]) => {
        await products.run(product);
        done += product.linesOfFile;
        advance(product.linesOfFile);
      };
      await pMap(productLines(read(path), reportBad), importOne, { concurrency });
      advance(lines - done);
    });
  } finally {
    await api.close();
    for (const [line, reason] of [...bad].sort(([a], [b]) => a - b)) process.stderr.write(`line ${line}: ${reason}\n`);
  }
  const { created, existing, received, receivedBefore } = products.tally;
  process.stdout.write(
    `${created} products created, ${existing} were there; ${received} receipts of stock, ${receivedBefore} were received before; ` +
      `${bad.size} bad lines\n`,
  );
  return bad.size === 0 ? 0 : 1;
});
