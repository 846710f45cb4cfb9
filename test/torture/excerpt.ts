import { keysOf, type Action } from './actions.js';
import type { Entry, Fault, History } from './history.js';
import type { Violation } from './violation.js';

const aroundMax = 12;
const bodyMax = 160;

/**
 * As little of a history as shows a violation: the entries it is about, marked, and those around them in time that are
 * about the same things; and the faults that were active then.
 */
export function excerptOf({ entries, faults }: Pick<History, 'entries' | 'faults'>, violation: Violation): string {
  const numbers = new Set(violation.entries);
  const about = entries.filter(({ number }) => numbers.has(number));
  const shown = [...about.slice(0, aroundMax), ...around(entries, about)].sort((a, b) => a.number - b.number);
  const [from, to] = [Math.min(...shown.map(({ invokedAtMs }) => invokedAtMs)), Math.max(...shown.map(endOf))];
  const active = faults.filter(({ beganAtMs, healedAtMs = Infinity }) => beganAtMs <= to && healedAtMs >= from);
  return [
    `${violation.checker}: ${violation.sentence}`,
    ...(violation.events.length > 0 ? [`  events ${violation.events.slice(0, aroundMax).join(', ')}`] : []),
    ...active.slice(0, aroundMax).map((fault) => `  ${faultLine(fault)}`),
    ...shown.map((entry) => `${numbers.has(entry.number) ? '>' : ' '} ${lineOf(entry)}`),
  ].join('\n');
}

function around(entries: readonly Entry[], about: readonly Entry[]): Entry[] {
  const keys = new Set(about.flatMap(({ action }) => keysOf(action)));
  const distance = ({ invokedAtMs }: Entry) => Math.min(...about.map((one) => Math.abs(one.invokedAtMs - invokedAtMs)));
  return entries
    .filter((entry) => !about.includes(entry) && keysOf(entry.action).some((key) => keys.has(key)))
    .map((entry) => ({ entry, away: distance(entry) }))
    .sort((a, b) => a.away - b.away)
    .slice(0, aroundMax)
    .map(({ entry }) => entry);
}

export function lineOf(entry: Entry): string {
  const { number, client, server, action, key, tokenSent, fate, status, body, tokenReceived, error } = entry;
  const when = `${seconds(entry.invokedAtMs)} … ${entry.endedAtMs === undefined ? 'never' : seconds(entry.endedAtMs)}`;
  const answer = body === undefined ? (error ?? '') : cut(JSON.stringify(body));
  return [
    `#${number}`.padEnd(7),
    when,
    `client ${client} → ${server}`,
    describe(action),
    key && `key ${key}`,
    tokenSent && `token ${tokenSent}`,
    `: ${[fate, status].filter(Boolean).join(' ')}`,
    answer,
    tokenReceived && `token ${tokenReceived}`,
  ]
    .filter(Boolean)
    .join(' ');
}

export function describe({ kind, ...details }: Action): string {
  const said = Object.entries(details).map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  return `${kind} (${cut(said.join(', '))})`;
}

export function faultLine({ name, target, beganAtMs, healedAtMs }: Fault): string {
  return `${name} of ${target}, ${seconds(beganAtMs)} … ${healedAtMs === undefined ? 'never' : seconds(healedAtMs)}`;
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`;
}

const endOf = ({ invokedAtMs, endedAtMs = invokedAtMs }: Entry): number => endedAtMs;
const cut = (text: string): string => (text.length > bodyMax ? `${text.slice(0, bodyMax)}…` : text);
