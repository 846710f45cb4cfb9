import pMap from 'p-map';
import { Api, expectStatus } from './client/api.js';
import { Bank } from './client/bank.js';
import { clientTool, serverUrl, withProgress } from './client/client-tool.js';
import { makeCustomer, makeProduct } from './seed/shop.js';
import { readOptions, wholeNumber } from './tool/arguments.js';

const usage = `Usage: npm run seed -- [--products 1000] [--customers 1000] [--seed 1] [--url <server>]

Makes a shop to try things on: products with variants, prices and stock, and in the ledger "shop" customers with money.
The same seed makes the same shop: run again it changes nothing, and with larger numbers it adds what is missing.
Without --url it goes to the server of PORT and HOST.`;

const ledger = 'shop';
const concurrency = 64;

await clientTool(usage, async () => {
  const values = readOptions({
    url: { type: 'string' },
    products: { type: 'string', default: '1000' },
    customers: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  });
  const products = wholeNumber('products', values.products, 0, 10_000_000);
  const customers = wholeNumber('customers', values.customers, 0, 10_000_000);
  const seed = wholeNumber('seed', values.seed, 0, 999_999_999);

  const url = serverUrl(values.url);
  process.stderr.write(`Making the shop of seed ${seed} at ${url}\n`);
  const api = new Api(url, { connections: concurrency });
  let created = 0;
  /** A product that is there may have lost its maker before its stock came. */
  const makeOne = async (number: number) => {
    const { product, stock } = makeProduct(seed, number);
    const answer = await api.post('/v1/products', product);
    expectStatus(answer, `POST /v1/products for ${product.productId}`, 201, 200);
    if (answer.status === 201) created++;
    await Promise.all([...stock].map(([sku, quantity]) => receive(sku, quantity, answer.status === 201)));
  };
  const receive = async (sku: string, quantity: number, isNew: boolean) => {
    if (quantity === 0) return;
    const path = `/v1/stock/${sku}`;
    if (!isNew && (await api.get(path)).status === 200) return;
    const headers = { 'idempotency-key': `seed:${sku}` };
    expectStatus(await api.post(`${path}/receipts`, { quantity, reference: `seed ${seed}` }, headers), `POST ${path}/receipts`, 201);
  };
  try {
    await withProgress('Products', products, async (advance) => {
      await pMap(numbers(products), (number) => makeOne(number).then(() => advance()), { concurrency });
    });
    const bank = new Bank(api, ledger, concurrency);
    await bank.openShop();
    const made = Array.from(numbers(customers), (number) => makeCustomer(seed, number));
    await withProgress('Customers', customers, (advance) => bank.openAccounts(made.map(({ account }) => account), advance));
    await withProgress('Money', customers, async (advance) => {
      const payments = made.map(({ account: { accountId }, funds }) => ({
        transactionId: `${accountId}-funds`,
        destination: accountId,
        amount: funds,
      }));
      await bank.pay(payments, advance);
    });
  } finally {
    await api.close();
  }
  process.stdout.write(`The shop of seed ${seed} has ${products} products (${created} of them new) and ${customers} customers.\n`);
  return 0;
});

function* numbers(count: number): Generator<number> {
  for (let number = 1; number <= count; number++) yield number;
}
