import { catalogEvents } from '../../src/modules/catalog/domain/events.js';
import * as products from '../../src/modules/catalog/domain/product.js';
import type { Price, ProductAnswer, ProductContent, ProductDetails, Variant } from '../../src/modules/catalog/domain/product.js';
import { skuStream, skuType } from '../../src/modules/catalog/domain/sku.js';
import { scenariosOf, type Decider } from './given.js';

/** The catalogue's events and commands in the words of somebody who keeps a shop. */
export const given = scenariosOf(catalogEvents, [products.productType, skuType]);

// ---- What is in a catalogue

export const euros = (amount: string): Price => ({ amount, currency: 'EUR' });

/** A variant that costs so many cents, or has a price in another currency. */
export function variant(sku: string, price: string | Price = '1000', name?: string): Variant {
  return { sku, ...(name !== undefined && { name }), price: typeof price === 'string' ? euros(price) : price };
}

/** Of a product that has nothing but a name, and one variant, of the same SKU as its id. */
export function content(productId: string, differences: Partial<ProductContent> = {}): ProductContent {
  const plain = { name: `The ${productId}`, description: '', categories: [], attributes: {}, variants: [variant(productId)] };
  return { ...plain, ...differences };
}

// ---- What has happened

export function created(productId: string, differences: Partial<ProductContent> = {}): products.ProductCreated {
  return { type: 'catalog.product-created.v1', data: { productId, ...content(productId, differences) } };
}

export function changed(productId: string, changes: Partial<ProductDetails>): products.ProductChanged {
  return { type: 'catalog.product-changed.v1', data: { productId, ...changes } };
}

export function added(productId: string, one: Variant, orderable = true): products.VariantAdded {
  return { type: 'catalog.variant-added.v1', data: { productId, ...one, orderable } };
}

export function variantChanged(productId: string, one: Variant, formerPrice?: Price): products.VariantChanged {
  return { type: 'catalog.variant-changed.v1', data: { productId, ...one, ...(formerPrice && { formerPrice }) } };
}

export function archived(productId: string, ...skus: string[]): products.ProductArchived {
  return { type: 'catalog.product-archived.v1', data: { productId, skus } };
}

export function restored(productId: string, ...skus: string[]): products.ProductRestored {
  return { type: 'catalog.product-restored.v1', data: { productId, skus } };
}

// ---- What somebody wants

export function creating(productId: string, differences: Partial<ProductContent> = {}): Decider<ProductAnswer> {
  const input = { productId, ...content(productId, differences) };
  return {
    streams: () => products.streamsToCreate(input),
    decide: (states, context) => products.createProduct(states, input, context),
  };
}

export function changing(productId: string, changes: Partial<ProductDetails>): Decider<ProductAnswer> {
  return {
    streams: () => [products.productStream(productId)],
    decide: (states, context) => products.changeProduct(states, { productId, ...changes }, context),
  };
}

export function putting(productId: string, one: Variant): Decider<ProductAnswer> {
  return {
    streams: () => [products.productStream(productId), skuStream(one.sku)],
    decide: (states, context) => products.putVariant(states, { productId, ...one }, context),
  };
}

export function archiving(productId: string): Decider<ProductAnswer> {
  return {
    streams: (states) => products.streamsWithSkus(states, productId),
    decide: (states, context) => products.archiveProduct(states, { productId }, context),
  };
}

export function restoring(productId: string): Decider<ProductAnswer> {
  return {
    streams: (states) => products.streamsWithSkus(states, productId),
    decide: (states, context) => products.restoreProduct(states, { productId }, context),
  };
}
