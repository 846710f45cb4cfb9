import pMap from 'p-map';
import { type Api, expectStatus } from './api.js';

export interface NewAccount {
  readonly accountId: string;
  readonly metadata?: object;
}

interface Payment {
  readonly transactionId: string;
  readonly destination: string;
  readonly amount: string;
}

const currency = 'EUR';
/** Where the money of customers comes from. */
const source = 'world';
const paymentsPerRequest = 1_000;

/** A shop's ledger, opened and filled so that doing it again changes nothing: everything has a name. */
export class Bank {
  constructor(
    private readonly api: Api,
    private readonly ledger: string,
    private readonly concurrency: number,
  ) {}

  /** The account that sales are paid to, and the one that money comes from. */
  async openShop(): Promise<void> {
    await this.open({ accountId: source, overdraft: 'unlimited' });
    await this.open({ accountId: 'merchant' });
  }

  async openAccounts(accounts: Iterable<NewAccount>, advance: () => void): Promise<void> {
    const openOne = async (account: NewAccount) => {
      await this.open(account);
      advance();
    };
    await pMap(accounts, openOne, { concurrency: this.concurrency });
  }

  async pay(payments: readonly Payment[], advance: (steps: number) => void): Promise<void> {
    const path = `/v1/ledgers/${this.ledger}/transactions/bulk`;
    for (let from = 0; from < payments.length; from += paymentsPerRequest) {
      const items = payments
        .slice(from, from + paymentsPerRequest)
        .map(({ transactionId, destination, amount }) => ({ transactionId, postings: [{ source, destination, amount }] }));
      const answer = await this.api.post<{ results: { status: string; code?: string; detail?: string }[] }>(path, items);
      const { results } = expectStatus(answer, `POST ${path}`, 200);
      const refused = results.find(({ status }) => status !== 'posted');
      if (refused) throw new Error(`a payment was refused: ${refused.code}: ${refused.detail}`);
      advance(items.length);
    }
  }

  private async open(account: NewAccount & { readonly overdraft?: 'unlimited' }): Promise<void> {
    const path = `/v1/ledgers/${this.ledger}/accounts`;
    expectStatus(await this.api.post(path, { ...account, currency }), `POST ${path} for ${account.accountId}`, 201, 200);
  }
}
