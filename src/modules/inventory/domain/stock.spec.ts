import { refused, StreamsInMemory } from '../../../../test/support/given.js';
import { adjusted, adjusts, from, given, received, receives, released, reserved, reserves, sku } from '../../../../test/support/inventory-words.js';
import { inventoryEvents, type InventoryEvent } from './events.js';
import { reservationType } from './reservation.js';
import { asOf, maxLocations, stockStream, stockType } from './stock.js';

const largest = Number.MAX_SAFE_INTEGER;

describe('receiving stock', () => {
  it('makes the SKU, and says what is there', () => {
    given()
      .when(receives(40, 'main', 'delivery 7'))
      .then(received(40, { reference: 'delivery 7' }))
      .creating(true)
      .answering({
        sku,
        onHand: 40,
        reserved: 0,
        available: 40,
        locations: [{ location: 'main', onHand: 40, reserved: 0, available: 40 }],
      });
  });

  it('adds to what is there, and says what is reserved of it', () => {
    given(received(40), reserved('r1', from('main', 3)))
      .when(receives(2))
      .then(received(2, { onHand: 42, reserved: 3 }))
      .answering(expect.objectContaining({ onHand: 42, reserved: 3, available: 39 }));
  });

  it('at another location counts there, after those that had the SKU before', () => {
    given(received(1, { location: 'z' }), received(2, { location: 'a' }))
      .when(receives(3, 'm'))
      .then(received(3, { location: 'm' }))
      .answering({
        sku,
        onHand: 6,
        reserved: 0,
        available: 6,
        locations: [
          { location: 'z', onHand: 1, reserved: 0, available: 1 },
          { location: 'a', onHand: 2, reserved: 0, available: 2 },
          { location: 'm', onHand: 3, reserved: 0, available: 3 },
        ],
      });
  });

  it.each(['__proto__', 'constructor', '0'])('may be at %s', (location) => {
    given(received(1, { location }))
      .when(receives(2, location))
      .then(received(2, { location, onHand: 3 }))
      .answering(expect.objectContaining({ locations: [{ location, onHand: 3, reserved: 0, available: 3 }] }));
  });

  it('is refused where the sum over all locations would leave 53 bits', () => {
    given(received(largest - 5), received(5, { location: 'b' }))
      .when(receives(1, 'b'))
      .then(refused('quantity-out-of-range', `mug has ${largest} on hand, and 1 more is more than can be counted`));
    given(received(largest - 6), received(5, { location: 'b' })).when(receives(1)).answering(expect.objectContaining({ onHand: largest }));
  });

  it('is refused at one location too many, not at those there are', () => {
    const everywhere = Array.from({ length: maxLocations }, (_, index) => received(1, { location: `l${index}` }));
    given(...everywhere).when(receives(1, 'new')).then(refused('too-many-locations', 'mug is at 100 locations, and new is none of them'));
    given(...everywhere).when(receives(1, 'l99')).then(received(1, { location: 'l99', onHand: 2 }));
    given(...everywhere.slice(1)).when(receives(1, 'new')).then(received(1, { location: 'new' }));
  });
});

describe('adjusting stock', () => {
  it('corrects what is on hand, up or down', () => {
    given(received(40)).when(adjusts(-2, 'broken')).then(adjusted(-2, 'broken', { onHand: 38 })).creating(true);
    given(received(40)).when(adjusts(2, 'found')).then(adjusted(2, 'found', { onHand: 42 }));
  });

  it('leaves what is reserved there, whatever other locations have', () => {
    const stock = [received(5), received(100, { location: 'b' }), reserved('r1', from('main', 3))];
    given(...stock).when(adjusts(-2)).then(adjusted(-2, 'counted', { onHand: 3, reserved: 3 }));
    given(...stock)
      .when(adjusts(-3))
      .then(refused('insufficient-stock', 'location main has 5 of mug on hand, 3 of them reserved: 3 can not be taken away'));
  });

  it('does not mind what has expired', () => {
    const stock = [received(5), reserved('r1', from('main', 3), { expiresAt: '2026-01-31T12:00:00.000Z', expiresInSeconds: 1 })];
    given(...stock).at('2026-01-31T11:59:59.999Z').when(adjusts(-5)).then(refused('insufficient-stock'));
    given(...stock).at('2026-01-31T12:00:00.000Z').when(adjusts(-5)).then(adjusted(-5, 'counted', { onHand: 0 }));
  });

  it('is refused where nothing was ever received', () => {
    given().when(adjusts(1)).then(refused('stock-not-found', 'there never was any stock of mug at location main'));
    given(received(5)).when(adjusts(1, 'found', 'b')).then(refused('stock-not-found'));
  });

  it('is refused beyond 53 bits', () => {
    given(received(largest)).when(adjusts(1)).then(refused('quantity-out-of-range'));
  });
});

describe('the state of a stock', () => {
  const at = (second: number) => new Date(Date.UTC(2026, 0, 31, 12, 0, second)).toISOString();
  type Recorded = [event: InventoryEvent, recordedAt: string];
  const stockAfter = (...events: Recorded[]) => {
    const streams = new StreamsInMemory(inventoryEvents, [stockType, reservationType]);
    for (const [event, recordedAt] of events) streams.record(event, recordedAt);
    return streams.of(stockStream(sku));
  };
  const expiring = (id: string, quantity: number, second: number) =>
    reserved(id, from('main', quantity), { expiresAt: at(second), expiresInSeconds: 5 });

  it('keeps sums of what expires, not reservations', () => {
    const { locations, expiring: sums, version } = stockAfter(
      [received(50), at(0)],
      [expiring('r1', 1, 10), at(0)],
      [expiring('r2', 2, 20), at(0)],
      [expiring('r3', 4, 10), at(0)],
      [reserved('r4', from('main', 8)), at(0)],
    );
    const first = Date.parse(at(0)) / 1_000;
    expect(locations).toEqual([{ location: 'main', onHand: 50, reserved: 15 }]);
    expect(sums).toEqual([[first + 10, 0, 5], [first + 20, 0, 2]]);
    expect(version).toBe(5);
  });

  it('forgets a sum that was given back, and what has passed', () => {
    const before: Recorded[] = [[received(50), at(0)], [expiring('r1', 1, 10), at(0)], [expiring('r2', 2, 20), at(0)]];
    expect(stockAfter(...before, [released('r1', from('main', 1), at(10)), at(1)]).expiring).toHaveLength(1);
    const passed = stockAfter(...before, [received(1, { location: 'b' }), at(10)]);
    expect(passed.expiring).toHaveLength(1);
    expect(passed.locations[0]).toEqual({ location: 'main', onHand: 50, reserved: 2 });
  });

  it('is the same at any time before an expiry, and another from then on', () => {
    const stock = stockAfter([received(50), at(0)], [expiring('r1', 1, 10), at(0)]);
    expect(asOf(stock, '2026-01-31T12:00:09.999Z')).toBe(stock);
    expect(asOf(stock, at(10)).locations[0]!.reserved).toBe(0);
  });

  it('stays small however many reservations are open', () => {
    const streams = new StreamsInMemory(inventoryEvents, [stockType, reservationType]);
    streams.record(received(1_000_000), at(0));
    const begin = Date.parse(at(0));
    for (let index = 0; index < 20_000; index++) {
      const now = new Date(begin + index).toISOString();
      // A prime number of steps through all durations there may be.
      streams.run(reserves(`r${index}`, 1, ((index * 7_919) % 86_400) + 1), now);
    }
    const stock = streams.of(stockStream(sku));
    expect(stock.locations[0]!.reserved).toBeGreaterThan(19_900);
    expect(stock.expiring.length).toBeLessThanOrEqual(901 + 1_441);
    expect(JSON.stringify(stock).length).toBeLessThan(60_000);
  });
});
