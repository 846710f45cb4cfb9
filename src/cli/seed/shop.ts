import { faker } from '@faker-js/faker/locale/en';

/** A made-up shop. Each thing in it follows from the seed and its number alone, so a larger shop contains the smaller. */
export interface SeedProduct {
  readonly productId: string;
  readonly name: string;
  readonly description: string;
  readonly categories: readonly string[];
  readonly attributes: object;
  readonly variants: readonly { readonly sku: string; readonly name: string; readonly price: object }[];
}

export interface SeedCustomer {
  readonly accountId: string;
  readonly metadata: object;
}

const sizes = ['S', 'M', 'L', 'XL', 'XXL'];

/** Two numbers of a thing must not draw the same luck, whatever the thing. */
const kinds = { product: 0, customer: 1 };

export function makeProduct(seed: number, number: number): { product: SeedProduct; stock: ReadonlyMap<string, number> } {
  faker.seed([seed, kinds.product, number]);
  const productId = `seed-${seed}-product-${number}`;
  const name = faker.commerce.productName();
  const description = faker.commerce.productDescription();
  const categories = [...new Set([faker.commerce.department(), faker.commerce.department()])];
  const attributes = { material: faker.commerce.productMaterial(), brand: faker.company.name() };
  const basePrice = 100 * faker.number.int({ min: 1, max: 300 }) + 99;
  const names = faker.datatype.boolean() ? sizes : faker.helpers.uniqueArray(faker.color.human, 5);
  const variants = names.slice(0, faker.number.int({ min: 1, max: 5 })).map((variantName, index) => ({
    sku: `seed-${seed}-${number}-${index + 1}`,
    name: variantName,
    price: { amount: String(basePrice + 200 * index), currency: 'EUR' },
  }));
  // One in ten is sold out.
  const stock = variants.map(({ sku }) => [sku, Math.max(0, faker.number.int({ min: -50, max: 450 }))] as const);
  return { product: { productId, name, description, categories, attributes, variants }, stock: new Map(stock) };
}

export function makeCustomer(seed: number, number: number): { account: SeedCustomer; funds: string } {
  faker.seed([seed, kinds.customer, number]);
  const firstName = faker.person.firstName();
  const lastName = faker.person.lastName();
  const email = faker.internet.email({ firstName, lastName, provider: 'example.com' });
  const metadata = { name: `${firstName} ${lastName}`, email, city: faker.location.city() };
  const funds = String(faker.number.int({ min: 1_000, max: 200_000 }));
  return { account: { accountId: `seed-${seed}-customer-${number}`, metadata }, funds };
}
