import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Statement } from '../../../platform/consumers/consumer.js';
import type { Projection } from '../../../platform/consumers/projection.js';
import { asOf } from '../../../platform/database/as-of.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { batchLoader, inOrder } from '../../../platform/database/batch-loader.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { CatalogEvent } from '../domain/events.js';
import { catalogKey, type Price, type ProductStatus, type Variant } from '../domain/product.js';
import { skuNotFound } from '../domain/sku.js';
import { catalogProducts } from './products.js';

// ---- Table: one row per SKU. The name of its product is not here: who needs it looks at the product.

// ---- Fold: new SKUs, and what becomes of those of former batches

interface SkuChange {
  readonly sku: string;
  /** Of a SKU that is new. */
  readonly productId?: string;
  name?: string | null;
  amount?: string;
  currency?: string;
  orderable?: boolean;
}

function changesOf(events: readonly RecordedEvent<CatalogEvent>[]): SkuChange[] {
  const changes = new Map<string, SkuChange>();
  const change = (sku: string, what: Omit<SkuChange, 'sku'>): void => {
    changes.set(sku, { ...changes.get(sku), sku, ...what });
  };
  const terms = ({ name, price }: Variant) => ({ name: name ?? null, ...price });
  for (const { type, data } of events) {
    switch (type) {
      case 'catalog.product-created.v1': {
        const { productId } = data;
        for (const variant of data.variants) change(variant.sku, { productId, ...terms(variant), orderable: true });
        break;
      }
      case 'catalog.variant-added.v1':
        change(data.sku, { productId: data.productId, ...terms(data), orderable: data.orderable });
        break;
      case 'catalog.variant-changed.v1':
        change(data.sku, terms(data));
        break;
      case 'catalog.product-archived.v1':
      case 'catalog.product-restored.v1':
        for (const sku of data.skus) change(sku, { orderable: type === 'catalog.product-restored.v1' });
        break;
      default:
        break;
    }
  }
  return [...changes.values()];
}

export const catalogSkus: Projection = {
  name: 'catalog-skus',
  table: 'catalog_skus',
  key: ['sku'],

  changedKeys(event) {
    const { type, data } = event as RecordedEvent<CatalogEvent>;
    switch (type) {
      case 'catalog.product-created.v1':
        return data.variants.map(({ sku }) => sku);
      case 'catalog.variant-added.v1':
      case 'catalog.variant-changed.v1':
        return [data.sku];
      case 'catalog.product-archived.v1':
      case 'catalog.product-restored.v1':
        return data.skus;
      default:
        return [];
    }
  },

  project(events, table) {
    const changes = changesOf(events as readonly RecordedEvent<CatalogEvent>[]);
    const made = changes.filter(({ productId }) => productId !== undefined);
    const changed = changes.filter(({ productId }) => productId === undefined);
    const statements: Statement[] = [];
    if (made.length > 0) {
      statements.push({
        name: `${table}-add`,
        text: `
INSERT INTO ${table} (sku, product_id, name, amount, currency, orderable)
SELECT sku, "productId", name, amount, currency, orderable
FROM json_to_recordset($1::json) AS r(sku text, "productId" text, name text, amount bigint, currency text,
  orderable boolean)`,
        values: [JSON.stringify(made)],
      });
    }
    if (changed.length > 0) {
      statements.push({
        name: `${table}-change`,
        // A variant changes as a whole: with a price comes its name, which may be none.
        text: `
UPDATE ${table} s SET name = CASE WHEN r.amount IS NULL THEN s.name ELSE r.name END,
  amount = coalesce(r.amount, s.amount), currency = coalesce(r.currency, s.currency),
  orderable = coalesce(r.orderable, s.orderable)
FROM json_to_recordset($1::json) AS r(sku text, name text, amount bigint, currency text, orderable boolean)
WHERE s.sku = r.sku`,
        values: [JSON.stringify(changed)],
      });
    }
    return statements;
  },
};

// ---- Queries

/** What the catalogue knows of a SKU; what is available of it is the inventory's to tell. */
export interface SkuAnswer {
  readonly sku: string;
  readonly name: string | null;
  readonly price: Price;
  readonly productId: string;
  readonly productName: string;
  readonly status: ProductStatus;
}

export class GetSku extends Query<Resource<SkuAnswer> & { readonly body: SkuAnswer }> {
  constructor(readonly sku: string) {
    super();
  }
}

interface FoundSku {
  readonly n: number;
  readonly answer: SkuAnswer;
  readonly skus_as_of: number;
  readonly products_as_of: number;
}

@QueryHandler(GetSku)
export class GetSkuHandler implements IQueryHandler<GetSku> {
  private readonly skus = batchLoader((skus: readonly string[]) => this.load(skus));

  constructor(private readonly pool: QueryPool) {}

  async execute({ sku }: GetSku) {
    const found = await this.skus.load(sku);
    if (!found) throw skuNotFound(sku);
    const { answer, skus_as_of, products_as_of } = found;
    const partition = this.pool.partitionOf(catalogKey);
    const sources = [
      { view: catalogSkus.name, partition, key: sku, asOf: skus_as_of },
      { view: catalogProducts.name, partition, key: answer.productId, asOf: products_as_of },
    ];
    return { body: answer, sources };
  }

  private async load(skus: readonly string[]): Promise<(FoundSku | undefined)[]> {
    const rows = await this.pool.rows<FoundSku>(
      'catalog-skus-get',
      `SELECT w.n::integer, json_build_object('sku', s.sku, 'name', s.name,
         'price', json_build_object('amount', s.amount::text, 'currency', s.currency),
         'productId', s.product_id, 'productName', p.name, 'status', p.status) AS answer,
         ${asOf(catalogSkus.name, '$2')} AS skus_as_of, ${asOf(catalogProducts.name, '$2')} AS products_as_of
       FROM unnest($1::text[]) WITH ORDINALITY AS w(sku, n)
       JOIN catalog_skus s ON s.sku = w.sku JOIN catalog_products p ON p.product_id = s.product_id`,
      [arrayLiteral(skus), this.pool.partitionOf(catalogKey)],
    );
    return inOrder(rows, skus.length);
  }
}
