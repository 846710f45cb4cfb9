import { inTurns, load, medianRatio } from '../measure.mjs';
import { median, milliseconds, rate } from '../numbers.mjs';
import { seedProducts, startCatalog } from '../shops.mjs';
import { startBareFastify } from '../subjects.mjs';

/** A product, beside Fastify sending the same JSON from memory; and searches, beside the product. 128 connections. */
export async function catalogue(bench) {
  const { postgres, rounds, sizes, timed } = bench;
  const { products } = sizes;
  await postgres.createDatabase('bench_catalogue');
  const rialto = await startCatalog(postgres, 'bench_catalogue', products);
  const begin = performance.now();
  await seedProducts(rialto);
  const seconds = Math.round((performance.now() - begin) / 1_000);
  bench.note(`Creating ${products.toLocaleString('en')} products, one request each: ${seconds} s.`);
  // Now rather than by autovacuum in the middle of a turn.
  await postgres.query('bench_catalogue', 'vacuum analyze');

  const answer = await fetch(`http://${rialto.host}:${rialto.port}/v1/products/p0`);
  const bareFastify = await startBareFastify('/v1/products/:id', 'productId', 'p', products, await answer.json());
  const bare = Object.assign(bareFastify, { products });
  const measure = async (subject, traffic) => {
    await postgres.checkpoint();
    return load(subject, { traffic, ...timed });
  };
  const results = await inTurns(rounds, {
    detail: () => measure(rialto, 'product'),
    search: () => measure(rialto, 'search'),
    bare: () => measure(bare, 'product'),
  });
  await bare.stop();
  await rialto.stop();
  const rates = (name) => results[name].map((round) => round.perSecond);
  const p99s = (name) => results[name].map((round) => round.p99Ms);
  const detail = medianRatio(rates('detail'), rates('bare'));
  const search = medianRatio(p99s('search'), p99s('detail'));
  bench.note(`Searches: ${rate(median(rates('search')))}.`);
  const count = products.toLocaleString('en');
  return [
    {
      figure: `13 a product of ${count}`,
      rialto: rate(median(rates('detail'))),
      baseline: `bare Fastify ${rate(median(rates('bare')))}`,
      ratio: detail,
      asked: '≥ 0.35',
      met: detail >= 0.35,
    },
    {
      figure: `13 searching ${count} products, p99`,
      rialto: milliseconds(median(p99s('search'))),
      baseline: `Rialto, a product, p99 ${milliseconds(median(p99s('detail')))}`,
      ratio: search,
      asked: '≤ 10',
      met: search <= 10,
    },
  ];
}
