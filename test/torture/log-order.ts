import type { LogContents, LoggedEvent } from '../chaos/log-contents.js';
import { claimsByEffect, eventsByEffect, positionOf } from './effects.js';
import { operationsOf, type History, type Operation } from './history.js';
import { violation, type Violation } from './violation.js';

/**
 * The log is the order in which things happened, so within a partition what had been acknowledged before something
 * else was asked for must stand in front of it. The log is its own witness here, so this needs no search, and holds of
 * every object, those too that sagas write to.
 */
export function orderGoneWrong(history: Pick<History, 'entries'>, log: LogContents): Violation[] {
  const events = eventsByEffect(log.events);
  const partitions = new Map<number, { operation: Operation; event: LoggedEvent }[]>();
  for (const [effect, claims] of claimsByEffect(operationsOf(history))) {
    const there = events.get(effect) ?? [];
    // With several claims it is not known whose it was.
    if (claims.length !== 1 || claims[0]!.is !== 'made' || there.length !== 1) continue;
    const [event] = there;
    const own = partitions.get(event!.partition) ?? [];
    partitions.set(event!.partition, own);
    own.push({ operation: claims[0]!.operation, event: event! });
  }
  return [...partitions.values()].flatMap((own) => {
    const found: Violation[] = [];
    const byEnd = [...own].sort((a, b) => a.operation.endedAtMs! - b.operation.endedAtMs!);
    const byBegin = [...own].sort((a, b) => a.operation.invokedAtMs - b.operation.invokedAtMs);
    let ended = 0;
    let last: (typeof own)[number] | undefined;
    for (const one of byBegin) {
      while (ended < byEnd.length && byEnd[ended]!.operation.endedAtMs! < one.operation.invokedAtMs) {
        const other = byEnd[ended++]!;
        if (!last || other.event.position > last.event.position) last = other;
      }
      if (!last || last.event.position <= one.event.position) continue;
      const [before, after] = [last.operation.verdict!.number, one.operation.verdict!.number];
      const sentence = `#${before} had been acknowledged before #${after} was asked for, and comes after it in the log`;
      found.push(violation('L2', sentence, [before, after], [positionOf(last.event), positionOf(one.event)]));
    }
    return found;
  });
}
