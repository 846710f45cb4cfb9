import { type Answer, type Api, codeOf, expectStatus, refusalOf } from '../client/api.js';
import type { Details, ProductLines, ReportBadLine, VariantLine } from './product-lines.js';

export interface Tally {
  created: number;
  existing: number;
  received: number;
  receivedBefore: number;
}

interface Product {
  readonly name: string;
  readonly description: string;
  readonly categories: readonly string[];
  readonly variants: readonly {
    readonly sku: string;
    readonly name: string | null;
    readonly price: VariantLine['price'];
  }[];
}

/** What the server has against a line, and not against the request as such. */
const lineStatuses = [400, 409, 413];

/**
 * Brings products to what a file says of them. Products and variants are named by the file, so sending one again
 * changes nothing. A receipt adds up, so it has a key of the file's content and the line: it takes effect once.
 */
export class ProductImport {
  readonly tally: Tally = { created: 0, existing: 0, received: 0, receivedBefore: 0 };

  constructor(
    private readonly api: Api,
    /** Of the file's content: part of the keys. */
    private readonly delivery: string,
    private readonly reportBad: ReportBadLine,
  ) {}

  async run({ details, variants }: ProductLines): Promise<void> {
    const taken = await this.putProduct(details, variants);
    await Promise.all(taken.map((line) => this.receive(line)));
  }

  /** Creates or changes the product, and returns the lines that it could be done for. */
  private async putProduct(details: Details, lines: readonly VariantLine[]): Promise<readonly VariantLine[]> {
    const created = await this.api.post<Product>('/v1/products', { ...details, variants: lines.map(newVariant) });
    if (created.status === 201) {
      this.tally.created++;
      return lines;
    }
    const isThere = created.status === 200 || codeOf(created.body) === 'product-exists';
    if (!isThere && lines.length > 1 && lineStatuses.includes(created.status)) return this.oneByOne(details, lines);
    if (!isThere) {
      this.bad(lines[0]!, created);
      return [];
    }
    this.tally.existing++;
    return this.change(details, lines);
  }

  /** One of the lines is refused, and with it all. The first one that is not makes the product; the others come to it. */
  private async oneByOne(details: Details, lines: readonly VariantLine[]): Promise<readonly VariantLine[]> {
    const taken: VariantLine[] = [];
    for (const line of lines) {
      const { length } = taken;
      taken.push(...(length === 0 ? await this.putProduct(details, [line]) : await this.change(details, [line])));
    }
    return taken;
  }

  private async change({ productId, ...details }: Details, lines: readonly VariantLine[]): Promise<readonly VariantLine[]> {
    const path = `/v1/products/${productId}`;
    const answer = await this.api.send<Product>('PATCH', path, details);
    if (lineStatuses.includes(answer.status)) {
      for (const line of lines) this.bad(line, answer);
      return [];
    }
    const product = expectStatus(answer, `PATCH ${path}`, 200);
    const before = new Map(product.variants.map((variant) => [variant.sku, variant]));
    const done = await Promise.all(
      lines.map(async (line) => {
        const { sku, price, variantName } = line;
        const old = before.get(sku);
        const name = (variantName === undefined ? old?.name : variantName) ?? null;
        const { amount, currency } = price;
        if (old && old.name === name && old.price.amount === amount && old.price.currency === currency) return true;
        const put = await this.api.send('PUT', `${path}/variants/${sku}`, { price, name: name ?? undefined });
        if (put.status >= 300) this.bad(line, put);
        return put.status < 300;
      }),
    );
    return lines.filter((_, index) => done[index]);
  }

  private async receive(line: VariantLine): Promise<void> {
    const { stock: quantity, location, sku } = line;
    if (quantity === undefined) return;
    const key = `import:${this.delivery}:${line.line}`;
    const body = { quantity, location, reference: key };
    const answer = await this.api.post(`/v1/stock/${sku}/receipts`, body, { 'idempotency-key': key });
    if (answer.status !== 201) this.bad(line, answer);
    else if (answer.headers['idempotency-replayed'] === 'true') this.tally.receivedBefore++;
    else this.tally.received++;
  }

  private bad({ line }: VariantLine, answer: Answer<unknown>): void {
    if (!lineStatuses.includes(answer.status)) expectStatus(answer, `line ${line}`);
    this.reportBad(line, refusalOf(answer.body));
  }
}

function newVariant({ sku, variantName, price }: VariantLine) {
  return { sku, price, name: variantName ?? undefined };
}
