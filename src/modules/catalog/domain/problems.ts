/** The catalogue's refusals. docs/errors.md lists them; a test holds both equal. */
export const catalogProblems = {
  'product-exists': { status: 409, title: 'The product exists with other content' },
  'product-not-found': { status: 404, title: 'There is no such product' },
  'sku-exists': { status: 409, title: 'The SKU belongs to another product' },
  'sku-not-found': { status: 404, title: 'There is no such SKU' },
  'too-many-variants': { status: 409, title: 'The product has as many variants as one may have' },
} as const;
