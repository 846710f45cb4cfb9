import { gapsInPositions, gapsInVersions, moneyGoneWrong, timesGoingBack } from '../chaos/checkers.js';
import { effectsGoneWrong, positionOf } from './effects.js';
import type { FinalState } from './final-state.js';
import type { History } from './history.js';
import { workLeftUndone } from './liveness.js';
import { orderGoneWrong } from './log-order.js';
import { checkObjects, type ObjectsChecked } from './objects.js';
import { ordersGoneWrong } from './orders.js';
import { readsGoneWrong, sumsGoneWrong, usualBounds, type ReadBounds } from './reads.js';
import { tablesGoneWrong } from './read-tables.js';
import { refusalsGoneWrong } from './refusals.js';
import { replay } from './replay.js';
import { violation, violations, type Violation } from './violation.js';

export interface Bounds extends ReadBounds {
  /** How long all work may take to be done after the last fault is healed. */
  readonly doneWithinMs: number;
}

export interface Checked {
  readonly violations: readonly Violation[];
  /** How much the search for linearizability covered. */
  readonly objects: Omit<ObjectsChecked, 'violations'>;
}

/**
 * Everything that is wrong with a run, by all checkers. The state is to be read when all work is done (`allIsDone`,
 * whose result is `doneAfterMs`), and the history has to begin with the set-up: an account or a SKU that nobody is seen
 * to open or receive can not be followed.
 */
export function check(
  history: History,
  state: FinalState,
  doneAfterMs: number | undefined,
  bounds: Bounds = { ...usualBounds, doneWithinMs: 30_000 },
): Checked {
  const { log, work } = state;
  const folded = replay(log);
  const { violations: unordered, ...objects } = checkObjects(history);
  return {
    objects,
    violations: [
      ...violations('C1', moneyGoneWrong(log)),
      ...sumsGoneWrong(history),
      ...folded.oversold.map(({ sentence, event }) => violation('C2', sentence, [], [positionOf(event)])),
      ...effectsGoneWrong(history, log),
      ...violations('C5', gapsInVersions(log)),
      ...violations('C6', [...gapsInPositions(log), ...timesGoingBack(log)]),
      ...tablesGoneWrong(state, folded),
      ...readsGoneWrong(history, log, folded, bounds),
      ...ordersGoneWrong(folded),
      ...workLeftUndone(history, { work, doneAfterMs }, bounds.doneWithinMs),
      ...unordered,
      ...orderGoneWrong(history, log),
      ...refusalsGoneWrong(history, log, folded),
    ],
  };
}
