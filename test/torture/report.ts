import type { Checked } from './check.js';
import { excerptOf } from './excerpt.js';
import type { History } from './history.js';
import { escapeHtml, tableOf } from './html.js';
import { fates, statisticsOf, type Spread, type Statistics } from './statistics.js';
import { classOf, timelineOf } from './timeline.js';
import { checkers, type CheckerId, type Violation } from './violation.js';

/** So many are shown with an excerpt; nobody reads hundreds. */
const shownMax = 20;

/** What a run comes to, for a terminal: figures, and each violation with the history around it. */
export function textReport(history: History, { violations, objects }: Checked): string {
  return [
    textFigures(history),
    `linearizability: ${count(objects.calls, 'call')} of ${count(objects.objects, 'object')}, ${objects.undecided.length} undecided, ${objects.leftOut.length} left out`,
    violations.length === 0 ? 'no violation' : `${count(violations.length, 'violation')}:`,
    ...violations.slice(0, shownMax).map((violation) => `\n${excerptOf(history, violation)}`),
    ...(violations.length > shownMax ? [`\nand ${violations.length - shownMax} more`] : []),
    `\nseed ${history.run.seed}; again: ${history.run.command}`,
  ].join('\n');
}

/** What runs come to together. */
export function textFigures(...histories: readonly History[]): string {
  const { operations, attempts, faults, rates } = statisticsOf(...histories);
  return [
    `${count(operations, 'operation')} in ${count(attempts, 'attempt')}, ${count(faults.reduce((sum, fault) => sum + fault.count, 0), 'fault')}:`,
    ...faults.map(
      ({ name, count, recovery, silence }) =>
        `  ${name.padEnd(28)} ${String(count).padStart(4)}   recovered after ${spreadOf(recovery)}, silent for ${spreadOf(silence)}`,
    ),
    `acknowledged per second: ${Math.round(rates.calm)} when calm, ${Math.round(rates.underFaults)} under faults`,
  ].join('\n');
}

/** The same as one page that needs nothing else, with the run drawn over time. */
export function htmlReport(history: History, checked: Checked): string {
  const { run, faults } = history;
  const { violations, objects } = checked;
  const statistics = statisticsOf(history);
  const isRight = violations.length === 0;
  const seconds = Math.round(run.endedAtMs / 1_000);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Torture run ${escapeHtml(run.seed)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>Torture run <code>${escapeHtml(run.seed)}</code></h1>
<p class="verdict ${isRight ? 'right' : 'wrong'}">${isRight ? 'No violation' : count(violations.length, 'violation')}</p>
<p>${escapeHtml(run.startedAt)}, ${seconds} s under load. Again: <code>${escapeHtml(run.command)}</code></p>
</header>
<section class="figures">
${figure(statistics.operations, 'operations checked', count(statistics.attempts, 'attempt'))}
${figure(faults.length, 'faults survived', `of ${count(statistics.faults.length, 'kind')}`)}
${figure(Math.round(statistics.rates.calm), 'acknowledged per second when calm', `${Math.round(statistics.rates.underFaults)} under faults`)}
${figure(objects.calls, 'calls in linearizable order', `${count(objects.objects, 'object')}, ${objects.undecided.length} undecided`)}
</section>
<section>
<h2>The run</h2>
<p class="legend">${fates.map((fate) => `<span><i class="${classOf(fate)}"></i>${fate}</span>`).join('')}<span><i class="fault"></i>fault</span><span><i class="violation"></i>violation</span></p>
<div class="scroll">${timelineOf(history, violations)}</div>
</section>
${violationSection(history, violations)}
<section>
<h2>Checkers</h2>
${tableOf(['checker', 'violations'], Object.entries(checkers).map(([id, what]) => [`${id}  ${what}`, violationsBy(violations, id as CheckerId)]))}
${objects.undecided.length > 0 ? `<p>The search was given up for ${escapeHtml(objects.undecided.join(', '))}: nothing is said of their order.</p>` : ''}
<p>Linearizability is searched for in ${count(objects.objects, 'account and SKU', 'accounts and SKUs')} that only clients write to; ${objects.leftOut.length} others are held to the log's order.</p>
</section>
<section>
<h2>Faults</h2>
${faultTable(statistics)}
<p>Recovery: from a fault's healing to the first write that was asked for after it and acknowledged, by the process it was done to where clients ask that. Silence: the longest time from a fault's beginning to its recovery in which nobody was acknowledged a write.</p>
</section>
<section>
<h2>Operations</h2>
${operationTable(statistics)}
</section>
</body>
</html>
`;
}

function violationSection(history: History, violations: readonly Violation[]): string {
  if (violations.length === 0) return '';
  const shown = violations.slice(0, shownMax).map(
    (violation) => `<details${violations.length <= 5 ? ' open' : ''}><summary><b>${violation.checker}</b> ${escapeHtml(violation.sentence)}</summary>
<p>${escapeHtml(checkers[violation.checker])}.</p>
<pre>${escapeHtml(excerptOf(history, violation).split('\n').slice(1).join('\n'))}</pre></details>`,
  );
  const others = violations.length > shownMax ? `<p>And ${violations.length - shownMax} more.</p>` : '';
  return `<section><h2>Violations</h2>\n${shown.join('\n')}\n${others}</section>`;
}

function faultTable({ faults }: Statistics): string {
  const head = ['fault', 'times', 'lasted, median', 'worst', 'recovery, median', 'worst', 'silence, median', 'worst', 'not recovered'];
  return tableOf(
    head,
    faults.map(({ name, count, lasted, recovery, silence, notRecovered }) => [
      name,
      count,
      ...[lasted, recovery, silence].flatMap(({ median, worst }) => [duration(median), duration(worst)]),
      notRecovered,
    ]),
  );
}

function operationTable({ byKind }: Statistics): string {
  return tableOf(
    ['kind', 'operations', ...fates, 'median', 'p99'],
    byKind.map(({ kind, operations, attempts, medianMs, p99Ms }) => [
      kind,
      operations.toLocaleString('en'),
      ...fates.map((fate) => (attempts[fate] === 0 ? '' : attempts[fate].toLocaleString('en'))),
      duration(medianMs),
      duration(p99Ms),
    ]),
  );
}

const violationsBy = (violations: readonly Violation[], id: CheckerId): number => violations.filter(({ checker }) => checker === id).length;
const figure = (value: number, what: string, more: string): string =>
  `<div><b>${value.toLocaleString('en')}</b><span>${what}</span><small>${more}</small></div>`;
const count = (value: number, one: string, many = `${one}s`): string => `${value.toLocaleString('en')} ${value === 1 ? one : many}`;
const spreadOf = ({ median, worst }: Spread): string => `${duration(median)} (worst ${duration(worst)})`;

function duration(ms: number | undefined): string {
  if (ms === undefined) return '–';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

const style = `
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1c1f24; --soft: #646b75; --line: #e3e5e8;
  --acknowledged: #2f6fdf; --refused: #8b93a0; --turned-away: #d99a00; --unknown: #a347ba; --unexpected: #d3213b;
  --fault: #c75b12; --shade: #c75b1214; --right: #17803d; --wrong: #d3213b; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1c1f25; --ink: #e7e9ec; --soft: #9aa2ad; --line: #30353d;
  --acknowledged: #6ea4ff; --refused: #7d8693; --turned-away: #f0b93a; --unknown: #cf86e2; --unexpected: #ff6b7d;
  --fault: #f0924e; --shade: #f0924e1c; --right: #4ccb7c; --wrong: #ff6b7d; } }
body { margin: 0 auto; padding: 24px 28px 64px; max-width: 1240px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 17px; margin: 36px 0 10px; }
code, pre { font: 13px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; } h1 code { font-size: 22px; }
header p { margin: 6px 0; color: var(--soft); } header code { color: var(--ink); }
header .verdict { font-size: 18px; font-weight: 600; } .verdict.right { color: var(--right); } .verdict.wrong { color: var(--wrong); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin-top: 20px; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.figures b { display: block; font-size: 26px; font-variant-numeric: tabular-nums; } .figures span { display: block; } .figures small { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 0 0 8px; color: var(--soft); font-size: 13px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 6px; vertical-align: -1px; }
.legend .violation { border-radius: 50%; border: 2px solid var(--wrong); width: 8px; height: 8px; }
.acknowledged { fill: var(--acknowledged); background: var(--acknowledged); } .refused { fill: var(--refused); background: var(--refused); }
.turned-away { fill: var(--turned-away); background: var(--turned-away); } .unknown { fill: var(--unknown); background: var(--unknown); }
.unexpected { fill: var(--unexpected); background: var(--unexpected); } .fault { fill: var(--fault); background: var(--fault); }
.timeline { display: block; width: 100%; min-width: 900px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.timeline text { font-size: 12px; fill: var(--ink); } .timeline .title { font-weight: 600; } .timeline .axis { fill: var(--soft); }
.timeline .shade { fill: var(--shade); } .timeline .grid { stroke: var(--line); } .timeline .base { stroke: var(--soft); }
.timeline .mark line { stroke: var(--wrong); stroke-dasharray: 3 3; } .timeline .mark circle { fill: none; stroke: var(--wrong); stroke-width: 2; }
.timeline .mark text { fill: var(--wrong); font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; background: var(--card); min-width: 420px; }
th, td { text-align: right; padding: 5px 12px; border: 1px solid var(--line); white-space: nowrap; } th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; white-space: pre-wrap; }
details { background: var(--card); border: 1px solid var(--line); border-left: 3px solid var(--wrong); border-radius: 6px; padding: 8px 14px; margin: 8px 0; }
summary { cursor: pointer; } summary b { color: var(--wrong); } details p { color: var(--soft); margin: 6px 0; }
pre { overflow-x: auto; margin: 6px 0; padding-bottom: 4px; }
`;
