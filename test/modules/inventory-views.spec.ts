import type { INestApplicationContext } from '@nestjs/common';
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { inventoryMovements } from '../../src/modules/inventory/views/movements.js';
import { inventoryReservations } from '../../src/modules/inventory/views/reservations.js';
import { inventoryStock } from '../../src/modules/inventory/views/stock.js';
import { Audit, type Finding } from '../../src/platform/audit/audit.js';
import { ProjectionCatalogue } from '../../src/platform/consumers/projection-catalogue.js';
import { Rebuild } from '../../src/platform/consumers/rebuild.js';
import { compareTables, replayBatch } from '../../src/platform/consumers/replay.js';
import { createToolPool } from '../../src/platform/database/pools.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import { assembleApplication } from '../support/application.js';
import { after, type Answer, HttpClient, StockClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startRialto, type RialtoServer } from '../support/server.js';

const views = [inventoryStock, inventoryReservations, inventoryMovements];
const seed = 20_260_131;

/** Two SKUs at two locations, with reservations of every fate; some of them expire when nobody is there to notice. */
async function makeHistory(server: RialtoServer): Promise<void> {
  const http = new HttpClient(server);
  const stocks = [new StockClient(http, 'mug'), new StockClient(http, 'cup')];
  let last!: Answer;
  for (const stock of stocks) {
    await stock.receive(100);
    await stock.receive(50, { location: 'outlet' });
    await stock.adjust(-1, { reason: 'broken' });
  }
  for (let round = 0; round < 4; round++) {
    for (const stock of stocks) {
      const ids = Array.from({ length: 12 }, (_, index) => `r${round}-${index}`);
      const seconds = (index: number) => [1, 2, 3, 900][index % 4]!;
      await Promise.all(ids.map((reservationId, index) => stock.reserve(1 + index, { reservationId, expiresInSeconds: seconds(index) })));
      await Promise.all(ids.map((id, index) => [() => stock.commit(id), () => stock.release(id)][index % 3]?.()));
    }
    await sleep(700);
  }
  const isOnRecord = async () => (await stocks[0]!.movements('?limit=500')).body.items.filter(({ type }: { type: string }) => type === 'expired').length;
  await eventually(isOnRecord, (expired) => expired > 8);
  for (const stock of stocks) {
    // One that is over before anybody looks again, one that waits, and one that was called off. The first must outlast the
    // server, which would put it on record: on a machine that is kept busy that takes seconds.
    await stock.reserve(1, { reservationId: 'over', expiresInSeconds: 10 });
    await stock.reserve(2, { reservationId: 'waits', expiresInSeconds: 3_600 });
    await stock.reserve(3, { reservationId: 'off', expiresInSeconds: 3_600 });
    last = await stock.release('off');
    for (const read of [() => stock.stock(after(last)), () => stock.movements('', after(last)), () => stock.reservation('off', after(last))]) {
      expect((await read()).status).toBe(200);
    }
  }
  http.close();
}

describe('The views of the inventory', () => {
  let app: INestApplicationContext;
  let history: TestDatabase;
  let database: TestDatabase;
  let pool: pg.Pool;

  beforeAll(async () => {
    app = await assembleApplication();
    history = await createTestDatabase();
    const server = await startRialto(history.url);
    await makeHistory(server);
    await server.stop();
  });

  beforeEach(async () => {
    database = await createTestDatabase(history.name);
    pool = createToolPool(database.url);
    // Nobody is there to notice.
    const over = `SELECT count(*)::int AS n FROM inventory_reservations WHERE reservation_id = 'over' AND expires_at < now()`;
    await eventually(async () => (await database.pool.query<{ n: number }>(over)).rows[0]!.n, (n) => n === 2);
  });

  afterEach(async () => {
    await pool.end();
    await database.drop();
  });

  afterAll(async () => {
    await app?.close();
    await history?.drop();
  });

  /** As `npm run audit` does it. */
  const audit = async (): Promise<Finding[]> => {
    const catalogues = [app.get(EventCatalogue), app.get(ProjectionCatalogue)] as const;
    const findings: Finding[] = [];
    for await (const finding of app.get(Audit).run(pool, ...catalogues)) findings.push(finding);
    return findings;
  };

  test('are found by the audit to agree with the log', async () => {
    const open = `SELECT count(*)::int AS n FROM inventory_reservations WHERE status = 'reserved' AND expires_at < now()`;
    // What it has to get right: reservations that are over, and that no event has said so of.
    expect((await database.pool.query(open)).rows[0].n).toBeGreaterThanOrEqual(2);
    const findings = await audit();
    expect(findings.filter(({ offenders }) => offenders.length > 0)).toEqual([]);
    const counted = Object.fromEntries(findings.map((finding) => [finding.invariant, finding.counted]));
    expect(counted).toMatchObject({
      '4 on hand, reserved and available are never below 0': '4 locations of 2 SKUs',
      '4 reserved is what open reservations hold': expect.stringMatching(/^\d{3} events of 2 SKUs$/),
      '4 on hand is what was received and adjusted, less what was shipped': expect.stringMatching(/^\d{3} events of 2 SKUs$/),
    });
  });

  test.each([
    ['stock appeared', '4 on hand is what was received', `UPDATE inventory_stock SET on_hand = on_hand + 1 WHERE sku = 'mug' AND location = 'outlet' AND until = 'infinity'`],
    ['a location is gone', '4 on hand is what was received', `DELETE FROM inventory_stock WHERE sku = 'mug' AND location = 'outlet'`],
    ['more is reserved than there is', '4 on hand, reserved and available', `UPDATE inventory_stock SET reserved = on_hand + 1 WHERE until = 'infinity'`],
    ['on hand is below 0', '4 on hand, reserved and available', `UPDATE inventory_stock SET on_hand = -1 WHERE until = 'infinity'`],
    ['something is reserved by nobody', '4 reserved is what', `UPDATE inventory_stock SET reserved = reserved + 1 WHERE sku = 'cup' AND until = 'infinity'`],
    ['something that has expired still counts', '4 reserved is what', `DELETE FROM inventory_stock WHERE sku = 'cup' AND until < now()`],
    [
      'a shipment is not in the log',
      '4 on hand is what was received',
      `UPDATE events SET type = 'inventory.reservation-released.v1' WHERE type = 'inventory.reservation-committed.v1' AND data->>'reservationId' = 'r0-0'`,
    ],
    ['a reservation has another status', '7 inventory_reservations', `UPDATE inventory_reservations SET status = 'released' WHERE reservation_id = 'waits'`],
    ['a movement is gone', '7 inventory_movements', `DELETE FROM inventory_movements WHERE reservation_id = 'waits'`],
    ['a moment is gone', '7 inventory_stock', `DELETE FROM inventory_stock WHERE sku = 'mug' AND until BETWEEN now() + interval '30 minutes' AND '2200-01-01'`],
  ])('are found not to, when %s', async (_what, invariant, damage) => {
    expect((await database.pool.query(damage)).rowCount).toBeGreaterThan(0);
    const broken = (await audit()).filter(({ offenders }) => offenders.length > 0);
    expect(broken.map((finding) => finding.invariant)).toContainEqual(expect.stringContaining(invariant));
  });

  test('are the same when they are filled anew', async () => {
    for (const view of views) {
      const { rows, different } = await new Rebuild(pool, app.get(EventCatalogue), view).run();
      expect([view.name, different, rows > 0]).toEqual([view.name, 0, true]);
    }
    expect((await audit()).flatMap(({ offenders }) => offenders)).toEqual([]);
  });

  test('are the same in whatever batches the events come', async () => {
    const client = await pool.connect();
    try {
      const heads = (await client.query<{ partition: number; head: number }>('SELECT partition, head FROM partitions WHERE head > 0')).rows;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 }), async (sizes) => {
          for (const view of views) {
            const again = `again_${view.table}`;
            await client.query(`CREATE TEMPORARY TABLE ${again} (LIKE ${view.table} INCLUDING ALL)`);
            for (const { partition, head } of heads) await fill(client, view, again, { partition, head, sizes });
            const { rows, different } = await compareTables(client, view, view.table, again);
            expect({ view: view.name, different }).toEqual({ view: view.name, different: 0 });
            expect(rows).toBeGreaterThan(0);
            await client.query(`DROP TABLE ${again}`);
          }
        }),
        // A failed run leaves its table behind, so there is nothing to shrink.
        { seed, numRuns: 12, endOnFailure: true },
      );
    } finally {
      client.release(true);
    }
  });

  async function fill(
    client: pg.ClientBase,
    view: (typeof views)[number],
    table: string,
    { partition, head, sizes }: { partition: number; head: number; sizes: readonly number[] },
  ): Promise<void> {
    for (let position = 0, batch = 0; position < head; batch++) {
      const upTo = Math.min(head, position + sizes[batch % sizes.length]!);
      position = await replayBatch(client, app.get(EventCatalogue), view, table, { partition, after: position, upTo });
    }
  }
});
