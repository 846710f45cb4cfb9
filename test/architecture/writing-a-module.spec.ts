import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { violationsIn } from '../support/boundaries.js';
import { root } from '../support/command.js';

const example = join(root, 'test/example');

/** The TypeScript files below a folder, with what is in them. */
async function sourcesOf(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)));
}

describe('docs/writing-a-module.md', () => {
  let page: string;
  let sources: Map<string, string>;

  beforeAll(async () => {
    page = await readFile(join(root, 'docs/writing-a-module.md'), 'utf8');
    sources = await sourcesOf(example);
  });

  it('shows nothing but pieces of the example, each after the name of its file', () => {
    const blocks = [...page.matchAll(/^(?<before>.*)\n\n```ts\n(?<code>[^]*?\n)```$/gm)].map(({ groups }) => groups!);
    expect(blocks).toHaveLength(page.match(/^```ts$/gm)!.length);
    expect(blocks.length).toBeGreaterThan(10);
    for (const { before, code } of blocks) {
      const file = /`([^`]+)`:$/.exec(before!)?.[1];
      expect({ before, isNamed: sources.has(file ?? '') }).toEqual({ before, isNamed: true });
      // In whole lines.
      expect(`\n${sources.get(file!)}`).toContain(`\n${code}`);
    }
  });

  it('leaves out no file of the example but the command that is like the one it shows', () => {
    const unnamed = [...sources.keys()].filter((file) => !page.includes(`\`${file}\``));
    expect(unnamed).toEqual(['loyalty/commands/earn-points.ts']);
  });

  it('names no file of the project that is not there', async () => {
    const links = [...page.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, target]) => join('docs', target!));
    const names = [...page.matchAll(/`((?:src|test|docs)\/[\w./-]+\.\w+)`/g)].map(([, name]) => name!);
    expect(links.length * names.length).toBeGreaterThan(0);
    for (const name of [...links, ...names]) {
      const entries = await readdir(join(root, name, '..'));
      expect(entries).toContain(name.split('/').filter(Boolean).at(-1));
    }
  });
});

describe('the example module, moved among the modules of the product,', () => {
  const command = 'src/modules/loyalty/commands/reward-order.ts';
  let files: Record<string, string>;

  beforeAll(async () => {
    const product = await sourcesOf(join(root, 'src'));
    const module = await sourcesOf(join(example, 'loyalty'));
    // One folder less deep: ../../../../src/platform is ../../../platform there.
    const moved = (text: string) => text.replaceAll(/'\.\.\/((?:\.\.\/)+)src\//g, `'$1`);
    files = Object.fromEntries([
      ...[...product].map(([name, text]) => [`src/${name}`, text]),
      ...[...module].map(([name, text]) => [`src/modules/loyalty/${name}`, moved(text)]),
    ]);
  });

  it('keeps the boundaries as it is', async () => {
    expect(await violationsIn(files)).toEqual([]);
  });

  it("would not, if it reached past another module's index.ts", async () => {
    const reachesPast = files[command]!.replace('ordering/index.js', 'ordering/commands/look-at-order.js');
    expect(await violationsIn({ ...files, [command]: reachesPast })).toEqual([`modules-meet-at-index: ${command}`]);
  });
});
