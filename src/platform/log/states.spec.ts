import { evolved, newState, StateCache, type VersionedState } from './states.js';
import { stream, type Event, type StreamType } from './stream.js';

const bytesEach = 1_000;
const noted: StreamType<{ readonly isOver: boolean }, Event> = {
  name: 'noted',
  stateVersion: 1,
  // With what the cache keeps for an entry, and the name twice.
  stateBytes: () => bytesEach - 200 - 2 * 'noted-000'.length,
  initial: () => ({ isOver: false }),
  evolve: (_state, { type }) => ({ isOver: type === 'over' }),
  isWorthKeeping: ({ isOver }) => !isOver,
};

const begun = (n: number): VersionedState => newState(stream(noted, String(n).padStart(3, '0')));
const after = (entry: VersionedState, type: 'more' | 'over'): VersionedState => evolved(entry, { type, data: {} }, '2026-11-29T00:00:00.000Z');
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
const heldOf = (cache: StateCache, from: number, to: number) => numbers(from, to).filter((n) => cache.get(begun(n).stream.name));

describe('The states in memory', () => {
  /** Room for 80 streams, and for 5 of them that have just begun. */
  const cacheFor80 = () => new StateCache(80 * bytesEach);

  test('are those of the streams that commands ask for, however many others begin', () => {
    const cache = cacheFor80();
    for (const n of numbers(0, 75)) cache.putLoaded(0, begun(n));
    for (const n of numbers(100, 900)) cache.put(0, after(begun(n), 'more'));
    expect(heldOf(cache, 0, 75)).toHaveLength(75);
    expect(heldOf(cache, 100, 900)).toEqual(numbers(895, 900));
  });

  test('stay when a stream goes on soon after it has begun', () => {
    const cache = cacheFor80();
    const first = after(begun(1), 'more');
    cache.put(0, first);
    cache.put(0, after(first, 'more'));
    for (const n of numbers(100, 900)) cache.put(0, after(begun(n), 'more'));
    expect(cache.get(first.stream.name)?.version).toBe(2);
  });

  test('are the latest ones, wherever they are held', () => {
    const cache = cacheFor80();
    let entry = begun(1);
    for (let version = 1; version <= 4; version++) {
      cache.put(0, (entry = after(entry, 'more')));
      expect([cache.get(entry.stream.name), cache.peek(entry.stream.name)]).toEqual([entry, entry]);
    }
  });

  test('are not kept of what is over', () => {
    const cache = cacheFor80();
    for (const steps of [0, 1, 2]) {
      let entry = begun(steps);
      for (let step = 0; step < steps; step++) cache.put(0, (entry = after(entry, 'more')));
      cache.put(0, after(entry, 'over'));
    }
    cache.putLoaded(0, after(begun(3), 'over'));
    expect([heldOf(cache, 0, 4), cache.bytes]).toEqual([[], 0]);
  });

  test('take no more memory than they may', () => {
    const cache = cacheFor80();
    for (const n of numbers(0, 500)) {
      cache.putLoaded(0, begun(n));
      cache.put(0, after(begun(500 + n), 'more'));
    }
    expect(cache.bytes).toBe(80 * bytesEach);
  });

  test('of a partition can be let go of', () => {
    const cache = cacheFor80();
    cache.putLoaded(0, begun(1));
    cache.put(0, after(begun(2), 'more'));
    cache.putLoaded(1, begun(3));
    cache.put(1, after(begun(4), 'more'));
    cache.forget(0);
    expect(heldOf(cache, 1, 5)).toEqual([3, 4]);
  });
});
