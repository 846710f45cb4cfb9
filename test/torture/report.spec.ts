import type { Checked } from './check.js';
import { excerptOf } from './excerpt.js';
import type { Entry, Fault, History } from './history.js';
import { pretendRun } from './pretend.js';
import { htmlReport, textReport } from './report.js';
import { recoveryOf, statisticsOf } from './statistics.js';
import { violation } from './violation.js';

const write = (number: number, endedAtMs: number, more: Partial<Entry> = {}): Entry => ({
  number,
  client: 1,
  server: 'node-1',
  action: { kind: 'receive-stock', sku: 'pen', quantity: 1, reference: `r${number}` },
  key: `k${number}`,
  invokedAtMs: endedAtMs - 10,
  endedAtMs,
  fate: 'acknowledged',
  status: 201,
  body: { sku: 'pen' },
  ...more,
});
const kill: Fault = { name: 'kill', target: 'node-1', beganAtMs: 1_000, healedAtMs: 2_000 };
const run: History['run'] = { seed: '42', command: 'npm run torture -- --seed 42', startedAt: '2026-01-31T12:00:00.000Z', endedAtMs: 4_000 };
const checked = (...violations: Checked['violations']): Checked => ({
  violations,
  objects: { objects: 1, calls: 2, undecided: [], leftOut: [] },
});

describe('The statistics of a run', () => {
  const servers = new Set(['node-1', 'node-2']);

  test('say how long after its healing a fault was over: when its target acknowledged a write asked for since', () => {
    const others = [write(1, 900), write(2, 1_500, { server: 'node-2' }), write(3, 2_005), write(4, 2_100, { server: 'node-2' })];
    expect(recoveryOf(kill, [...others, write(5, 2_300)], servers)).toEqual({ recoveryMs: 300, silenceMs: 505 });
    expect(recoveryOf({ ...kill, target: 'postgres' }, [...others, write(5, 2_300)], servers)).toEqual({ recoveryMs: 100, silenceMs: 505 });
    expect(recoveryOf(kill, others, servers)).toBeUndefined();
  });

  test('count operations and attempts by kind and fate, and faults by name', () => {
    const entries = [write(1, 500), write(2, 1_500, { fate: 'unknown', key: 'k' }), write(3, 2_500, { key: 'k' })];
    const { byKind, faults, rates, ...totals } = statisticsOf({ run, entries, faults: [kill, { ...kill, beganAtMs: 3_500, healedAtMs: undefined }] });
    expect(totals).toEqual({ attempts: 3, operations: 2 });
    expect(byKind).toMatchObject([{ kind: 'receive-stock', operations: 2, attempts: { acknowledged: 2, unknown: 1, refused: 0 }, medianMs: 10 }]);
    expect(faults).toMatchObject([{ name: 'kill', count: 2, lasted: { median: 1_000 }, recovery: { median: 500, worst: 500 }, notRecovered: 1 }]);
    expect(rates).toEqual({ calm: 2 / 2.5, underFaults: 0, calmMs: 2_500, underFaultsMs: 1_500 });
  });

  test('count times that overlap once', () => {
    const faults = [kill, { ...kill, name: 'freeze', beganAtMs: 1_500, healedAtMs: 2_500 }];
    expect(statisticsOf({ run, entries: [write(1, 1_700)], faults }).rates).toMatchObject({ underFaultsMs: 1_500, underFaults: 1 / 1.5 });
  });
});

describe('An excerpt', () => {
  const mug = { kind: 'read-stock', sku: 'mug' } as const;
  const entries = [write(1, 500), write(2, 600), write(3, 700, { action: mug }), write(4, 800, { endedAtMs: undefined, fate: 'unknown', status: undefined, body: undefined })];

  test('has what a violation is about, what is near it about the same things, and the faults of the time', () => {
    const fault = { ...kill, beganAtMs: 450, healedAtMs: 550 };
    const lines = excerptOf({ entries, faults: [fault, kill] }, violation('L1', 'no order explains #2', [2], ['1@7'])).split('\n');
    expect(lines).toEqual([
      'L1: no order explains #2',
      '  events 1@7',
      '  kill of node-1, 0.450 s … 0.550 s',
      expect.stringMatching(/^ {2}#1 .*client 1 → node-1 receive-stock \(sku pen.*key k1 : acknowledged 201 {"sku":"pen"}/),
      expect.stringMatching(/^> #2 /),
      expect.stringMatching(/^ {2}#4 .*… never .*unknown/),
    ]);
  });

  test('is short, however long the history', () => {
    const { history } = pretendRun(1, 2_000);
    const number = history.entries[1_000]!.number;
    expect(excerptOf(history, violation('C9', 'x', [number])).split('\n').length).toBeLessThan(30);
  });

  test('of a violation that no entry is about is its sentence', () => {
    expect(excerptOf({ entries, faults: [] }, violation('C6', 'partition 1 has a gap'))).toBe('C6: partition 1 has a gap');
  });
});

describe('The report', () => {
  const { history } = pretendRun(3, 1_000);

  test('says in words what was done, what was survived, and how to do it again', () => {
    const text = textReport(history, checked());
    expect(text).toMatch(/^[\d,]+ operations in [\d,]+ attempts, 2 faults:/);
    expect(text).toContain('no violation');
    expect(text).toContain('seed 42; again: npm run torture -- --seed 42');
    expect(textReport(history, checked(violation('C1', 'a cent is missing', [5])))).toContain('\nC1: a cent is missing\n');
  });

  test('is one page that needs nothing else', () => {
    const page = htmlReport(history, checked(violation('C9', 'a <b> went back', [20])));
    expect(page).not.toMatch(/<script|src=|href=|url\(|@import/);
    expect(page).toContain('C9: a &lt;b&gt; went back');
    expect(page).not.toContain('<b> went back');
    expect(page).toContain('prefers-color-scheme: dark');
    expect(page.match(/NaN|undefined|Infinity/g)).toBeNull();
  });

  test('of a run in which nothing happened is a page too', () => {
    const page = htmlReport({ run: { ...run, endedAtMs: 0 }, entries: [], faults: [] }, checked());
    expect(page.match(/NaN|undefined|Infinity/g)).toBeNull();
  });
});
