import { inTurns, load, medianRatio } from '../measure.mjs';
import { median, rate } from '../numbers.mjs';
import { startBareFastify } from '../subjects.mjs';

/** All of the full run's 100,000 products have no room in the default cache of 64 MB: that would be figure 13. */
const productsMax = 10_000;

/** GET of what the node has in its cache, an account and a product, beside Fastify sending the same JSON from memory. */
export async function cachedReads(bench) {
  const rialto = await bench.rialto();
  const { products, ...rest } = await bench.shop();
  const shop = { ...rest, products: Math.min(products, productsMax) };
  const account = await rialto.read('/accounts/a0');
  const product = await (await fetch(`http://${shop.host}:${shop.port}/v1/products/p0`)).json();
  return [
    await beside(bench, 'an account', 'read', rialto, ['/v1/ledgers/:ledger/accounts/:id', 'accountId', 'a', rialto.accounts, account]),
    await beside(bench, 'a product', 'product', shop, ['/v1/products/:id', 'productId', 'p', shop.products, product]),
  ];
}

async function beside({ postgres, rounds, timed }, what, traffic, subject, resource) {
  const { accounts, products } = subject;
  const bare = Object.assign(await startBareFastify(...resource), { accounts, products });
  const measure = async (server) => {
    await postgres.checkpoint();
    return (await load(server, { traffic, ...timed })).perSecond;
  };
  const results = await inTurns(rounds, { rialto: () => measure(subject), bare: () => measure(bare) });
  await bare.stop();
  const ratio = medianRatio(results.rialto, results.bare);
  return {
    figure: `14 reading ${what}, cached`,
    rialto: rate(median(results.rialto)),
    baseline: `bare Fastify ${rate(median(results.bare))}`,
    ratio,
    asked: '≥ 0.75',
    met: ratio >= 0.75,
  };
}
