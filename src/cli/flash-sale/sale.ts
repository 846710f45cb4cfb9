import { type Api, codeOf, expectStatus } from '../client/api.js';
import { Bank } from '../client/bank.js';
import type { Account, Order, SaleFacts, Told } from './verdict.js';

export interface SalePlan {
  /** Of the product, its SKU, the ledger, and what is made of them: a sale of its own on a shared server. */
  readonly name: string;
  readonly units: number;
  readonly buyers: number;
}

const price = 1_999n;
/** Enough for two: who is charged twice shall show, and not be refused. */
const funds = 2n * price;
const concurrency = 64;
/** Every fifth buyer is in such a hurry that the order is sent twice. */
const asksTwice = (buyer: number) => buyer % 5 === 0;
/** A verdict that takes longer than one wait is asked for again, with the same key. */
const waitsMax = 10;

/** What happens while it goes on, for those who watch. */
export interface SaleEvents {
  /** `isFirst`: the buyer had no answer yet. */
  answered(told: Told, waitedMs: number, isFirst: boolean): void;
}

interface AccountAnswer {
  readonly accountId: string;
  readonly balance: string;
  readonly pendingIn: string;
  readonly pendingOut: string;
}

/** One product, few units, many buyers who all order at once; and what the server says of it afterwards. */
export class Sale {
  private readonly told = new Map<string, Told[]>();
  private openedAt = '';

  constructor(
    private readonly api: Api,
    private readonly plan: SalePlan,
  ) {}

  get requests(): number {
    return this.buyers().reduce((sum, { times }) => sum + times, 0);
  }

  /** The product with its units, and the buyers with their money. */
  async prepare(advance: (steps: number) => void): Promise<void> {
    const { name, units } = this.plan;
    const variants = [{ sku: name, price: { amount: String(price), currency: 'EUR' } }];
    const created = await this.api.post<{ createdAt: string }>('/v1/products', { productId: name, name: 'The last of its kind', variants });
    this.openedAt = expectStatus(created, 'POST /v1/products', 201, 200).createdAt;
    const key = { 'idempotency-key': `${name}:stock` };
    expectStatus(await this.api.post(`/v1/stock/${name}/receipts`, { quantity: units }, key), 'the receipt of the stock', 201);
    const bank = new Bank(this.api, name, concurrency);
    await bank.openShop();
    const accounts = this.buyers().map(({ buyer }) => ({ accountId: buyer }));
    await bank.openAccounts(accounts, () => advance(1));
    const payments = accounts.map(({ accountId }) => ({
      transactionId: `${accountId}-funds`,
      destination: accountId,
      amount: String(funds),
    }));
    await bank.pay(payments, advance);
  }

  /** Everybody at once. Resolves when everybody has a verdict. */
  async run({ answered }: SaleEvents): Promise<void> {
    const startedMs = performance.now();
    const ask = async (buyer: string) => {
      const told = await this.order(buyer);
      const before = this.told.get(buyer) ?? [];
      this.told.set(buyer, [...before, told]);
      answered(told, performance.now() - startedMs, before.length === 0);
    };
    await Promise.all(this.buyers().flatMap(({ buyer, times }) => Array.from({ length: times }, () => ask(buyer))));
  }

  /** What the server has on record, as far as its views have come. */
  async facts(): Promise<Omit<SaleFacts, 'audit'>> {
    const { name, units, buyers } = this.plan;
    const ledger = `/v1/ledgers/${name}`;
    const [orders, accounts, stock, merchant, balance] = await Promise.all([
      collect(this.api.list<Order & { readonly payment: { readonly ledger: string } }>('/v1/orders', { placedFrom: this.openedAt })),
      collect(this.api.list<AccountAnswer>(`${ledger}/accounts`, { prefix: buyerPrefix })),
      this.read<SaleFacts['stock']>(`/v1/stock/${name}`),
      this.read<AccountAnswer>(`${ledger}/accounts/merchant`),
      this.read<{ currencies: { EUR: { net: string } } }>(`${ledger}/trial-balance`),
    ]);
    return {
      units,
      buyers,
      price,
      funds,
      told: this.told,
      orders: orders.filter(({ payment }) => payment.ledger === name),
      stock,
      merchant: accountOf(merchant),
      accounts: new Map(accounts.map((account) => [account.accountId, accountOf(account)])),
      net: BigInt(balance.currencies.EUR.net),
    };
  }

  private async order(buyer: string): Promise<Told> {
    const { name } = this.plan;
    const body = { customerId: buyer, lines: [{ sku: name, quantity: 1 }], payment: { ledger: name, account: buyer } };
    const headers = { prefer: 'wait=30', 'idempotency-key': `${name}:${buyer}` };
    for (let waits = 0; waits < waitsMax; waits++) {
      const answer = await this.api.post<{ orderId: string }>('/v1/orders', body, headers);
      if (answer.status === 201) return { status: 'confirmed', orderId: answer.body.orderId };
      if (answer.status === 409) return { status: 'rejected', code: codeOf(answer.body) };
      expectStatus(answer, `the order of ${buyer}`, 202);
    }
    throw new Error(`the order of ${buyer} has no verdict after ${waitsMax} waits`);
  }

  private buyers(): { buyer: string; times: number }[] {
    return Array.from({ length: this.plan.buyers }, (_, index) => ({
      buyer: `${buyerPrefix}${index + 1}`,
      times: asksTwice(index + 1) ? 2 : 1,
    }));
  }

  private async read<Body>(path: string): Promise<Body> {
    return expectStatus(await this.api.get<Body>(path), `GET ${path}`, 200);
  }
}

const buyerPrefix = 'buyer-';

function accountOf({ balance, pendingIn, pendingOut }: AccountAnswer): Account {
  return { balance: BigInt(balance), pendingIn: BigInt(pendingIn), pendingOut: BigInt(pendingOut) };
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
