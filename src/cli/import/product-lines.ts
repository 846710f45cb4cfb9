import { z } from 'zod';
import { createProductBody } from '../../modules/catalog/catalog.schemas.js';
import { maxVariants } from '../../modules/catalog/domain/product.js';
import { receiveBody } from '../../modules/inventory/inventory.schemas.js';
import type { FileRecord } from './read-records.js';

/** What the file says of a product. Undefined: the file does not say, and what the product has stays. */
export interface Details {
  readonly productId: string;
  readonly name: string;
  readonly description?: string;
  readonly categories?: readonly string[];
}

/** A line: one variant of a product, and what is received of it. */
export interface VariantLine {
  readonly line: number;
  readonly sku: string;
  readonly variantName?: string | null;
  readonly price: { readonly amount: string; readonly currency: string };
  readonly stock?: number;
  readonly location?: string;
}

export interface ProductLines {
  readonly details: Details;
  readonly variants: readonly VariantLine[];
  /** How many lines of the file are done when this is, bad ones among them included. */
  readonly linesOfFile: number;
}

export type ReportBadLine = (line: number, reason: string) => void;

// The rules are the API's own: what they let through, it takes.
const product = createProductBody.shape;
const variant = product.variants.element.shape;
const receipt = receiveBody.shape;

/** An empty cell, and null, is nothing. */
const orEmpty = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (value === '' ? null : value), schema.nullable()).optional();

const categoriesSchema = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(';').map((part) => part.trim()).filter((part) => part !== '') : value),
  product.categories.unwrap(),
);
const stockSchema = z.preprocess(
  (value) => (typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value),
  z.union([z.literal(0), receipt.quantity], `a whole number from 0 to ${receipt.quantity.maxValue}`),
);

const lineSchema = z.strictObject({
  product_id: product.productId.unwrap(),
  name: orEmpty(product.name),
  description: orEmpty(product.description.unwrap()),
  categories: orEmpty(categoriesSchema),
  sku: variant.sku,
  variant_name: orEmpty(variant.name.unwrap()),
  amount: variant.price.shape.amount,
  currency: variant.price.shape.currency,
  stock: orEmpty(stockSchema),
  location: orEmpty(receipt.location.unwrap()),
});

type Line = z.output<typeof lineSchema>;

export const columns = Object.keys(lineSchema.shape);

/**
 * Gathers the lines of each product, which stand together. What is wrong with a line is reported, and the line left
 * out. Only the products' ids are kept, to notice one that comes again.
 */
export async function* productLines(records: AsyncIterable<FileRecord>, reportBad: ReportBadLine): AsyncGenerator<ProductLines> {
  const firstLines = new Map<string, number>();
  let current: Gathering | undefined;
  for await (const record of records) {
    const parsed = record.fields === undefined ? undefined : lineSchema.safeParse(record.fields);
    const reason = parsed ? parsed.error && reasonOf(parsed.error) : record.reason;
    if (!parsed?.data) {
      reportBad(record.line, reason!);
      if (current) current.linesOfFile += record.lines;
      continue;
    }
    const line = parsed.data;
    if (current?.productId !== line.product_id) {
      const finished = current?.finish();
      if (finished) yield finished;
      current = new Gathering(line.product_id);
      const before = firstLines.get(line.product_id);
      if (before === undefined) firstLines.set(line.product_id, record.line);
      else current.isLate = before;
    }
    current.linesOfFile += record.lines;
    const refused = current.add(line, record.line);
    if (refused !== undefined) reportBad(record.line, refused);
  }
  const last = current?.finish();
  if (last) yield last;
}

/** A product whose lines are being read. */
class Gathering {
  /** The first line of this product, when that stands further up, among those of others. */
  isLate: number | undefined;
  linesOfFile = 0;
  private details: Details | undefined;
  private readonly variants: VariantLine[] = [];

  constructor(readonly productId: string) {}

  /** Takes the line, or says why not. */
  add(line: Line, number: number): string | undefined {
    if (this.isLate !== undefined) return `product_id: the lines of ${this.productId} stand together, and began on line ${this.isLate}`;
    if (this.variants.some(({ sku }) => sku === line.sku)) return `sku: ${line.sku} is there twice`;
    if (this.variants.length === maxVariants) return `sku: a product has ${maxVariants} variants at most`;
    const refused = this.details ? this.differs(line) : line.name == null && 'name: missing on the first good line of the product';
    if (refused) return refused;
    this.details ??= {
      productId: this.productId,
      name: line.name!,
      description: line.description === null ? '' : line.description,
      categories: line.categories === null ? [] : line.categories,
    };
    const { sku, variant_name: variantName, amount, currency, stock, location } = line;
    this.variants.push({
      line: number,
      sku,
      variantName,
      price: { amount, currency },
      ...(stock && { stock }),
      ...(location != null && { location }),
    });
    return undefined;
  }

  finish(): ProductLines | undefined {
    return this.details && { details: this.details, variants: this.variants, linesOfFile: this.linesOfFile };
  }

  /** A product has one name: further lines leave it out, or say the same. */
  private differs(line: Line): string | undefined {
    for (const field of ['name', 'description', 'categories'] as const) {
      const value = line[field];
      if (value == null || (Array.isArray(value) && value.length === 0)) continue;
      if (JSON.stringify(value) !== JSON.stringify(this.details![field])) return `${field}: another one than on the product's first good line`;
    }
    return undefined;
  }
}

function reasonOf(error: z.ZodError): string {
  const reasons = error.issues.map((issue) => [issue.path[0], messageOf(issue)].filter(Boolean).join(': '));
  return [...new Set(reasons)].join('; ');
}

function messageOf(issue: z.core.$ZodIssue): string {
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return isMissing ? 'missing' : issue.message;
}
