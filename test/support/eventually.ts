import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again until the answer is good. The test's own time limit ends it. */
export async function eventually<T>(ask: () => Promise<T>, isGood: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isGood(answer)) return answer;
    await sleep(20);
  }
}

/** Checks again and again until nothing is thrown; what was thrown last is the failure when that takes too long. */
export async function untilPasses<T>(check: () => Promise<T>, limitMs = 60_000): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
