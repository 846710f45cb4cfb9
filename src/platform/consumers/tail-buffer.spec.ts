import fc from 'fast-check';
import type { RecordedEvent } from '../log/recorded-event.js';
import { TailBuffer } from './tail-buffer.js';

const concerns = ({ position }: RecordedEvent) => position % 3 !== 0;

/** A partition's log is as long as anybody asks for: its events differ by their positions. */
function logged(after: number, upTo: number): RecordedEvent[] {
  const positions = Array.from({ length: upTo - after }, (_, index) => after + 1 + index);
  return positions.map((position) => ({ partition: 0, position }) as RecordedEvent);
}

const position = fc.nat(60);
const step = fc.oneof(
  fc.record({ do: fc.constant('push' as const), gap: fc.integer({ min: -3, max: 3 }).map((n) => (Math.abs(n) < 3 ? 0 : n)), count: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ do: fc.constant('forget' as const), position }),
  fc.record({ do: fc.constant('read' as const), position, limit: fc.integer({ min: 1, max: 10 }) }),
);

describe('What a process holds of the tail of a partition', () => {
  it('is what the log holds there, as far as it goes, or is not there', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 2, max: 20 }), (steps, maxEvents) => {
        const tail = new TailBuffer(maxEvents, concerns);
        let head = 0;
        for (const step of steps) {
          if (step.do === 'push') {
            const after = Math.max(0, head + step.gap);
            head = after + step.count;
            tail.push(logged(after, head));
          } else if (step.do === 'forget') {
            tail.forget(0, Math.min(step.position, head));
          } else {
            const found = tail.after(0, step.position, step.limit);
            if (!found) continue;
            expect(found.events.length).toBeLessThanOrEqual(step.limit);
            expect(found.upTo).toBeGreaterThan(step.position);
            expect(found.upTo).toBeLessThanOrEqual(head);
            expect(found.events).toEqual(logged(step.position, found.upTo).filter(concerns));
          }
        }
      }),
    );
  });

  it('is all that was told since the last consumed event', () => {
    const tail = new TailBuffer(100, concerns);
    tail.push(logged(0, 4));
    tail.push(logged(4, 10));
    tail.forget(0, 5);
    expect(tail.after(0, 5, 100)).toEqual({ events: logged(5, 10).filter(concerns), upTo: 10 });
    expect(tail.after(0, 4, 100)).toBeUndefined();
    expect(tail.after(0, 10, 100)).toBeUndefined();
  });

  it('says how far it goes where nothing in it concerns anybody', () => {
    const tail = new TailBuffer(100, () => false);
    tail.push(logged(7, 5_000));
    expect(tail.after(0, 7, 10)).toEqual({ events: [], upTo: 5_000 });
  });

  it('ends where the limit cuts it', () => {
    const tail = new TailBuffer(100, concerns);
    tail.push(logged(0, 10));
    expect(tail.after(0, 0, 3)).toEqual({ events: logged(0, 4).filter(concerns), upTo: 4 });
  });

  it('is never more than it may be, the newest of it', () => {
    const tail = new TailBuffer(10);
    for (let upTo = 4; upTo <= 40; upTo += 4) tail.push(logged(upTo - 4, upTo));
    expect(tail.after(0, 0, 100)).toBeUndefined();
    expect(tail.after(0, 38, 100)).toEqual({ events: logged(38, 40), upTo: 40 });
  });
});
