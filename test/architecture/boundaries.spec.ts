import { createRequire } from 'node:module';
import { boundaries, violationsIn } from '../support/boundaries.js';
import { runNode } from '../support/command.js';

const { forbidden } = createRequire(__filename)(boundaries) as { forbidden: { name: string; comment: string }[] };

/** A small tree in which every rule holds. */
const sound: Record<string, string> = {
  'src/main.ts': `import { shop } from './modules/shop/index.js'; import { till } from './modules/till/index.js'; export default [shop, till];`,
  'src/modules/shop/index.ts': `export { shop } from './shop.js';`,
  'src/modules/shop/shop.ts': `import { till } from '../till/index.js'; import { open } from './commands/open.js'; import { list } from './views/list.js'; export const shop = [till, open, list];`,
  'src/modules/shop/commands/open.ts': `import { decide } from '../domain/shop.js'; import { write } from '../../../platform/log/writer.js'; export const open = () => write(decide());`,
  'src/modules/shop/domain/shop.ts': `import type { Event } from '../../../platform/log/stream.js'; import { zero } from '../../../shared/zero.js'; export const decide = (): Event => ({ zero });`,
  'src/modules/shop/views/list.ts': `import type { Projection } from '../../../platform/consumers/projection.js'; import { decide } from '../domain/shop.js'; export const list = (p: Projection) => [p, decide];`,
  'src/modules/till/index.ts': `export { till } from './till.js';`,
  'src/modules/till/till.ts': `import { zero } from '../../shared/zero.js'; export const till = zero;`,
  'src/platform/consumers/projection.ts': `import type { Event } from '../log/stream.js'; export type Projection = { event: Event };`,
  'src/platform/log/stream.ts': 'export interface Event { zero: number }',
  'src/platform/log/writer.ts': `import type { Event } from './stream.js'; export const write = (event: Event) => event;`,
  'src/shared/zero.ts': 'export const zero = 0;',
};

const planted: Record<string, { breaks: string; files: Record<string, string> }[]> = {
  'modules-meet-at-index': [
    { breaks: 'src/modules/till/till.ts', files: { 'src/modules/till/till.ts': `import { decide } from '../shop/domain/shop.js'; export const till = decide;` } },
    { breaks: 'src/modules/till/till.ts', files: { 'src/modules/till/till.ts': `import type { open } from '../shop/commands/open.js'; export const till = {} as typeof open;` } },
  ],
  'platform-knows-no-module': [
    { breaks: 'src/platform/log/writer.ts', files: { 'src/platform/log/writer.ts': `import { till } from '../../modules/till/index.js'; export const write = (event: object) => [till, event];` } },
  ],
  'domain-is-pure': [
    { breaks: 'src/modules/shop/domain/shop.ts', files: { 'src/modules/shop/domain/shop.ts': `import { write } from '../../../platform/log/writer.js'; export const decide = () => ({ zero: write({ zero: 0 }).zero });` } },
    { breaks: 'src/modules/shop/domain/shop.ts', files: { 'src/modules/shop/domain/shop.ts': `import { randomUUID } from 'node:crypto'; export const decide = () => ({ zero: randomUUID().length });` } },
    { breaks: 'src/modules/shop/domain/shop.ts', files: { 'src/modules/shop/domain/shop.ts': `import { till } from '../../till/index.js'; export const decide = () => ({ zero: till });` } },
  ],
  'views-never-write': [
    { breaks: 'src/modules/shop/views/list.ts', files: { 'src/modules/shop/views/list.ts': `import { open } from '../commands/open.js'; export const list = open;` } },
    { breaks: 'src/modules/shop/views/list.ts', files: { 'src/modules/shop/views/list.ts': `import { write } from '../../../platform/log/writer.js'; export const list = write;` } },
  ],
  'servers-migrate-apart': [
    {
      breaks: 'src/main.ts',
      files: {
        'src/main.ts': `import { shop } from './modules/shop/index.js'; import { till } from './modules/till/index.js'; import { migrate } from './platform/database/migrate.js'; export default [shop, till, migrate];`,
        'src/platform/database/migrate.ts': `import { zero } from '../../shared/zero.js'; export const migrate = () => zero;`,
      },
    },
  ],
  'typeorm-migrates': [
    {
      breaks: 'src/shared/zero.ts',
      files: {
        'node_modules/typeorm/package.json': '{ "name": "typeorm", "main": "index.js" }',
        'node_modules/typeorm/index.js': 'exports.Table = class {};',
        'src/shared/zero.ts': `import { Table } from 'typeorm'; export const zero = new Table();`,
      },
    },
  ],
  'no-cycles': [
    {
      breaks: 'src/modules/till/drawer.ts',
      files: {
        'src/modules/till/till.ts': `import { drawer } from './drawer.js'; export const till = () => drawer;`,
        'src/modules/till/drawer.ts': `import { till } from './till.js'; export const drawer = () => till;`,
      },
    },
  ],
  'no-orphans': [{ breaks: 'src/shared/forgotten.ts', files: { 'src/shared/forgotten.ts': 'export const forgotten = 1;' } }],
};

describe('the boundaries', () => {
  it('hold in a sound tree', async () => {
    expect(await violationsIn(sound)).toEqual([]);
  });

  it('are eight, each with a word on what to do instead', () => {
    expect(forbidden.map(({ name }) => name).sort()).toEqual(Object.keys(planted).sort());
    for (const { comment } of forbidden) expect(comment.length).toBeGreaterThan(40);
  });

  const cases = Object.entries(planted).flatMap(([rule, all]) => all.map((one, index) => ({ rule, number: index + 1, ...one })));

  it.each(cases)('$rule is reported (violation $number)', async ({ rule, breaks, files }) => {
    const violations = await violationsIn({ ...sound, ...files });
    expect(violations).toContain(`${rule}: ${breaks}`);
  });

  it('let a cycle be that only a type closes', async () => {
    const files = {
      'src/modules/till/till.ts': `import { drawer } from './drawer.js'; export type Till = object; export const till = () => drawer;`,
      'src/modules/till/drawer.ts': `import type { Till } from './till.js'; export const drawer = (): Till => ({});`,
    };
    expect(await violationsIn({ ...sound, ...files })).toEqual([]);
  });
});

/** Globals are no imports: the linter watches them. */
describe('in a domain', () => {
  // Without types: none of these rules asks for them, and reading the whole program for one line takes four times as long.
  const lint = `
    import { ESLint } from 'eslint';
    import { configs } from 'typescript-eslint';
    const eslint = new ESLint({ overrideConfig: configs.disableTypeChecked });
    const text = process.argv[1];
    const rulesBroken = async (filePath) => (await eslint.lintText(text, { filePath }))[0].messages.map(({ ruleId }) => ruleId);
    console.log(JSON.stringify(await Promise.all(process.argv.slice(2).map(rulesBroken))));`;
  const rulesBrokenIn = async (text: string, files: readonly string[]) =>
    JSON.parse((await runNode(['--input-type=module', '--eval', lint, '--', text, ...files])).output) as string[][];

  // The example that newcomers copy is held to the same.
  it('there is no clock, chance, process or waiting', async () => {
    const text = `export const a = () => [Date.now(), Math.random(), process.pid, crypto.randomUUID()];
      export const b = async () => {};
      import { hash } from 'node:crypto';
      export const c = hash;`;
    // The example that newcomers copy is held to the same.
    const files = ['src/modules/ledger/domain/account.ts', 'test/example/loyalty/domain/points.ts'];
    const brokenIn = await rulesBrokenIn(text, files);
    expect(brokenIn).toHaveLength(files.length);
    for (const broken of brokenIn) {
      expect(broken.filter((rule) => rule === 'no-restricted-globals')).toHaveLength(3);
      expect(broken).toEqual(expect.arrayContaining(['no-restricted-properties', 'no-restricted-syntax', 'no-restricted-imports']));
    }
  });

  it('and outside of config.ts nobody reads the environment', async () => {
    const text = 'export const home = process.env.HOME;';
    expect(await rulesBrokenIn(text, ['src/platform/errors.ts', 'src/config.ts'])).toEqual([['no-restricted-syntax'], []]);
  });
});
