import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runNode } from '../support/command.js';

jest.setTimeout(120_000);

describe('npm run simulate:autoscale', () => {
  const simulated = (...options: string[]) => runNode(['dist/cli/simulate-autoscale.js', ...options]);

  test('prints the day, the sale and the verdict, from the measured costs', async () => {
    const { code, output } = await simulated();
    expect(code).toBe(0);
    for (const part of ['nodes', 'seconds behind', 'cost of the nodes, per hour', 'The sale:', 'nodes at the peak', 'PostgreSQL, connections', 'PostgreSQL, WAL', 'busiest partition', 'Redis', 'was measured on: CPU']) {
      expect(output).toContain(part);
    }
  });

  test('says the same as JSON and as CSV', async () => {
    const json = JSON.parse((await simulated('--json', '--reads', '1000')).output) as { findings: object[]; minutes: { pods: object }[] };
    expect(json.minutes).toHaveLength(1_440);
    expect(json.findings.length).toBeGreaterThan(5);
    const csv = (await simulated('--csv', '--reads', '1000')).output.trim().split('\n');
    expect(csv).toHaveLength(1 + 1_440);
    expect(csv[0]).toMatch(/^minute,query,command,/);
  });

  test('replays a curve of one\'s own, and says what is wrong with it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rialto-curve-'));
    try {
      const file = join(directory, 'curve.csv');
      await writeFile(file, 'second,reads,commands,orders\n0,100,1,1\n43200,400000,1,1\n50000,100,1,1\n');
      const { code, output } = await simulated('--curve', file, '--max-pods', '10');
      expect(code).toBe(0);
      expect(output).toMatch(/LIMIT {3}query +10 at \d\d:/);
      await writeFile(file, 'second,reads\n0,1\n');
      const wrong = await simulated('--curve', file);
      expect(wrong.code).toBe(1);
      expect(wrong.output).toContain(`--curve ${file}`);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('says what is wrong with its arguments', async () => {
    for (const options of [['--reads', 'many'], ['--sale-at', '25:00'], ['--nothing'], ['today'], ['--csv', '--json'], ['--capacities', 'nowhere.json']]) {
      const { code, output } = await simulated(...options);
      expect(output).toContain('Usage: npm run simulate:autoscale');
      expect(code).toBe(1);
    }
  });
});
