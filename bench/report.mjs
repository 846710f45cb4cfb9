import { readFileSync, writeFileSync } from 'node:fs';

const columns = ['figure', 'rialto', 'baseline', 'ratio', 'asked', 'met'];
const titles = ['figure', 'Rialto', 'baseline', 'ratio', 'asked', 'met?'];

function cells(row) {
  if (row.broken) return [row.figure, '-', '-', '-', '-', `broken: ${row.broken}`];
  const shown = { ...row, ratio: row.ratio === undefined ? '-' : row.ratio.toFixed(2) };
  shown.met = row.met === undefined ? 'not measured' : row.met ? 'yes' : 'no';
  return columns.map((column) => shown[column]);
}

export function table(rows) {
  const lines = [titles, titles.map(() => '---'), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** The same for a terminal: columns lined up. */
export function plainTable(rows) {
  const lines = [titles, ...rows.map(cells)];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const aligned = (line) => line.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd();
  return lines.map(aligned).join('\n');
}

export function results(rows, notes, facts) {
  return [
    table(rows),
    notes.map((note) => `- ${note}`).join('\n'),
    facts.map(([name, value]) => `- ${name}: ${value}`).join('\n'),
  ].join('\n\n');
}

const begin = '<!-- results: written by npm run bench -->';
const end = '<!-- end of results -->';

/** Replaces what stands between the markers of bench/README.md. */
export function writeResults(file, text) {
  const readme = readFileSync(file, 'utf8');
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${file} has lost the markers of its results section`);
  writeFileSync(file, `${readme.slice(0, from + begin.length)}\n\n${text}\n\n${readme.slice(to)}`);
}
