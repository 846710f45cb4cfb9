import fc from 'fast-check';
import { catalogEvents } from '../../src/modules/catalog/domain/events.js';
import { maxVariants, productStream, productType, type ProductContent, type ProductState, type Variant } from '../../src/modules/catalog/domain/product.js';
import { skuStream, skuType } from '../../src/modules/catalog/domain/sku.js';
import { Rejection } from '../../src/platform/log/decision.js';
import { stateFromJson, stateToJson } from '../../src/platform/log/states.js';
import type { Event } from '../../src/platform/log/stream.js';
import { canonicalJson } from '../../src/shared/canonical-json.js';
import * as words from '../support/catalog-words.js';
import { StreamsInMemory, type Decider } from '../support/given.js';

/**
 * Whatever anybody asks of a catalogue, in whatever order: it does what a simple model does, and no SKU belongs to two
 * products. Few products, SKUs and prices, so that requests meet each other. The seed is fixed: a failure is the same
 * for everybody. CATALOG_SEED and CATALOG_RUNS look further.
 */
const seed = Number(process.env.CATALOG_SEED ?? 20_260_131);
const numRuns = Number(process.env.CATALOG_RUNS ?? 500);

type Wish =
  | { readonly kind: 'create'; readonly id: string; readonly content: ProductContent }
  | { readonly kind: 'change'; readonly id: string; readonly changes: Partial<Omit<ProductContent, 'variants'>> }
  | { readonly kind: 'put'; readonly id: string; readonly variant: Variant }
  | { readonly kind: 'archive' | 'restore'; readonly id: string };

const id = fc.constantFrom('p1', 'p2', 'p3', '__proto__');
const sku = fc.constantFrom('s1', 's2', 's3', 's4', 's5', 'constructor');
const price = fc.record({ amount: fc.constantFrom('0', '1', '9223372036854775807'), currency: fc.constantFrom('EUR', 'USD') });
const name = fc.constantFrom('one', 'two');
const variant: fc.Arbitrary<Variant> = fc.record({ sku, price, name }, { requiredKeys: ['sku', 'price'] });
const details = {
  name,
  description: fc.constantFrom('', 'text'),
  categories: fc.constantFrom([], ['a'], ['a', 'b'], ['b', 'a']),
  attributes: fc.constantFrom({}, { a: 1 }, { a: 1, b: 2 }, { b: 2, a: 1 }),
};
const variants = fc.oneof(
  { weight: 20, arbitrary: fc.uniqueArray(variant, { minLength: 1, maxLength: 3, selector: (one) => one.sku }) },
  // As many as there may be, most of them of nobody else's.
  { weight: 1, arbitrary: id.map((first) => Array.from({ length: maxVariants }, (_, index) => words.variant(`${first}-${index}`))) },
);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('create' as const), id, content: fc.record({ ...details, variants }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('change' as const), id, changes: fc.record(details, { requiredKeys: [] }) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('put' as const), id, variant }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('archive' as const, 'restore' as const), id }) },
);

const history = fc.array(wish, { minLength: 1, maxLength: 40, size: 'max' });

/** What a catalogue is to somebody who knows nothing of events: some products, and who has which SKU. */
class CatalogModel {
  readonly products = new Map<string, { asCreated: string; content: ProductContent; active: boolean; version: number }>();
  readonly owners = new Map<string, string>();

  /** `done`, `same`, or why not. */
  wish(wish: Wish): string {
    const product = this.products.get(wish.id);
    if (wish.kind === 'create') {
      if (product) return product.asCreated === canonicalJson(wish.content) ? 'same' : 'product-exists';
      if (wish.content.variants.some((one) => this.owners.has(one.sku))) return 'sku-exists';
      for (const one of wish.content.variants) this.owners.set(one.sku, wish.id);
      this.products.set(wish.id, { asCreated: canonicalJson(wish.content), content: wish.content, active: true, version: 1 });
      return 'done';
    }
    if (!product) return 'product-not-found';
    const before = canonicalJson([product.content, product.active]);
    if (wish.kind === 'change') product.content = { ...product.content, ...wish.changes };
    else if (wish.kind === 'put') {
      const owner = this.owners.get(wish.variant.sku);
      if (owner !== undefined && owner !== wish.id) return 'sku-exists';
      const place = product.content.variants.findIndex((one) => one.sku === wish.variant.sku);
      if (place === -1 && product.content.variants.length === maxVariants) return 'too-many-variants';
      this.owners.set(wish.variant.sku, wish.id);
      const all = [...product.content.variants];
      all[place === -1 ? all.length : place] = wish.variant;
      product.content = { ...product.content, variants: all };
    } else product.active = wish.kind === 'restore';
    if (canonicalJson([product.content, product.active]) === before) return 'same';
    product.version++;
    return 'done';
  }
}

function deciderOf(wish: Wish): Decider<unknown> {
  switch (wish.kind) {
    case 'create':
      return words.creating(wish.id, wish.content);
    case 'change':
      return words.changing(wish.id, wish.changes);
    case 'put':
      return words.putting(wish.id, wish.variant);
    case 'archive':
      return words.archiving(wish.id);
    case 'restore':
      return words.restoring(wish.id);
  }
}

/** The same wishes put to the catalogue and to the model. */
class Catalog {
  readonly streams = new StreamsInMemory(catalogEvents, [productType, skuType]);
  readonly model = new CatalogModel();
  readonly log: Event[] = [];
  readonly results: string[] = [];

  wish(wish: Wish): void {
    const result = this.run(wish);
    expect({ wish, result }).toEqual({ wish, result: this.model.wish(wish) });
    this.results.push(result);
  }

  private run(wish: Wish): string {
    try {
      const { events } = this.streams.run(deciderOf(wish), '2026-01-01T00:00:00.000Z');
      this.log.push(...events);
      return events.length > 0 ? 'done' : 'same';
    } catch (error) {
      if (error instanceof Rejection) return error.code;
      throw error;
    }
  }
}

/** How often each result came up over all runs: a property that never meets a case proves nothing of it. */
const met = new Set<string>();

describe('any history of a catalogue', () => {
  const holds = (property: (catalog: Catalog) => void) =>
    fc.assert(
      fc.property(history, (wishes) => {
        const catalog = new Catalog();
        for (const one of wishes) catalog.wish(one);
        property(catalog);
      }),
      { seed, numRuns },
    );

  it('is the one of a simple model: the same refusals, products and versions', () => {
    holds((catalog) => {
      for (const result of catalog.results) met.add(result);
      for (const [productId, { content, active, version }] of catalog.model.products) {
        const state: ProductState = catalog.streams.of(productStream(productId));
        const { createdAt: _at, original: _original, ...got } = state;
        expect(got).toEqual({ ...content, productId, status: active ? 'active' : 'archived', version });
        expect(catalog.streams.versionOf(productStream(productId))).toBe(version);
      }
    });
  });

  it('comes by every refusal there is', () => {
    expect([...met].sort()).toEqual(['done', 'product-exists', 'product-not-found', 'same', 'sku-exists', 'too-many-variants']);
  });

  it('leaves every SKU to one product, which tells the same of it as the SKU itself', () => {
    holds((catalog) => {
      const owners = new Map<string, string>();
      for (const [productId, { content, active }] of catalog.model.products) {
        for (const one of content.variants) {
          expect(owners.has(one.sku)).toBe(false);
          owners.set(one.sku, productId);
          expect(catalog.streams.of(skuStream(one.sku))).toEqual({ sku: one.sku, productId, price: one.price, orderable: active });
        }
      }
      expect(owners).toEqual(catalog.model.owners);
    });
  });

  it('says in the log what every price was before', () => {
    holds((catalog) => {
      const prices = new Map<string, unknown>();
      for (const { type, data } of catalog.log as readonly { type: string; data: Variant & ProductContent & { formerPrice?: object } }[]) {
        if (type === 'catalog.product-created.v1') for (const one of data.variants) prices.set(one.sku, one.price);
        if (type === 'catalog.variant-changed.v1') {
          const isNew = canonicalJson(prices.get(data.sku)) !== canonicalJson(data.price);
          expect(data.formerPrice).toEqual(isNew ? prices.get(data.sku) : undefined);
        }
        if (type.startsWith('catalog.variant-')) prices.set(data.sku, data.price);
      }
    });
  });

  it('can be told again from its stored events, and goes on from snapshots as if there were none', () => {
    holds((catalog) => {
      const again = new StreamsInMemory(catalogEvents, [productType, skuType]);
      for (const event of catalog.log) again.record(JSON.parse(JSON.stringify(event)) as Event, '2026-01-01T00:00:00.000Z');
      for (const { stream, state, version } of catalog.streams.all()) {
        if (version === 0) continue;
        expect(stateToJson(again.of(stream))).toBe(stateToJson(state));
        expect(again.versionOf(stream)).toBe(version);
        expect(stateFromJson(stateToJson(state))).toEqual(state);
      }
    });
  });
});
