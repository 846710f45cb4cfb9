import { Broken, load } from './measure.mjs';
import { product } from './products.mjs';
import { seedRialto, startBaseline, startRialto } from './subjects.mjs';

const unitsOfEach = 1_000_000;
const funds = 1_000_000_000;

async function post(subject, path, body) {
  const answer = await fetch(`http://${subject.host}:${subject.port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Broken(`Rialto: POST ${path}: ${answer.status} ${await answer.text()}`);
}

/** Rialto as a shop: `products` of one SKU each. */
export async function startCatalog(postgres, database, products, accounts, env) {
  const shop = Object.assign(await startRialto(postgres, database, accounts, env), { products });
  const one = async (sql) => Object.values((await postgres.query(database, sql))[0])[0];
  return Object.assign(shop, {
    /** When no command waits and every consumer has every event; milliseconds that took. */
    async settleAll() {
      const begin = performance.now();
      // Not how many: counting what waits, ten times a second, took 80 µs of PostgreSQL for each order.
      const busy = `select exists (select from commands where status in ('accepted', 'scheduled'))
        or exists (select from checkpoints c join partitions p using (partition) where c.position < p.head) as busy`;
      while (await one(busy)) {
        if (performance.now() - begin > 600_000) throw new Broken('Rialto does not come to rest');
        await new Promise((resume) => setTimeout(resume, 100));
      }
      return performance.now() - begin;
    },
  });
}

export async function seedProducts(shop) {
  await load(shop, { traffic: 'createProducts', count: shop.products });
  await shop.settleAll();
}

/** Rialto with `products` in plenty, as many buyers with money as it has accounts, and what is asked of orders. */
export async function startShop(postgres, database, products, accounts, env) {
  const shop = await startCatalog(postgres, database, products, accounts, env);
  await seedRialto(shop);
  await post(shop, '/v1/ledgers/bench/accounts', { accountId: 'merchant', currency: 'EUR' });
  await seedProducts(shop);
  await load(shop, { traffic: 'receiveStock', count: products });
  await shop.settleAll();
  const select = async (sql) => (await postgres.query(database, sql))[0];
  return Object.assign(shop, {
    async countOrders() {
      const { confirmed } = await select(
        `select count(*)::int as confirmed from events where type = 'ordering.order-confirmed.v1'`,
      );
      return confirmed;
    },
    settleOrders: () => shop.settleAll(),
    /** What is reserved and what is pending is what the confirmed orders say, and no order came to nothing. */
    async assertHeld() {
      const row = await select(
        `select (select sum(reserved)::text from inventory_stock where until = 'infinity') as reserved,
           (select sum(pending_out)::text from ledger_accounts) as held,
           (select pending_in::text from ledger_accounts where account_id = 'merchant') as due,
           count(*)::text as orders, sum((state->>'total')::bigint)::text as total,
           (count(*) filter (where status <> 'confirmed'))::int as others from ordering_orders`,
      );
      const { reserved, held, due, orders, total, others } = row;
      if (reserved !== orders || held !== total || due !== total || others !== 0) {
        throw new Broken(`Rialto: ${JSON.stringify(row)}`);
      }
    },
  });
}

/** Baseline (a) for orders. `hold`: which accounts keep what is pending (see there). */
export async function startCheckoutServer(postgres, database, products, accounts, poolSize, hold) {
  const server = await startBaseline(postgres, database, 'checkout-server', poolSize, { HOLD: hold });
  const client = await postgres.connect(database);
  const skus = Array.from({ length: products }, (_, n) => product(n)).map(({ productId, variants: [{ sku, price }] }) => ({
    sku,
    product_id: productId,
    ...price,
  }));
  await client.query(
    `insert into skus (sku, product_id, amount, currency)
     select * from json_to_recordset($1) as s(sku text, product_id text, amount bigint, currency text)
     on conflict do nothing`,
    [JSON.stringify(skus)],
  );
  await client.query(`insert into stock (sku, on_hand) select sku, ${unitsOfEach} from skus on conflict do nothing`);
  await client.query(
    `insert into accounts (ledger, account_id, currency, balance, floor)
     select 'bench', 'a' || n, 'EUR', ${funds}, 0 from generate_series(0, ${accounts - 1}) n
     union all select 'bench', 'merchant', 'EUR', 0, 0 on conflict do nothing`,
  );
  await client.query('analyze');
  await client.end();
  const select = async (sql) => (await postgres.query(database, sql))[0];
  return Object.assign(server, {
    name: 'checkout server',
    accounts,
    products,
    poolSize,
    async countOrders() {
      return (await select('select count(*)::int as orders from orders')).orders;
    },
    settleOrders: () => 0,
    async assertHeld() {
      const row = await select(
        `select (select sum(reserved)::text from stock) as reserved, (select sum(pending_out)::text from accounts) as held,
           (select pending_in::text from accounts where account_id = 'merchant') as due,
           (select sum(amount)::text from transactions where status = 'pending') as authorised,
           (select count(*)::text from idempotency_keys where status = 201) as keys,
           (select sum(quantity)::text from order_lines) as units,
           count(*)::text as orders, sum(total)::text as total from orders`,
      );
      const { reserved, held, due, authorised, keys, units, orders, total } = row;
      const isHeld = held === total && authorised === total && due === (hold === 'both' ? total : '0');
      if (reserved !== orders || units !== orders || keys !== orders || !isHeld) {
        throw new Broken(`checkout server: ${JSON.stringify(row)}`);
      }
    },
  });
}
