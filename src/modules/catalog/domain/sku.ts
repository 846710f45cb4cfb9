import { Rejection, type States } from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Stream, type StreamType } from '../../../platform/log/stream.js';
import type { Price, ProductArchived, ProductCreated, ProductRestored, VariantAdded, VariantChanged } from './product.js';

/** A SKU is the whole catalogue's, not its product's: it has a stream of its own, which says who owns it. */
export type SkuEvent = ProductCreated | VariantAdded | VariantChanged | ProductArchived | ProductRestored;

/** What becomes of a SKU. Once it belongs to a product it stays there. */
export interface SkuState {
  readonly sku: string;
  /** The product it belongs to; absent while the SKU is free. */
  readonly productId?: string;
  readonly price?: Price;
  readonly orderable: boolean;
}

export const skuType: StreamType<SkuState, SkuEvent> = {
  name: 'sku',
  stateVersion: 1,
  stateBytes: () => 400,
  initial: (sku) => ({ sku, orderable: false }),
  evolve: evolveSku,
};

export function skuStream(sku: string): Stream<SkuState> {
  return stream(skuType, sku);
}

function evolveSku(state: SkuState, event: SkuEvent): SkuState {
  switch (event.type) {
    case 'catalog.product-created.v1': {
      const { productId, variants } = event.data;
      return { ...state, productId, price: variants.find(({ sku }) => sku === state.sku)!.price, orderable: true };
    }
    case 'catalog.variant-added.v1': {
      const { productId, price, orderable } = event.data;
      return { ...state, productId, price, orderable };
    }
    case 'catalog.variant-changed.v1':
      return { ...state, price: event.data.price };
    case 'catalog.product-archived.v1':
      return { ...state, orderable: false };
    case 'catalog.product-restored.v1':
      return { ...state, orderable: true };
    default:
      return unknownEvent(event);
  }
}

export interface SkuPrice extends Price {
  readonly sku: string;
  /** Its product is not archived. */
  readonly isOrderable: boolean;
}

/** Of the SKUs that belong to a product. */
export function pricesOf(states: States, skus: readonly string[]): { prices: SkuPrice[] } {
  const known = skus.map((sku) => states.of(skuStream(sku))).filter(({ price }) => price !== undefined);
  return { prices: known.map(({ sku, price, orderable }) => ({ sku, ...price!, isOrderable: orderable })) };
}

export function skuExists(sku: string, owner: string): Rejection {
  return new Rejection('sku-exists', `SKU ${sku} belongs to product ${owner}`);
}

export function skuNotFound(sku: string): Rejection {
  return new Rejection('sku-not-found', `there is no SKU ${sku}`);
}
