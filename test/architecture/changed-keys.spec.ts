import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { productModules } from '../../src/app.module.js';
import { initialOrder, type OrderState } from '../../src/modules/ordering/domain/order.js';
import type { Projection } from '../../src/platform/consumers/projection.js';
import type { RecordedEvent } from '../../src/platform/log/recorded-event.js';
import { root } from '../support/command.js';

const at = '2026-01-31T12:00:00.000Z';
/** What the orders' view has of an order before something further happens to it. */
function placed(orderId: string) {
  const state: OrderState = { ...initialOrder(orderId), history: [{ status: 'placed', at }] };
  return { order_id: orderId, version: 1, state };
}

const folder = join(root, 'test/fixtures/events');

/** What a view writes of one event, as text. */
function writtenBy(view: Projection, event: RecordedEvent): string {
  const lookUp = view.lookUp?.([event], view.table);
  const found = lookUp ? [placed(String(lookUp.values[0]).slice(2, -2))] : [];
  const statements = view.project([event], view.table, found);
  return statements.length === 0 ? '' : JSON.stringify(statements.map(({ values }) => values));
}

describe('a view that is cached', () => {
  const views = productModules.flatMap(({ projections }) => projections).filter(({ changedKeys }) => changedKeys);

  it('names the keys of every event that it writes something of, and of no other', async () => {
    const named: Record<string, readonly string[]> = {};
    for (const file of await readdir(folder)) {
      const stored = JSON.parse(await readFile(join(folder, file), 'utf8')) as object;
      const event = { ...stored, partition: 0, position: 1, recordedAt: at, metadata: { commandId: 'c' } } as RecordedEvent;
      for (const view of views) {
        const keys = view.changedKeys!(event);
        const written = writtenBy(view, event);
        const label = `${view.name}: ${event.type}`;
        expect([label, keys.length > 0]).toEqual([label, written !== '']);
        // A transaction is read from the log as of this view: nothing is written of it.
        const ofRows = keys.filter((key) => !key.startsWith('transaction/'));
        for (const part of ofRows.flatMap((key) => key.split('/'))) expect(written).toContain(part);
        if (keys.length > 0) named[label] = keys;
      }
    }
    expect(named).toMatchSnapshot();
  });
});
