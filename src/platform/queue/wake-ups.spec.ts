import { Worker, type Found } from './wake-ups.js';

describe('A worker that finds what is late', () => {
  /** What it makes of looks that find this, one after the other, and then nothing more. */
  async function look(found: Found[], sweepIntervalMs: number): Promise<{ missed: number; looks: string[] }> {
    const looks: string[] = [];
    let missed = 0;
    const done = new Promise<void>((resolve) => {
      const worker = new Worker({
        sweepIntervalMs,
        work: async (isExpected) => {
          looks.push(isExpected ? 'expected' : 'unexpected');
          if (found.length === 0) void worker.stop().then(resolve);
          return found.shift() ?? 'nothing';
        },
        onMissedWakeUp: () => missed++,
        onError: (error) => {
          throw error;
        },
      });
      worker.start();
    });
    await done;
    return { missed, looks };
  }

  test('in a sweep has missed a wake-up', async () => {
    expect(await look(['nothing', 'late'], 1)).toEqual({ missed: 1, looks: ['expected', 'unexpected', 'unexpected'] });
  });

  test('while it is at work has not: who had the work may still be about to say so', async () => {
    expect(await look(['some', 'late'], 60_000)).toEqual({ missed: 0, looks: ['expected', 'unexpected', 'unexpected'] });
  });
});
