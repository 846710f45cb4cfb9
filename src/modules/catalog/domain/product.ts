import { Rejection, type Decision, type DecisionContext, type States } from '../../../platform/log/decision.js';
import { stream, unknownEvent, type Event, type Stream, type StreamType } from '../../../platform/log/stream.js';
import { canonicalJson } from '../../../shared/canonical-json.js';
import { skuExists, skuStream } from './sku.js';

/**
 * The partition key of everything here: that a SKU belongs to one product is one decision over the whole catalogue
 * (ADR 0007).
 */
export const catalogKey = 'catalog';

export const maxVariants = 100;

// ---- Events. Each belongs to its product's stream, and to those of the SKUs that it says something about.

export interface Price {
  /** In minor units. */
  readonly amount: string;
  readonly currency: string;
}

export interface Variant {
  readonly sku: string;
  readonly name?: string;
  readonly price: Price;
}

/** What a client may change of a product, besides its variants. Each is replaced as a whole. */
export interface ProductDetails {
  readonly name: string;
  readonly description: string;
  readonly categories: readonly string[];
  readonly attributes: object;
}

export interface ProductContent extends ProductDetails {
  readonly variants: readonly Variant[];
}

export type ProductCreated = Event<'catalog.product-created.v1', { productId: string } & ProductContent>;
/** Only what changed. */
export type ProductChanged = Event<'catalog.product-changed.v1', { productId: string } & Partial<ProductDetails>>;
export type VariantAdded = Event<'catalog.variant-added.v1', { productId: string; orderable: boolean } & Variant>;
/** The variant as it is now. `formerPrice` when that is another one than before. */
export type VariantChanged = Event<'catalog.variant-changed.v1', { productId: string; formerPrice?: Price } & Variant>;
export type ProductArchived = Event<'catalog.product-archived.v1', { productId: string; skus: readonly string[] }>;
export type ProductRestored = Event<'catalog.product-restored.v1', { productId: string; skus: readonly string[] }>;
export type ProductEvent =
  | ProductCreated
  | ProductChanged
  | VariantAdded
  | VariantChanged
  | ProductArchived
  | ProductRestored;

// ---- State

export type ProductStatus = 'active' | 'archived';

export interface ProductState extends ProductContent {
  readonly productId: string;
  readonly status: 'absent' | ProductStatus;
  /** What it was created with, once it has become something else: tells a repeated creation from another one. */
  readonly original?: ProductContent;
  readonly version: number;
  readonly createdAt: string;
}

export const productType: StreamType<ProductState, ProductEvent> = {
  name: 'product',
  stateVersion: 1,
  stateBytes: (state) => 2 * JSON.stringify(state).length,
  initial: (productId) => ({
    productId,
    status: 'absent',
    name: '',
    description: '',
    categories: [],
    attributes: {},
    variants: [],
    version: 0,
    createdAt: '',
  }),
  evolve: evolveProduct,
};

export function productStream(productId: string, isNew = false): Stream<ProductState> {
  return stream(productType, productId, isNew);
}

function evolveProduct(state: ProductState, event: ProductEvent, recordedAt: string): ProductState {
  const version = state.version + 1;
  const original = state.original ?? contentOf(state);
  switch (event.type) {
    case 'catalog.product-created.v1':
      return { ...state, ...event.data, status: 'active', version, createdAt: recordedAt };
    case 'catalog.product-changed.v1':
      return { ...state, ...event.data, original, version };
    case 'catalog.variant-added.v1':
      return { ...state, variants: [...state.variants, variantOf(event.data)], original, version };
    case 'catalog.variant-changed.v1': {
      const changed = variantOf(event.data);
      const variants = state.variants.map((variant) => (variant.sku === changed.sku ? changed : variant));
      return { ...state, variants, original, version };
    }
    case 'catalog.product-archived.v1':
      return { ...state, status: 'archived', version };
    case 'catalog.product-restored.v1':
      return { ...state, status: 'active', version };
    default:
      return unknownEvent(event);
  }
}

/** A variant without a name has none, rather than one that is undefined. */
function variantOf({ sku, name, price }: Variant): Variant {
  return { sku, ...(name !== undefined && { name }), price };
}

function contentOf({ name, description, categories, attributes, variants }: ProductContent): ProductContent {
  return { name, description, categories, attributes, variants };
}

// ---- Decisions

export interface CreateProductInput extends ProductContent {
  readonly productId: string;
  /** The id was made by the server just now. */
  readonly isNew?: boolean;
}

/** The product as writes answer with it; reads answer the same from the view. */
export interface ProductAnswer extends ProductDetails {
  readonly productId: string;
  readonly status: ProductStatus;
  readonly variants: readonly { readonly sku: string; readonly name: string | null; readonly price: Price }[];
  readonly version: number;
  readonly createdAt: string;
}

export function streamsToCreate({ productId, isNew, variants }: CreateProductInput): Stream[] {
  return [productStream(productId, isNew), ...variants.map(({ sku }) => skuStream(sku))];
}

/** Makes a product, and claims its SKUs: all of them or none. Refusals, in this order: product-exists, sku-exists. */
export function createProduct(
  states: States,
  input: CreateProductInput,
  context: DecisionContext,
): Decision<ProductAnswer> {
  const { productId, isNew } = input;
  const product = states.of(productStream(productId, isNew));
  if (product.status !== 'absent') {
    if (canonicalJson(product.original ?? contentOf(product)) !== canonicalJson(contentOf(input))) {
      throw new Rejection('product-exists', `product ${productId} exists with other content`);
    }
    return { events: [], answer: answerOf(product) };
  }
  for (const { sku } of input.variants) {
    const owner = states.of(skuStream(sku)).productId;
    if (owner !== undefined) throw skuExists(sku, owner);
  }
  const created: ProductCreated = {
    type: 'catalog.product-created.v1',
    data: { productId, ...contentOf(input), variants: input.variants.map(variantOf) },
  };
  return { ...changed(product, created, context), created: true };
}

export type ChangeProductInput = { readonly productId: string } & Partial<ProductDetails>;

/** Replaces what is given, and leaves the rest. Refusals: product-not-found. What is so already changes nothing. */
export function changeProduct(
  states: States,
  { productId, name, description, categories, attributes }: ChangeProductInput,
  context: DecisionContext,
): Decision<ProductAnswer> {
  const product = productOf(states, productId);
  const changes = differing(product, { name, description, categories, attributes });
  if (Object.keys(changes).length === 0) return { events: [], answer: answerOf(product) };
  return changed(product, { type: 'catalog.product-changed.v1', data: { productId, ...changes } }, context);
}

export type PutVariantInput = { readonly productId: string } & Variant;

/**
 * Adds a variant, or puts it in the place of the one with its SKU. Refusals, in this order: product-not-found,
 * sku-exists, too-many-variants. One that is so already changes nothing.
 */
export function putVariant(states: States, input: PutVariantInput, context: DecisionContext): Decision<ProductAnswer> {
  const { productId, sku, price } = input;
  const product = productOf(states, productId);
  const owner = states.of(skuStream(sku)).productId;
  if (owner !== undefined && owner !== productId) throw skuExists(sku, owner);
  const variant = variantOf(input);
  const before = product.variants.find((one) => one.sku === sku);
  if (!before) {
    if (product.variants.length >= maxVariants) {
      throw new Rejection('too-many-variants', `product ${productId} has ${maxVariants} variants`);
    }
    const orderable = product.status === 'active';
    const added: VariantAdded = { type: 'catalog.variant-added.v1', data: { productId, ...variant, orderable } };
    return { ...changed(product, added, context), created: true };
  }
  if (canonicalJson(before) === canonicalJson(variant)) return { events: [], answer: answerOf(product) };
  const isNewPrice = canonicalJson(before.price) !== canonicalJson(price);
  const data = { productId, ...variant, ...(isNewPrice && { formerPrice: before.price }) };
  return changed(product, { type: 'catalog.variant-changed.v1', data }, context);
}

/** The SKUs follow from the product, so they can be named only once that is loaded. */
export function streamsWithSkus(states: States, productId: string): Stream[] {
  const product = productStream(productId);
  const variants = states.has(product) ? states.of(product).variants : [];
  return [product, ...variants.map(({ sku }) => skuStream(sku))];
}

/** From now on none of its SKUs can be ordered. Refusals: product-not-found. An archived one stays as it is. */
export function archiveProduct(
  states: States,
  { productId }: { productId: string },
  context: DecisionContext,
): Decision<ProductAnswer> {
  const product = productOf(states, productId);
  if (product.status === 'archived') return { events: [], answer: answerOf(product) };
  return changed(product, { type: 'catalog.product-archived.v1', data: { productId, skus: skusOf(product) } }, context);
}

/** Back into the shop. Refusals: product-not-found. An active one stays as it is. */
export function restoreProduct(
  states: States,
  { productId }: { productId: string },
  context: DecisionContext,
): Decision<ProductAnswer> {
  const product = productOf(states, productId);
  if (product.status === 'active') return { events: [], answer: answerOf(product) };
  return changed(product, { type: 'catalog.product-restored.v1', data: { productId, skus: skusOf(product) } }, context);
}

// ---- How it is done

export function productNotFound(productId: string): Rejection {
  return new Rejection('product-not-found', `there is no product ${productId}`);
}

function productOf(states: States, productId: string): ProductState {
  const product = states.of(productStream(productId));
  if (product.status === 'absent') throw productNotFound(productId);
  return product;
}

function skusOf({ variants }: ProductState): string[] {
  return variants.map(({ sku }) => sku);
}

/** Those of the wishes that are not so already. */
function differing(product: ProductDetails, wishes: Partial<ProductDetails>): Partial<ProductDetails> {
  const differs = ([key, value]: [string, unknown]) =>
    value !== undefined && canonicalJson(value) !== canonicalJson(product[key as keyof ProductDetails]);
  return Object.fromEntries(Object.entries(wishes).filter(differs));
}

function changed(product: ProductState, event: ProductEvent, context: DecisionContext): Decision<ProductAnswer> {
  return { events: [event], answer: answerOf(evolveProduct(product, event, context.now)) };
}

function answerOf(product: ProductState): ProductAnswer {
  return {
    productId: product.productId,
    // Nobody is answered with a product that is not there.
    status: product.status as ProductStatus,
    name: product.name,
    description: product.description,
    categories: product.categories,
    attributes: product.attributes,
    variants: product.variants.map(({ sku, name, price }) => ({ sku, name: name ?? null, price })),
    version: product.version,
    createdAt: product.createdAt,
  };
}
