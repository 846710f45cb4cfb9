import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './command.js';

/** The rows of all tables of a page whose first cell is a `name`, with their cells as they stand there. */
export async function tableRows(page: string): Promise<string[][]> {
  const text = await readFile(join(root, page), 'utf8');
  return text
    .split('\n')
    .filter((line) => /^\| (<a [^>]*><\/a>)?`/.test(line))
    .map((line) => line.slice(2, -2).split(' | '));
}

/** `name`, with or without an anchor, as its name. */
export const plain = (cell: string): string => cell.replace(/<a [^>]*><\/a>/, '').replaceAll('`', '');
