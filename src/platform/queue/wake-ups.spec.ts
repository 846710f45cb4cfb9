import { untilNextMs, Worker, type Found, type Rest } from './wake-ups.js';

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

describe('A worker that rests between looks', () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  /** When it looks, with this to be found, or something each time, until it is stopped. */
  const start = (rest: Rest, found?: Found[]) => {
    const looks: number[] = [];
    const worker = new Worker({
      sweepIntervalMs: 1_000,
      rest,
      work: async () => (looks.push(performance.now()), found ? (found.shift() ?? 'nothing') : 'some'),
      onError: (error) => {
        throw error;
      },
    });
    worker.start();
    return { looks, worker };
  };

  test('lets work gather while nobody waits for it', async () => {
    const { looks } = start({ leastMs: 2, mostMs: 20 });
    await jest.advanceTimersByTimeAsync(50);
    expect(looks).toEqual([0, 20, 40]);
  });

  test('goes on when somebody begins to wait', async () => {
    const { looks, worker } = start({ leastMs: 2, mostMs: 20 });
    await jest.advanceTimersByTimeAsync(25);
    worker.hasten();
    await jest.advanceTimersByTimeAsync(15);
    expect(looks).toEqual([0, 20, 25]);
  });

  test('looks when somebody begins to wait, though it knows of nothing: another process may rest with what there is', async () => {
    const { looks, worker } = start({ leastMs: 2, mostMs: 20 }, ['some', 'nothing', 'some', 'nothing']);
    await jest.advanceTimersByTimeAsync(100);
    worker.hasten();
    await jest.advanceTimersByTimeAsync(100);
    expect(looks).toEqual([0, 20, 100, 120]);
  });

  test('rests all the same for the least time, however many wait', async () => {
    const { looks, worker } = start({ leastMs: 2, mostMs: 20, isWaitedFor: () => true });
    for (let ms = 0; ms < 6; ms++) {
      await jest.advanceTimersByTimeAsync(1);
      worker.hasten();
    }
    expect(looks).toEqual([0, 2, 4, 6]);
  });

  test('does not keep a process that stops', async () => {
    const { worker } = start({ leastMs: 2, mostMs: 60_000 });
    await jest.advanceTimersByTimeAsync(100);
    await worker.stop();
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('Workers that sweep', () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  test('do it at the same moment, whenever they began, so that an idle process wakes up once', async () => {
    const sweeps: number[][] = [];
    for (const startedMs of [1_300, 1_900]) {
      await jest.advanceTimersByTimeAsync(startedMs - performance.now());
      const own: number[] = [];
      sweeps.push(own);
      const work = async (): Promise<Found> => (own.push(performance.now()), 'nothing');
      const onError = (error: unknown) => {
        throw error;
      };
      const worker = new Worker({ sweepIntervalMs: 1_000, work, onError });
      worker.start();
    }
    await jest.advanceTimersByTimeAsync(3_000 - performance.now());
    expect(sweeps).toEqual([[1_300, 2_000, 3_000], [1_900, 2_000, 3_000]]);
  });

  test.each([
    [1_300, 0, 700],
    [1_300, 500, 700],
    [1_900, 0, 100],
    [1_900, 500, 1_100],
    [2_000, 0, 1_000],
  ])('at %d ms, and not for %d ms, wait %d ms', async (nowMs, atLeastMs, expected) => {
    await jest.advanceTimersByTimeAsync(nowMs);
    expect(untilNextMs(1_000, atLeastMs)).toBe(expected);
  });
});
