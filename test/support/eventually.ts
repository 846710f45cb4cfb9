import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again until the answer is good. The test's own time limit ends it. */
export async function eventually<T>(ask: () => Promise<T>, isGood: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isGood(answer)) return answer;
    await sleep(20);
  }
}
