import { isRead, type Kind } from './actions.js';
import { operationsOf, type Entry, type Fault, type History, type Operation } from './history.js';
import type { Fate } from '../support/history.js';

export const fates: readonly Fate[] = ['acknowledged', 'refused', 'turned away', 'unknown', 'unexpected'];

/** A run, or several, in figures. Times in milliseconds, rates per second. */
export interface Statistics {
  readonly attempts: number;
  /** Attempts with one key are one operation; each read is one. */
  readonly operations: number;
  readonly byKind: readonly KindFigures[];
  readonly faults: readonly FaultFigures[];
  readonly rates: { readonly calm: number; readonly underFaults: number; readonly calmMs: number; readonly underFaultsMs: number };
}

export interface KindFigures {
  readonly kind: Kind;
  readonly operations: number;
  /** Attempts by what came of them. */
  readonly attempts: Readonly<Record<Fate, number>>;
  /** Of acknowledged attempts. */
  readonly medianMs: number | undefined;
  readonly p99Ms: number | undefined;
}

export interface FaultFigures {
  readonly name: string;
  readonly count: number;
  /** How long it was kept up. */
  readonly lasted: Spread;
  /**
   * From the moment a fault was healed until the first write that was invoked after it was acknowledged: by the target,
   * when that is a process that clients ask, otherwise by anyone.
   */
  readonly recovery: Spread;
  /** The longest time from the beginning of a fault to its recovery in which nobody was acknowledged a write. */
  readonly silence: Spread;
  /** Faults after which no write was acknowledged any more. */
  readonly notRecovered: number;
}

export interface Spread {
  readonly median: number | undefined;
  readonly worst: number | undefined;
}

export function statisticsOf(...histories: readonly History[]): Statistics {
  const entries = histories.flatMap((history) => history.entries);
  // Keys and numbers are a run's own.
  const operations = histories.flatMap((history) => operationsOf(history));
  return {
    attempts: entries.length,
    operations: operations.length,
    byKind: kindFigures(operations, entries),
    faults: faultFigures(histories),
    rates: ratesOf(histories),
  };
}

function kindFigures(operations: readonly Operation[], entries: readonly Entry[]): KindFigures[] {
  const counts = new Map<Kind, number>();
  for (const { action } of operations) counts.set(action.kind, (counts.get(action.kind) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([kind, count]) => {
    const own = entries.filter(({ action }) => action.kind === kind);
    const latencies = sorted(own.filter(({ fate }) => fate === 'acknowledged').map(({ invokedAtMs, endedAtMs }) => endedAtMs! - invokedAtMs));
    const attempts = Object.fromEntries(fates.map((fate) => [fate, own.filter((entry) => entry.fate === fate).length]));
    return { kind, operations: count, attempts: attempts as Record<Fate, number>, medianMs: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
  });
}

function faultFigures(histories: readonly History[]): FaultFigures[] {
  const all = histories.flatMap(({ entries, faults }) => {
    const servers = new Set(entries.map(({ server }) => server));
    const writes = entries.filter(({ action, fate }) => fate === 'acknowledged' && !isRead(action)).sort((a, b) => a.endedAtMs! - b.endedAtMs!);
    return faults.map((fault) => ({ fault, recovery: recoveryOf(fault, writes, servers) }));
  });
  const names = [...new Set(all.map(({ fault }) => fault.name))].sort();
  return names.map((name) => {
    const own = all.filter(({ fault }) => fault.name === name);
    const recovered = own.map(({ recovery }) => recovery);
    return {
      name,
      count: own.length,
      lasted: spread(own.flatMap(({ fault: { beganAtMs, healedAtMs } }) => (healedAtMs === undefined ? [] : [healedAtMs - beganAtMs]))),
      recovery: spread(recovered.flatMap((one) => one?.recoveryMs ?? [])),
      silence: spread(recovered.flatMap((one) => one?.silenceMs ?? [])),
      notRecovered: recovered.filter((one) => one === undefined).length,
    };
  });
}

/** `writes` are acknowledged ones, in the order of their ends. */
export function recoveryOf(
  { target, beganAtMs, healedAtMs }: Fault,
  writes: readonly Entry[],
  servers: ReadonlySet<string>,
): { recoveryMs: number; silenceMs: number } | undefined {
  if (healedAtMs === undefined) return undefined;
  const first = writes.find(({ invokedAtMs, server }) => invokedAtMs >= healedAtMs && (!servers.has(target) || server === target));
  if (!first) return undefined;
  const untilMs = first.endedAtMs!;
  let [last, silenceMs] = [beganAtMs, 0];
  for (const { endedAtMs } of writes) {
    if (endedAtMs! < beganAtMs) continue;
    silenceMs = Math.max(silenceMs, Math.min(endedAtMs!, untilMs) - last);
    last = endedAtMs!;
    if (last >= untilMs) break;
  }
  return { recoveryMs: untilMs - healedAtMs, silenceMs };
}

/** Acknowledged attempts while some fault was active, and while none was, up to the end of the load. */
function ratesOf(histories: readonly History[]): Statistics['rates'] {
  let [calm, calmMs, under, underFaultsMs] = [0, 0, 0, 0];
  for (const { entries, faults, run } of histories) {
    const times = merged(faults, run.endedAtMs);
    const faultsMs = times.reduce((sum, [from, to]) => sum + to - from, 0);
    const ends = entries.filter(({ fate, endedAtMs = Infinity }) => fate === 'acknowledged' && endedAtMs <= run.endedAtMs);
    const count = ends.filter(({ endedAtMs }) => times.some(([from, to]) => endedAtMs! >= from && endedAtMs! <= to)).length;
    under += count;
    calm += ends.length - count;
    underFaultsMs += faultsMs;
    calmMs += run.endedAtMs - faultsMs;
  }
  const perSecond = (count: number, ms: number) => (ms > 0 ? (count / ms) * 1_000 : 0);
  return { calm: perSecond(calm, calmMs), underFaults: perSecond(under, underFaultsMs), calmMs, underFaultsMs };
}

function merged(faults: readonly Fault[], endMs: number): [from: number, to: number][] {
  const times: [number, number][] = [];
  for (const { beganAtMs, healedAtMs = endMs } of [...faults].sort((a, b) => a.beganAtMs - b.beganAtMs)) {
    const [from, to] = [Math.min(beganAtMs, endMs), Math.min(healedAtMs, endMs)];
    const last = times.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else times.push([from, to]);
  }
  return times;
}

function spread(values: readonly number[]): Spread {
  const inOrder = sorted(values);
  return { median: quantile(inOrder, 0.5), worst: inOrder.at(-1) };
}

function quantile(inOrder: readonly number[], part: number): number | undefined {
  return inOrder[Math.min(inOrder.length - 1, Math.floor(inOrder.length * part))];
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}
