import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { environment, readConfig } from '../../src/config.js';
import { catalogEvents } from '../../src/modules/catalog/domain/events.js';
import { productType } from '../../src/modules/catalog/domain/product.js';
import { skuType } from '../../src/modules/catalog/domain/sku.js';
import { inventoryEvents } from '../../src/modules/inventory/domain/events.js';
import { reservationType } from '../../src/modules/inventory/domain/reservation.js';
import { stockType } from '../../src/modules/inventory/domain/stock.js';
import { accountType } from '../../src/modules/ledger/domain/account.js';
import { ledgerEvents } from '../../src/modules/ledger/domain/events.js';
import { transactionType } from '../../src/modules/ledger/domain/transaction.js';
import { orderingEvents, orderType } from '../../src/modules/ordering/domain/order.js';
import { CommandRegistry } from '../../src/platform/commands/command-registry.js';
import { ProblemCatalogue } from '../../src/platform/http/problem.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import type { Event } from '../../src/platform/log/stream.js';
import { assembleApplication } from '../support/application.js';
import { root } from '../support/command.js';
import { StreamsInMemory } from '../support/given.js';
import { plain, tableRows } from '../support/markdown.js';

let app: NestFastifyApplication;

beforeAll(async () => {
  app = await assembleApplication();
});

afterAll(() => app?.close());

describe('docs/errors.md', () => {
  it('has every code with its status and title, and no other', async () => {
    const problems = app.get(ProblemCatalogue);
    const documented = (await tableRows('docs/errors.md')).map(([code, status, title]) => `${plain(code!)} ${status} ${title}`);
    const known = problems.codes.map((code) => {
      const { status, title } = problems.describe(code, '');
      return `${code} ${status} ${title}`;
    });
    expect(documented.sort()).toEqual(known.sort());
  });

  it('has an anchor for each, as the type of a problem names it', async () => {
    for (const [cell] of await tableRows('docs/errors.md')) expect(cell).toMatch(`<a id="${plain(cell!)}"></a>`);
  });
});

describe('docs/events.md', () => {
  it('has every type of event, and no other', async () => {
    const documented = (await tableRows('docs/events.md')).map(([type]) => plain(type!));
    expect(documented.sort()).toEqual(app.get(EventCatalogue).eventTypes.sort());
  });
});

describe('docs/configuration.md and .env.example', () => {
  const defaults = readConfig({});

  it('have every variable, and no other', async () => {
    const names = Object.keys(environment);
    const example = await readFile(join(root, '.env.example'), 'utf8');
    expect((await tableRows('docs/configuration.md')).map(([name]) => plain(name!))).toEqual(names);
    expect([...example.matchAll(/^(\w+)=/gm)].map(([, name]) => name)).toEqual(names);
  });

  it('say the defaults', async () => {
    const example = await readFile(join(root, '.env.example'), 'utf8');
    const fromExample = Object.fromEntries([...example.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
    const rows = await tableRows('docs/configuration.md');
    const fromPage = Object.fromEntries(rows.map(([name, value]) => [plain(name!), value === 'none' ? '' : plain(value!)]));
    expect(fromPage).toEqual(fromExample);
    expect(readConfig(fromExample)).toEqual(defaults);
    // Where a default is none, the example has none either: the two above would not notice.
    const given = Object.keys(fromExample).filter((name) => fromExample[name] !== '');
    const withDefault = Object.entries(environment).filter(([, schema]) => schema.safeParse(undefined).data !== undefined);
    expect(given).toEqual(withDefault.map(([name]) => name));
  });

  it('has a sentence for each variable', async () => {
    const example = await readFile(join(root, '.env.example'), 'utf8');
    for (const name of Object.keys(environment)) expect(example).toMatch(new RegExp(`^# [^\\n]+\\.\\n${name}=`, 'm'));
  });
});

describe('commands', () => {
  const classesInFiles = async () => {
    const files = (await readdir(join(root, 'src/modules'), { recursive: true })).filter((file) => /\/commands\/[^/]+(?<!\.spec)\.ts$/.test(file));
    return Promise.all(
      files.map(async (file) => {
        const text = await readFile(join(root, 'src/modules', file), 'utf8');
        const types = [...text.matchAll(/static readonly type = '([^']+)'/g)].map(([, type]) => type!);
        const handled = [...text.matchAll(/^@CommandHandler\((\w+)\)/gm)].map(([, name]) => name!);
        const made = [...text.matchAll(/^export class (\w+) extends LogCommand\b/gm)].map(([, name]) => name!);
        return { file, types, handled, made };
      }),
    );
  };

  it('have a file each, with one handler and a stored name like the file', async () => {
    for (const { file, types, handled, made } of await classesInFiles()) {
      const [moduleName, , name] = file.split(/[/.]/);
      expect({ file, types }).toEqual({ file, types: [`${moduleName}.${name}`] });
      expect(made).toHaveLength(1);
      expect(handled).toEqual(made);
    }
  });

  it('are all found by their stored name, which no two share', async () => {
    // Also that @nestjs/cqrs still keeps a handler's command where CommandRegistry looks for it.
    const types = (await classesInFiles()).flatMap((one) => one.types);
    expect(types.length).toBeGreaterThan(0);
    expect(new Set(types).size).toBe(types.length);
    const registry = app.get(CommandRegistry, { strict: false });
    expect(registry.types.sort()).toEqual(types.sort());
    for (const type of types) expect(registry.find(type)?.type).toBe(type);
  });
});

describe('the stored events of test/fixtures/events', () => {
  const directory = join(root, 'test/fixtures/events');
  /** How the streams of each module fold. */
  const folds = {
    catalog: () => new StreamsInMemory(catalogEvents, [productType, skuType]),
    inventory: () => new StreamsInMemory(inventoryEvents, [stockType, reservationType]),
    ledger: () => new StreamsInMemory(ledgerEvents, [accountType, transactionType]),
    ordering: () => new StreamsInMemory(orderingEvents, [orderType]),
  };
  const stored = async (): Promise<Event[]> => {
    const files = (await readdir(directory)).sort();
    return Promise.all(files.map(async (file) => {
      const event = JSON.parse(await readFile(join(directory, file), 'utf8')) as Event;
      expect(file).toBe(`${event.type}.json`);
      return event;
    }));
  };

  it('are one of each type that is or ever was', async () => {
    const catalogue = app.get(EventCatalogue);
    const types = (await stored()).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(catalogue.eventTypes));
    for (const { type, data } of await stored()) expect(catalogue.eventTypes).toContain(catalogue.read(type, data).type);
  });

  it('are read and folded by the code of today', async () => {
    for (const event of await stored()) {
      const fold = folds[event.type.split('.')[0] as keyof typeof folds];
      const streams = fold();
      streams.record(event, '2026-01-01T00:00:00.000Z');
      const folded = streams.all().map(({ stream, state, version }) => ({ stream: stream.name, version, state }));
      expect(folded.length).toBeGreaterThan(0);
      expect(folded).toMatchSnapshot(event.type);
    }
  });
});

describe('the files of the project', () => {
  it('name no place of one machine', async () => {
    const files = await sourcesIn('');
    // Written so that this file does not name one itself.
    const places = new RegExp(['/home/[a-z]', '/Users/[A-Za-z]', '[A-Z]:\\\\\\\\Users', '/root/', '/workspace/', '/work/'].join('|'));
    const found: string[] = [];
    for (const file of files) {
      const text = await readFile(join(root, file), 'utf8').catch(() => '');
      if (file !== 'test/architecture/catalogues.spec.ts' && places.test(text)) found.push(`${file}: ${places.exec(text)![0]}`);
    }
    expect(found).toEqual([]);
  });
});

const notOurs = new Set(['.git', 'node_modules', 'dist', 'coverage', '.rialto', '.scratch', 'package-lock.json']);

async function sourcesIn(directory: string): Promise<string[]> {
  const entries = await readdir(join(root, directory), { withFileTypes: true });
  const ours = entries.filter(({ name }) => !notOurs.has(name) && !name.endsWith('.log'));
  const found: string[] = [];
  for (const entry of ours) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...(await sourcesIn(path)));
    else found.push(path);
  }
  return found;
}
