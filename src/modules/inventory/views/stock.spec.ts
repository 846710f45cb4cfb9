import { committed, from, received, reserved } from '../../../../test/support/inventory-words.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { InventoryEvent } from '../domain/events.js';
import { inventoryStock } from './stock.js';

const noon = '2026-01-31T12:00:00.000Z';
const at = (second: number) => new Date(Date.parse(noon) + second * 1_000).toISOString();

/** The rows that a batch writes, column by column, and the ones it deletes up to when. */
function writtenBy(...events: [event: InventoryEvent, recordedAt?: string][]) {
  const batch = events.map(([event, recordedAt = noon], index) => ({ ...event, partition: 0, position: index + 1, recordedAt }));
  const statements = inventoryStock.project(batch as RecordedEvent[], 't', []);
  return Object.fromEntries(statements.map(({ name, values }) => [name, values]));
}

describe('a batch of events', () => {
  it('of a thousand reservations of one SKU is two rows: its own, and the moment at which they expire', () => {
    const expiry = { expiresAt: at(900), expiresInSeconds: 900 };
    const many = Array.from({ length: 1_000 }, (_, index): [InventoryEvent] => [
      reserved(`r${index}`, from('main', 2, [5_000, 2 * index + 2]), expiry),
    ]);
    expect(writtenBy(...many)).toEqual({
      't-change': ['{"mug","mug"}', `{"infinity","${at(900)}"}`, '{"main","main"}', '{"1","0"}', '{"5000","0"}', '{"2000","2000"}', '{"1000","0"}'],
      't-pass': ['{"mug"}', '{"main"}', `{"${noon}"}`],
    });
  });

  it('writes nothing of moments that have passed by its last event at the location', () => {
    const expiring = (id: string, quantity: number, second: number): InventoryEvent =>
      reserved(id, from('main', quantity, [9, quantity]), { expiresAt: at(second), expiresInSeconds: second });
    const written = writtenBy([expiring('r1', 1, 5)], [expiring('r2', 2, 10)], [received(1, { onHand: 10, reserved: 2 }), at(5)]);
    expect(written['t-change']![1]).toBe(`{"infinity","${at(10)}"}`);
    expect(written['t-change']![5]).toBe('{"2","2"}');
    const other = writtenBy([expiring('r1', 1, 5)], [received(1, { location: 'b' }), at(5)]);
    expect(other['t-change']![1]).toBe(`{"infinity","${at(5)}","infinity"}`);
  });

  it('takes what was settled in time off its moment', () => {
    const written = writtenBy([committed('r1', from('main', 3, [7, 1]), at(10))]);
    expect(written['t-change']).toEqual(['{"mug","mug"}', `{"infinity","${at(10)}"}`, '{"main","main"}', '{"1","0"}', '{"7","0"}', '{"1","-3"}', '{"1","0"}']);
  });

  it('counts an event of several locations once', () => {
    const written = writtenBy([reserved('r1', [from('z', 1, [1, 1]), from('a', 2, [5, 2])])]);
    expect(written['t-change']![6]).toBe('{"1","0"}');
  });

  it('that is not about stock writes nothing', () => {
    const others = [
      { type: 'inventory.reservation-released.v1', data: { sku: 'mug', reservationId: 'r1', allocations: [] } },
      { type: 'ledger.account-closed.v1', data: { ledger: 'main', accountId: 'alice' } },
    ];
    expect(writtenBy(...others.map((event): [InventoryEvent] => [event as InventoryEvent]))).toEqual({});
  });
});
