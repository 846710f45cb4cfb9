import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { AppModule } from '../../src/app.module.js';
import { readConfig } from '../../src/config.js';
import { CommitReservation, GetAvailable, inventoryStock, ReceiveStock, ReleaseReservation, ReserveStock } from '../../src/modules/inventory/index.js';
import { GetReservation } from '../../src/modules/inventory/views/reservations.js';
import type { LogCommand } from '../../src/platform/commands/log-command.js';
import { Visibility } from '../../src/platform/consumers/visibility.js';
import type { Outcome } from '../../src/platform/log/writer.js';
import { createLogger } from '../../src/platform/observability/logger.js';
import { Workers } from '../../src/platform/workers.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** What the inventory offers to other modules, in one process with them. */
describe('Another module', () => {
  let database: TestDatabase;
  let app: INestApplicationContext;
  let workers: Workers;
  let commands = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    const config = readConfig({ LOG_LEVEL: 'silent' });
    const logger = createLogger(config.logLevel);
    app = await NestFactory.createApplicationContext(AppModule.forRoot(config, database.url, logger), { logger: false });
    workers = new Workers(app, config, logger);
    await workers.start();
  });

  afterAll(async () => {
    await workers?.stopTaking();
    await app?.close();
    await workers?.end();
    await database?.drop();
  });

  const envelope = (commandId = `test-${++commands}`) => ({ commandId, metadata: {}, record: { fingerprint: null } });
  const run = (command: LogCommand<object>) => app.get(CommandBus).execute<Outcome>(command);
  const resultOf = (outcome: Outcome) => (outcome.status === 'refused' ? outcome.rejection.code : (JSON.parse(outcome.answer) as { status: string }).status);
  const available = async (sku: string) => (await app.get(QueryBus).execute(new GetAvailable(sku))).available;
  const visible = (outcome: Outcome) => app.get(Visibility, { strict: false }).waitFor([inventoryStock.name], [outcome], 60_000);

  test('hears of a refusal by the outcome, and of the first one however often it asks', async () => {
    const reserve = () => run(new ReserveStock({ sku: 'pen', reservationId: 'order-1', quantity: 2 }, envelope('the-order')));
    expect(resultOf(await reserve())).toBe('insufficient-stock');
    await run(new ReceiveStock({ sku: 'pen', location: 'main', quantity: 2 }, envelope()));
    const again = await reserve();
    expect([resultOf(again), again.replayed]).toEqual(['insufficient-stock', true]);
    const other = await run(new ReserveStock({ sku: 'pen', reservationId: 'order-1', quantity: 2 }, envelope()));
    expect(resultOf(other)).toBe('reserved');
    // For as long as it takes: nothing of it is scheduled.
    const { rows } = await database.pool.query(`SELECT 1 FROM commands WHERE status = 'scheduled' AND payload->>'sku' = 'pen'`);
    expect(rows).toEqual([]);
  });

  test('may release before it reserves, and whichever comes first, nothing stays reserved', async () => {
    await visible(await run(new ReceiveStock({ sku: 'ink', location: 'main', quantity: 5 }, envelope())));
    const release = (reservationId: string) => run(new ReleaseReservation({ sku: 'ink', reservationId, evenIfAbsent: true }, envelope()));
    const reserve = (reservationId: string) => run(new ReserveStock({ sku: 'ink', reservationId, quantity: 1 }, envelope()));
    expect([resultOf(await release('r1')), resultOf(await release('r1'))]).toEqual(['released', 'released']);
    expect(resultOf(await reserve('r1'))).toBe('reservation-released');
    expect(resultOf(await run(new CommitReservation({ sku: 'ink', reservationId: 'r1' }, envelope())))).toBe('reservation-released');
    const racing = await Promise.all(Array.from({ length: 20 }, (_, index) => index % 2 ? [release(`x${index}`), reserve(`x${index}`)] : [reserve(`x${index}`), release(`x${index}`)]).flat());
    for (const outcome of racing) expect(['reserved', 'released', 'reservation-released', 'insufficient-stock']).toContain(resultOf(outcome));
    await visible(racing.toSorted((a, b) => a.position - b.position).at(-1)!);
    expect(await available('ink')).toBe(5);
    const { rows } = await database.pool.query(`SELECT quantity, status, allocations FROM inventory_reservations WHERE sku = 'ink' AND reservation_id = 'r1'`);
    expect(rows).toEqual([{ quantity: '0', status: 'released', allocations: [] }]);
  });

  test('may reserve more than a request over HTTP may ask for: an order sums its lines', async () => {
    const some = { sku: 'nail', quantity: 2 ** 31 - 1 };
    for (const location of ['a', 'b', 'a']) await run(new ReceiveStock({ ...some, location }, envelope()));
    const reserved = await run(new ReserveStock({ sku: 'nail', reservationId: 'order-1', quantity: 3 * (2 ** 31 - 1) }, envelope()));
    expect(resultOf(reserved)).toBe('reserved');
    await app.get(Visibility, { strict: false }).waitFor(['inventory-stock', 'inventory-reservations', 'inventory-movements'], [reserved], 60_000);
    expect(await available('nail')).toBe(0);
    const { body } = await app.get(QueryBus).execute<GetReservation, { body: object }>(new GetReservation('nail', 'order-1'));
    expect(body).toMatchObject({ quantity: 6_442_450_941, allocations: [{ location: 'a', quantity: 4_294_967_294 }, { location: 'b', quantity: 2_147_483_647 }] });
  });

  test('asks what is available, of many SKUs at once in one statement', async () => {
    const skus = Array.from({ length: 30 }, (_, index) => `many-${index}`);
    const received = await Promise.all(skus.map((sku, index) => run(new ReceiveStock({ sku, location: 'main', quantity: index + 1 }, envelope()))));
    await Promise.all(received.map(visible));
    const asked = [...skus, ...skus, 'never-there'];
    expect(await Promise.all(asked.map(available))).toEqual(asked.map((_, index) => (index < 60 ? (index % 30) + 1 : 0)));
  });
});
