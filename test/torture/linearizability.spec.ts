import fc from 'fast-check';
import { findOrder, type Call, type Model } from './linearizability.js';

/** A number that is added to, and says what it is then; it refuses to become more than `most`. */
type Input =
  | { readonly add: number; readonly says: number | 'too much' | undefined }
  | { readonly read: number };

const most = 10;

class Sum implements Model<Input> {
  private value = 0;

  take(input: Input): (() => void) | undefined {
    if ('read' in input) return input.read === this.value ? () => undefined : undefined;
    const { add, says } = input;
    const isTooMuch = this.value + add > most;
    if (says === 'too much') return isTooMuch ? () => undefined : undefined;
    if (isTooMuch || (says !== undefined && says !== this.value + add)) return undefined;
    this.value += add;
    return () => void (this.value -= add);
  }

  name(): string {
    return String(this.value);
  }
}

const call = (input: Input, invokedAtMs: number, endedAtMs?: number): Call<Input> => ({ input, invokedAtMs, endedAtMs });
const kindOf = (calls: Call<Input>[], maxSteps?: number) => findOrder(calls, new Sum(), maxSteps).kind;

describe('A history of one object', () => {
  test('of nothing is linearizable', () => {
    expect(kindOf([])).toBe('linearizable');
  });

  test('one after the other is what it is', () => {
    expect(kindOf([call({ add: 2, says: 2 }, 0, 1), call({ read: 2 }, 2, 3)])).toBe('linearizable');
    expect(kindOf([call({ add: 2, says: 2 }, 0, 1), call({ read: 0 }, 2, 3)])).toBe('not linearizable');
  });

  test('may have concurrent calls in any order', () => {
    const add = call({ add: 2, says: 2 }, 0, 10);
    expect(kindOf([add, call({ read: 2 }, 1, 2), call({ read: 2 }, 3, 4)])).toBe('linearizable');
    expect(kindOf([add, call({ read: 0 }, 1, 2), call({ read: 2 }, 3, 4)])).toBe('linearizable');
    expect(kindOf([add, call({ read: 2 }, 1, 2), call({ read: 0 }, 3, 4)])).toBe('not linearizable');
  });

  test('may need an order that is not that of the beginnings', () => {
    expect(kindOf([call({ add: 1, says: 3 }, 0, 10), call({ add: 2, says: 2 }, 1, 10)])).toBe('linearizable');
  });

  test('may have calls that took effect though nobody saw it, at any time after they began', () => {
    const lost = call({ add: 2, says: undefined }, 5);
    expect(kindOf([lost, call({ read: 0 }, 6, 7), call({ read: 2 }, 8, 9)])).toBe('linearizable');
    expect(kindOf([lost, call({ read: 0 }, 6, 7), call({ read: 0 }, 8, 9)])).toBe('linearizable');
    expect(kindOf([lost, call({ read: 2 }, 6, 7), call({ read: 0 }, 8, 9)])).toBe('not linearizable');
    expect(kindOf([lost, call({ read: 2 }, 3, 4)])).toBe('not linearizable');
  });

  test('must have refusals where they were right', () => {
    const full = [call({ add: 6, says: 6 }, 0, 1), call({ add: 4, says: 'too much' }, 2, 3)];
    expect(kindOf(full)).toBe('not linearizable');
    expect(kindOf([...full, call({ add: 1, says: 7 }, 2, 4)])).toBe('linearizable');
  });

  test('says which call can not be explained, and what was under way with it', () => {
    const wrong = call({ read: 5 }, 5, 7);
    const beside = call({ add: 1, says: 3 }, 6, 9);
    const verdict = findOrder([call({ add: 2, says: 2 }, 0, 1), wrong, beside], new Sum());
    expect(verdict).toMatchObject({ kind: 'not linearizable', call: wrong, concurrent: [beside] });
  });

  test('that takes too long is given up, and nothing is said of it', () => {
    const calls = Array.from({ length: 24 }, (_, index) => call({ add: (index % 3) - 1, says: undefined }, 0, 100));
    expect(kindOf([...calls, call({ read: 99 }, 101, 102)], 5_000)).toBe('undecided');
  });
});

/** Whether some order of all ended calls and some others explains everything, by trying them all. */
function bruteForce(calls: readonly Call<Input>[]): boolean {
  const isThere = (taken: readonly Call<Input>[], left: readonly Call<Input>[]): boolean => {
    if (left.every(({ endedAtMs }) => endedAtMs === undefined)) return true;
    return left.some((next) => {
      const others = left.filter((other) => other !== next);
      if (others.some(({ endedAtMs = Infinity }) => endedAtMs < next.invokedAtMs)) return false;
      const order = [...taken, next];
      const model = new Sum();
      return order.every(({ input }) => model.take(input)) && isThere(order, others);
    });
  };
  return isThere([], calls);
}

interface Drawn {
  readonly add: number;
  readonly isRead: boolean;
  readonly isLost: boolean;
  readonly before: number;
  readonly after: number;
}

const drawn = (maxLength: number, widest: number) =>
  fc.array(
    fc.record<Drawn>({
      add: fc.integer({ min: -2, max: 5 }),
      isRead: fc.boolean(),
      isLost: fc.nat(9).map((dice) => dice === 0),
      before: fc.nat(widest),
      after: fc.nat(widest),
    }),
    { maxLength, size: 'max' },
  );

/** Done one after the other at 0, 10, 20, …, and seen from some time before to some time after. */
function historyOf(steps: readonly Drawn[]): Call<Input>[] {
  let value = 0;
  return steps.map(({ add, isRead, isLost, before, after }, index) => {
    const atMs = index * 10;
    const fits = value + add <= most;
    const says = fits ? value + add : 'too much';
    if (!isRead && fits) value += add;
    const input: Input = isRead ? { read: value } : { add, says: isLost ? undefined : says };
    return call(input, atMs - before, isLost && !isRead ? undefined : atMs + after);
  });
}

describe('For all histories', () => {
  test('that come from doing one call after the other, an order is found', () => {
    fc.assert(
      fc.property(drawn(60, 60), (steps) => {
        expect(kindOf(historyOf(steps))).toBe('linearizable');
      }),
      { numRuns: 300 },
    );
  });

  test('with an answer that was changed, an order is found when trying all of them finds one, and only then', () => {
    let rejected = 0;
    fc.assert(
      fc.property(drawn(7, 25), fc.nat(6), fc.integer({ min: -3, max: 3 }), (steps, which, by) => {
        const calls = historyOf(steps).map((one, index) => {
          if (index !== which % Math.max(1, steps.length)) return one;
          const { input } = one;
          if ('read' in input) return { ...one, input: { read: input.read + by } };
          const says = typeof input.says === 'number' ? input.says + by : input.says;
          return { ...one, input: { ...input, says } };
        });
        const expected = bruteForce(calls);
        if (!expected) rejected++;
        expect(kindOf(calls)).toBe(expected ? 'linearizable' : 'not linearizable');
      }),
      { numRuns: 2_000 },
    );
    expect(rejected).toBeGreaterThan(100);
  });

  test('of ten thousand calls it is quick', () => {
    const steps = Array.from({ length: 10_000 }, (_, index): Drawn => ({
      add: (index % 8) - 2,
      isRead: index % 5 === 0,
      isLost: index % 500 === 0,
      before: (index * 7) % 100,
      after: (index * 13) % 100,
    }));
    expect(kindOf(historyOf(steps))).toBe('linearizable');
  });
});
