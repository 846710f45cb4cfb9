import { setTimeout as sleep } from 'node:timers/promises';
import { classify } from '../log/failures.js';
import type { Logger } from '../observability/logger.js';

const pauseMs = 250;

/**
 * For what a start needs of the database: one that is not there yet will be. Does it until it is done, or until `isOver`.
 * Rejects with what waiting does not mend, such as a database that this build must not touch.
 */
export async function whenUsable(work: () => Promise<void>, isOver: () => boolean, logger: Logger): Promise<void> {
  for (let failures = 0; !isOver(); failures++) {
    try {
      return await work();
    } catch (error) {
      if (isOver()) return; // What ends this process may have ended what it was waiting for, too.
      const kind = classify(error);
      if (kind !== 'unreachable' && kind !== 'transient') throw error;
      if (failures % 20 === 0) logger.warn({ err: error }, 'the database can not be used yet; trying again');
      await sleep(pauseMs);
    }
  }
}
