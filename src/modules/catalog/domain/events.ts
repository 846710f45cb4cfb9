import type { EventModule, EventType } from '../../../platform/log/stream.js';
import { productStream, type ProductEvent } from './product.js';
import { skuStream } from './sku.js';

export type CatalogEvent = ProductEvent;

type DataOf<Type> = Extract<CatalogEvent, { type: Type }>['data'];

/** An event of a product that says something about SKUs belongs to their streams too. */
function ofProduct<Type extends CatalogEvent['type']>(
  type: Type,
  skusOf: (data: DataOf<Type>) => readonly string[],
): EventType {
  const streams = (data: DataOf<Type>) => [productStream(data.productId), ...skusOf(data).map(skuStream)];
  return { type, streams: streams as EventType['streams'] };
}

/** The catalogue's part of the log. docs/events.md lists the same events; a test holds them equal. */
export const catalogEvents: EventModule = {
  events: [
    ofProduct('catalog.product-created.v1', ({ variants }) => variants.map(({ sku }) => sku)),
    ofProduct('catalog.product-changed.v1', () => []),
    ofProduct('catalog.variant-added.v1', ({ sku }) => [sku]),
    ofProduct('catalog.variant-changed.v1', ({ sku }) => [sku]),
    ofProduct('catalog.product-archived.v1', ({ skus }) => skus),
    ofProduct('catalog.product-restored.v1', ({ skus }) => skus),
  ],
};
