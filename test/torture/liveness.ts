import type { OpenWork } from './final-state.js';
import { numbersOf, operationsOf, type History } from './history.js';
import { violation, violations, type Violation } from './violation.js';

export interface Settling {
  /** What was left to do when the run was over. */
  readonly work: OpenWork;
  /** From the last fault's healing until nothing was left to do. Absent: it did not come to that. */
  readonly doneAfterMs?: number;
}

/** After the last fault is healed everything that was asked for is answered, and all that follows from it is done (C12). */
export function workLeftUndone(history: Pick<History, 'entries' | 'faults'>, { work, doneAfterMs }: Settling, withinMs: number): Violation[] {
  const found: Violation[] = [];
  for (const { name, target, healedAtMs } of history.faults) {
    if (healedAtMs === undefined) found.push(violation('C12', `${name} of ${target} was never healed`));
  }
  for (const { number, endedAtMs } of history.entries) {
    if (endedAtMs === undefined) found.push(violation('C12', `#${number} was never answered`, [number]));
  }
  for (const operation of operationsOf(history)) {
    if (operation.key === undefined || operation.verdict) continue;
    const { attempts, action } = operation;
    found.push(violation('C12', `${action.kind} ${operation.key} has no verdict after ${attempts.length} attempts`, numbersOf(operation)));
  }
  if (work.lagEvents > 0) found.push(violation('C12', `the views and sagas are ${work.lagEvents} events behind`));
  found.push(...violations('C12', work.stuck.map((one) => `${one} is stuck`)));
  found.push(...violations('C12', work.commands.map((one) => `${one} is not done`)));
  if (doneAfterMs === undefined || doneAfterMs > withinMs) {
    const took = doneAfterMs === undefined ? 'was not done' : `was done ${Math.round(doneAfterMs)} ms`;
    found.push(violation('C12', `the work ${took} after the last fault, and may take ${withinMs} ms`));
  }
  return found;
}
