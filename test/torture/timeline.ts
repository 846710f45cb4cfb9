import type { Fate } from '../support/history.js';
import { escapeHtml } from './html.js';
import { faultLine } from './excerpt.js';
import type { Entry, History } from './history.js';
import { fates } from './statistics.js';
import type { Violation } from './violation.js';

// All in the units of the picture, which is as wide as the page.
const width = 1_200;
// Names of faults stand in the margin.
const [left, right] = [176, 16];
const plotWidth = width - left - right;
const rateHeight = 90;
const laneHeight = 20;
const latencyHeight = 280;
const gap = 34;
const cell = 3;
const columns = 200;

const [leastMs, mostMs] = [0.5, 100_000];

/**
 * A run as an inline SVG, over one axis of time: how many attempts ended per second, by what came of them; the faults,
 * a lane for each name; and every attempt at its end by how long it took, on a logarithmic scale, with the violations
 * marked. Attempts that fall onto one spot are one cell, the darker the more they are. Colours are the page's.
 */
export function timelineOf(history: History, violations: readonly Violation[]): string {
  const { entries, faults, run } = history;
  const lastMs = Math.max(1, run.endedAtMs, ...faults.map(({ healedAtMs = 0 }) => healedAtMs), entries.reduce((last, { endedAtMs = 0 }) => Math.max(last, endedAtMs), 0));
  const x = (ms: number) => left + (Math.max(0, Math.min(ms, lastMs)) / lastMs) * plotWidth;
  const lanes = [...new Set(faults.map(({ name }) => name))].sort();
  const lanesTop = 20 + rateHeight + gap;
  const latencyTop = lanesTop + Math.max(1, lanes.length) * laneHeight + gap;
  const height = latencyTop + latencyHeight + 40;
  return `<svg class="timeline" viewBox="0 0 ${width} ${height}" role="img" aria-label="The run over time">
${shades(history, x, 20, latencyTop + latencyHeight)}
${rates(entries, lastMs, x)}
<text class="title" x="${left}" y="${lanesTop - 8}">Faults</text>
${lanes.map((name, lane) => faultLane(history, name, lanesTop + lane * laneHeight, x)).join('\n')}
${latencies(entries, latencyTop, x)}
${marks(history, violations, latencyTop, x)}
${timeAxis(lastMs, latencyTop + latencyHeight, x)}
</svg>`;
}

type ToX = (ms: number) => number;

/** Behind all: when some fault was active. */
function shades({ faults, run }: History, x: ToX, top: number, bottom: number): string {
  return faults
    .map(({ beganAtMs, healedAtMs = run.endedAtMs }) => rect('shade', x(beganAtMs), top, Math.max(1, x(healedAtMs) - x(beganAtMs)), bottom - top))
    .join('');
}

function rates(entries: readonly Entry[], lastMs: number, x: ToX): string {
  const columnMs = lastMs / columns;
  const counts = Array.from({ length: columns }, () => new Map<Fate, number>());
  for (const { fate, endedAtMs } of entries) {
    if (endedAtMs === undefined) continue;
    const column = counts[Math.min(columns - 1, Math.floor(endedAtMs / columnMs))]!;
    column.set(fate, (column.get(fate) ?? 0) + 1);
  }
  const most = Math.max(1, ...counts.map((column) => [...column.values()].reduce((sum, count) => sum + count, 0)));
  const bottom = 20 + rateHeight;
  const bars = counts.flatMap((column, index) => {
    let y = bottom;
    return fates.flatMap((fate) => {
      const count = column.get(fate) ?? 0;
      if (count === 0) return [];
      const barHeight = (count / most) * (rateHeight - 6);
      y -= barHeight;
      return rect(classOf(fate), x(index * columnMs), y, plotWidth / columns - 0.6, barHeight);
    });
  });
  const perSecond = Math.round((most / columnMs) * 1_000);
  return `<text class="title" x="${left}" y="14">Attempts per second</text>
<line class="grid" x1="${left}" x2="${width - right}" y1="26" y2="26"/><text class="axis" x="${left - 8}" y="30" text-anchor="end">${perSecond.toLocaleString('en')}</text>
<line class="base" x1="${left}" x2="${width - right}" y1="${bottom}" y2="${bottom}"/>${bars.join('')}`;
}

function faultLane({ faults, run }: History, name: string, top: number, x: ToX): string {
  const own = faults.filter((fault) => fault.name === name);
  const bars = own.map((fault) => {
    const { beganAtMs, healedAtMs = run.endedAtMs } = fault;
    const bar = Math.max(2, x(healedAtMs) - x(beganAtMs));
    return `<rect class="fault" x="${round(x(beganAtMs))}" y="${top + 3}" width="${round(bar)}" height="${laneHeight - 6}" rx="2"><title>${escapeHtml(faultLine(fault))}</title></rect>`;
  });
  const y = top + laneHeight / 2;
  const label = `<text class="label" x="${left - 8}" y="${y + 4}" text-anchor="end">${escapeHtml(name)} × ${own.length}</text>`;
  return `<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/>${bars.join('')}${label}`;
}

function latencies(entries: readonly Entry[], top: number, x: ToX): string {
  const cells = new Map<string, { fate: Fate; column: number; row: number; count: number }>();
  for (const { fate, invokedAtMs, endedAtMs } of entries) {
    if (endedAtMs === undefined) continue;
    const [column, row] = [Math.floor(x(endedAtMs) / cell), Math.floor(yOf(endedAtMs - invokedAtMs, top) / cell)];
    const name = `${fate} ${column} ${row}`;
    const found = cells.get(name);
    if (found) found.count++;
    else cells.set(name, { fate, column, row, count: 1 });
  }
  const squares = fates.map((fate) => {
    const own = [...cells.values()].filter((one) => one.fate === fate);
    const drawn = own.map(({ column, row, count }) => {
      const opacity = Math.min(1, 0.5 + Math.log10(count) * 0.35);
      return `<rect x="${column * cell}" y="${row * cell}" width="${cell - 0.4}" height="${cell - 0.4}" opacity="${opacity.toFixed(2)}"/>`;
    });
    return `<g class="${classOf(fate)}">${drawn.join('')}</g>`;
  });
  const lines = [1, 10, 100, 1_000, 10_000, 100_000].map((ms) => {
    const y = round(yOf(ms, top));
    const label = ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
    return `<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/><text class="axis" x="${left - 8}" y="${y + 4}" text-anchor="end">${label}</text>`;
  });
  return `<text class="title" x="${left}" y="${top - 10}">Attempts by their end and how long they took</text>${lines.join('')}${squares.join('')}`;
}

function marks({ entries }: History, violations: readonly Violation[], top: number, x: ToX): string {
  const byNumber = new Map(entries.map((entry) => [entry.number, entry]));
  return violations
    .flatMap(({ checker, sentence, entries: numbers }) => {
      const entry = byNumber.get(numbers.at(-1) ?? NaN);
      if (!entry) return [];
      const at = round(x(entry.endedAtMs ?? entry.invokedAtMs));
      const y = yOf((entry.endedAtMs ?? entry.invokedAtMs) - entry.invokedAtMs, top);
      const title = `<title>${escapeHtml(`${checker}: ${sentence}`)}</title>`;
      return `<g class="mark">${title}<line x1="${at}" x2="${at}" y1="${top}" y2="${top + latencyHeight}"/><circle cx="${at}" cy="${round(y)}" r="6"/><text x="${at + 8}" y="${round(y) - 6}">${checker}</text></g>`;
    })
    .join('\n');
}

function timeAxis(lastMs: number, bottom: number, x: ToX): string {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600].find((one) => lastMs / 1_000 / one <= 12) ?? 7_200;
  const ticks = Array.from({ length: Math.floor(lastMs / 1_000 / step) + 1 }, (_, index) => index * step);
  const labels = ticks.map((tick) => `<text class="axis" x="${round(x(tick * 1_000))}" y="${bottom + 18}" text-anchor="middle">${timeLabel(tick)}</text>`);
  return `<line class="base" x1="${left}" x2="${width - right}" y1="${bottom}" y2="${bottom}"/>${labels.join('')}`;
}

function timeLabel(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function yOf(ms: number, top: number): number {
  const part = Math.log(Math.max(leastMs, Math.min(ms, mostMs)) / leastMs) / Math.log(mostMs / leastMs);
  return top + latencyHeight * (1 - part);
}

const rect = (name: string, x: number, y: number, w: number, h: number): string =>
  `<rect class="${name}" x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}"/>`;
const round = (value: number): number => Math.round(value * 10) / 10;
export const classOf = (fate: Fate): string => fate.replace(' ', '-');
