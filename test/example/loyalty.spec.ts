import { DataSource, type MigrationInterface } from 'typeorm';
import { Audit } from '../../src/platform/audit/audit.js';
import { ProjectionCatalogue } from '../../src/platform/consumers/projection-catalogue.js';
import { EventCatalogue } from '../../src/platform/log/catalogue.js';
import { type RunningApplication, startApplication } from '../support/application.js';
import { type Answer, after, HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { Shop } from '../support/shop.js';
import { loyaltyModule } from './loyalty/index.js';
import { LoyaltyViews1700000000099 } from './migrations/0099-loyalty-views.js';

describe('The loyalty programme over HTTP', () => {
  let database: TestDatabase;
  let application: RunningApplication;
  let http: HttpClient;
  let shop: Shop;
  let customers = 0;
  /** Of the test's own. */
  let customer: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    await apply(database.url, LoyaltyViews1700000000099);
    application = await startApplication(database.url, loyaltyModule);
    http = new HttpClient(application);
    shop = await new Shop(http, 'shop').open();
    await shop.sells('mug', 1_000, '1299');
  });

  beforeEach(async () => {
    customer = `customer-${++customers}`;
    await shop.customer(customer);
  });

  afterAll(async () => {
    http?.close();
    await application?.stop();
    await database?.drop();
  });

  const pointsOf = (customerId: string, headers?: Readonly<Record<string, string>>) =>
    http.get(`/v1/customers/${customerId}/points`, headers);
  const redeem = (points: unknown, headers?: Readonly<Record<string, string>>) =>
    http.post(`/v1/customers/${customer}/points/redemptions`, { points }, headers);
  const buys = async (quantity: number): Promise<string> => {
    const { status, body } = await shop.buy([{ sku: 'mug', quantity }], { account: customer });
    expect(status).toBe(201);
    return body.orderId;
  };
  /** A saga answers within milliseconds; seconds are for a machine that is busy. */
  const earned = async (balance: string) =>
    untilPasses(async () => expect((await pointsOf(customer)).body.balance).toBe(balance));
  /** Buys ten mugs and has them sent: 129 points. */
  const has129Points = async () => {
    await shop.fulfil(await buys(10));
    await earned('129');
  };
  const refusalOf = ({ status, body }: Answer) => [status, body.code, body.detail];

  test('gives points for an order when it is fulfilled, and no sooner', async () => {
    expect((await pointsOf(customer)).body).toEqual({ customerId: customer, balance: '0', version: 0 });
    const [sent, cancelled] = [await buys(2), await buys(1)];
    await shop.cancel(cancelled);
    expect((await shop.fulfil(sent)).status).toBe(200);
    await earned('25');
    expect((await pointsOf(customer)).body).toEqual({ customerId: customer, balance: '25', version: 1 });
    const types = await database.pool.query(
      `SELECT type FROM events WHERE type LIKE 'loyalty.%' AND data->>'customerId' = $1`,
      [customer],
    );
    expect(types.rows).toEqual([{ type: 'loyalty.points-earned.v1' }]);
  });

  test('gives an order its points once, though the command may run again after a crash', async () => {
    const orderId = await buys(3);
    await shop.fulfil(orderId);
    await earned('38');
    const rewards = async () =>
      (
        await database.pool.query(
          `SELECT status, attempts, result, metadata->>'causationId' AS cause FROM commands
           WHERE type = 'loyalty.reward-order' AND payload->>'orderId' = $1`,
          [orderId],
        )
      ).rows;
    const isDone = async (attempts: number) =>
      untilPasses(async () =>
        expect(await rewards()).toEqual([
          {
            status: 'executed',
            attempts,
            result: { customerId: customer, balance: '38', version: 1 },
            cause: expect.stringMatching(/^\d+@\d+$/),
          },
        ]),
      );
    await isDone(1);
    // As if the process had died before the inbox was told that it is done.
    await database.pool.query(
      `UPDATE commands SET status = 'accepted', due_at = clock_timestamp(), result = NULL, completed_at = NULL
       WHERE type = 'loyalty.reward-order' AND payload->>'orderId' = $1`,
      [orderId],
    );
    await isDone(2);
    expect((await pointsOf(customer)).body.balance).toBe('38');
  });

  test('redeems points, and whoever reads with the token sees it', async () => {
    await has129Points();
    const redeemed = await redeem('100');
    expect([redeemed.status, redeemed.body]).toEqual([201, { customerId: customer, balance: '29', version: 2 }]);
    const read = await pointsOf(customer, after(redeemed));
    expect(read.body).toEqual(redeemed.body);
    expect((await pointsOf(customer, { 'if-none-match': read.headers.etag! })).status).toBe(304);
  });

  test('refuses more than there are, and what is no number of points', async () => {
    await has129Points();
    expect(refusalOf(await redeem('130'))).toEqual([409, 'not-enough-points', `customer ${customer} has 129 points, 130 are needed`]);
    for (const points of ['0', '-1', '1.5', 'many', null]) expect((await redeem(points)).body.code).toBe('validation-failed');
    expect((await pointsOf(customer)).body.balance).toBe('129');
  });

  test('lets one of two redemptions have points that are there once', async () => {
    await has129Points();
    const answers = await Promise.all([redeem('100'), redeem('100')]);
    expect(answers.map(({ status, body }) => body.code ?? status).sort()).toEqual([201, 'not-enough-points']);
    expect((await pointsOf(customer, after(...answers))).body.balance).toBe('29');
  });

  test('redeems once for a request that is repeated with its key', async () => {
    await has129Points();
    const key = { 'idempotency-key': `redeem-${customer}` };
    const answers = [await redeem('100', key), await redeem('100', key)];
    expect(answers.map(({ status, body, headers }) => [status, body.balance, headers['idempotency-replayed']])).toEqual([
      [201, '29', undefined],
      [201, '29', 'true'],
    ]);
  });

  test('has its routes in the OpenAPI document', async () => {
    const { paths } = (await http.get('/openapi.json')).body;
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v1/customers/{customerId}/points', '/v1/customers/{customerId}/points/redemptions']),
    );
  });

  test('leaves every invariant as it is: its table, too, equals the replay of its events', async () => {
    await has129Points();
    const { app } = application;
    const findings = app.get(Audit).run(database.pool, app.get(EventCatalogue), app.get(ProjectionCatalogue));
    const invariants: string[] = [];
    for await (const { invariant, offenders } of findings) {
      invariants.push(invariant);
      expect({ invariant, offenders }).toEqual({ invariant, offenders: [] });
    }
    expect(invariants).toContain('7 loyalty_points equals the replay of its events');
  });
});

/** What `migrate` does with the migrations of the product. */
async function apply(url: string, ...migrations: (new () => MigrationInterface)[]): Promise<void> {
  const source = new DataSource({ type: 'postgres', url, migrations });
  await source.initialize();
  try {
    await source.runMigrations();
  } finally {
    await source.destroy();
  }
}
