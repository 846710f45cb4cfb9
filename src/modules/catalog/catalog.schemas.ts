import { z } from 'zod';
import { cursorSchema, limitSchema, pageOf } from '../../platform/http/paging.js';
import {
  amountAnswerSchema,
  currencySchema,
  freeJsonSchema,
  idSchema,
  nonNegativeAmountSchema,
  textSchema,
  timeAnswerSchema,
} from '../../platform/http/schemas.js';
import { maxVariants } from './domain/product.js';

export { emptyBodySchema as emptyBody } from '../../platform/http/schemas.js';

/** The catalogue's contract: what requests may say and what answers look like. */

// ---- Requests

export const productParams = z.strictObject({ productId: idSchema });
export const variantParams = z.strictObject({ productId: idSchema, sku: idSchema });
export const skuParams = z.strictObject({ sku: idSchema });

const nameSchema = textSchema(200);
const categorySchema = textSchema(100).meta({ description: 'Any text; found again as it was written.' });

/** Nothing is sold for less than nothing; "0" is a gift. */
const priceSchema = z.strictObject({ amount: nonNegativeAmountSchema, currency: currencySchema });

const details = {
  name: nameSchema,
  description: textSchema(10_000, 0),
  categories: z.array(categorySchema).max(20).refine(areDifferent, 'a category is there twice'),
  attributes: freeJsonSchema(8_192),
};

const variantFields = { name: nameSchema.optional(), price: priceSchema };

export const createProductBody = z.strictObject({
  productId: idSchema.optional(),
  name: details.name,
  description: details.description.default(''),
  categories: details.categories.default([]),
  attributes: details.attributes.default({}),
  variants: z
    .array(z.strictObject({ sku: idSchema, ...variantFields }))
    .min(1)
    .max(maxVariants)
    .refine((variants) => areDifferent(variants.map(({ sku }) => sku)), 'a SKU is there twice'),
});

export const changeProductBody = z.strictObject(details).partial();
export const putVariantBody = z.strictObject(variantFields);

const needsCurrency = { path: ['currency'], message: 'prices are compared in one currency: say which' };

export const productsQuery = z
  .strictObject({
    limit: limitSchema,
    cursor: cursorSchema,
    q: textSchema(200)
      .optional()
      .meta({
        description:
          'Words to be found in name, description, categories, SKUs and names of variants: all of them, in any order. ' +
          '`"in quotes"` one after the other, `or`, and `-not`, as web searches have it.',
      }),
    category: categorySchema.optional(),
    minPrice: nonNegativeAmountSchema.optional(),
    maxPrice: nonNegativeAmountSchema.optional(),
    currency: currencySchema.optional(),
    status: z.enum(['active', 'archived']).default('active'),
    sort: z.enum(['name', 'price', 'newest']).default('newest'),
  })
  .refine(({ minPrice, maxPrice, currency }) => currency !== undefined || (minPrice ?? maxPrice) === undefined, needsCurrency)
  .refine(({ sort, currency }) => sort !== 'price' || currency !== undefined, needsCurrency);

function areDifferent(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}

// ---- Answers

const statusSchema = z.enum(['active', 'archived']);
const priceAnswer = z.strictObject({ amount: amountAnswerSchema, currency: z.string() });

export const productAnswer = z.strictObject({
  productId: z.string(),
  status: statusSchema,
  name: z.string(),
  description: z.string(),
  categories: z.array(z.string()),
  attributes: z.record(z.string(), z.unknown()),
  variants: z.array(z.strictObject({ sku: z.string(), name: z.string().nullable(), price: priceAnswer })),
  version: z.int(),
  createdAt: timeAnswerSchema,
});

export const productsPage = pageOf(productAnswer);

export const skuAnswer = z.strictObject({
  sku: z.string(),
  name: z.string().nullable(),
  price: priceAnswer,
  productId: z.string(),
  productName: z.string(),
  status: statusSchema,
  available: z.int().meta({ description: 'What is in stock and not reserved.' }),
});
