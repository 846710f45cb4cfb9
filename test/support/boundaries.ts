import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root, runNode } from './command.js';

/** The rules of docs/ARCHITECTURE.md. */
export const boundaries = join(root, '.dependency-cruiser.cjs');

interface Report {
  summary: { violations: { from: string; rule: { name: string } }[] };
}

/** Which rules are broken by which files in a tree that has these files and nothing else. */
export async function violationsIn(files: Readonly<Record<string, string>>): Promise<string[]> {
  const tree = await mkdtemp(join(tmpdir(), 'rialto-boundaries-'));
  try {
    await writeFile(join(tree, 'tsconfig.json'), '{ "compilerOptions": { "module": "nodenext" } }');
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(tree, name)), { recursive: true });
      await writeFile(join(tree, name), text);
    }
    const cruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
    const { output } = await runNode([cruise, '--config', boundaries, '--output-type', 'json', 'src'], tree);
    const { violations } = (JSON.parse(output) as Report).summary;
    return violations.map(({ from, rule }) => `${rule.name}: ${from}`).sort();
  } finally {
    await rm(tree, { recursive: true });
  }
}
