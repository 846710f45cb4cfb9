import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import type { Projection } from '../../../platform/consumers/projection.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import { Cursor, type Page } from '../../../platform/http/paging.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import { timeSchema } from '../../../platform/http/schemas.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import { accountNotFound, type Overdraft } from '../domain/account.js';
import type { LedgerEvent } from '../domain/events.js';

// ---- Table: two rows per posting that was booked, one for each account

interface EntryRow {
  recorded_at: Date;
  position: string;
  posting: number;
  transaction_id: string;
  amount: string;
  balance_after: string;
  counterparty: string;
  reference: string | null;
}

// ---- Fold

/** Column by column: cheaper for Postgres to read than one JSON object per row (see arrayLiteral). */
class EntryColumns {
  readonly ledger: string[] = [];
  readonly accountId: string[] = [];
  readonly recordedAt: string[] = [];
  readonly position: number[] = [];
  readonly posting: number[] = [];
  readonly transactionId: string[] = [];
  readonly amount: string[] = [];
  readonly balanceAfter: string[] = [];
  readonly counterparty: string[] = [];
  readonly reference: (string | null)[] = [];

  add(event: RecordedEvent<LedgerEvent>): void {
    if (event.type !== 'ledger.transaction-posted.v1' && event.type !== 'ledger.transaction-captured.v1') return;
    const { ledger, transactionId, postings } = event.data;
    const reference = 'reference' in event.data ? (event.data.reference ?? null) : null;
    postings.forEach((posting, index) => {
      const { source, destination, amount, sourceBalance, destinationBalance } = posting;
      const add = (account: string, counterparty: string, signed: string, balance: string) => {
        this.ledger.push(ledger);
        this.accountId.push(account);
        this.recordedAt.push(event.recordedAt);
        this.position.push(event.position);
        this.posting.push(index);
        this.transactionId.push(transactionId);
        this.amount.push(signed);
        this.balanceAfter.push(balance);
        this.counterparty.push(counterparty);
        this.reference.push(reference);
      };
      add(source, destination, `-${amount}`, sourceBalance);
      add(destination, source, amount, destinationBalance);
    });
  }

  parameters(): string[] {
    const { ledger, accountId, recordedAt, position, posting, transactionId, amount, balanceAfter } = this;
    const plain = [ledger, accountId, recordedAt, position, posting, transactionId, amount, balanceAfter];
    return [...[...plain, this.counterparty].map(arrayLiteral), JSON.stringify(this.reference)];
  }
}

export const ledgerEntries: Projection = {
  name: 'ledger-entries',
  table: 'ledger_entries',
  key: ['ledger', 'account_id', 'recorded_at', 'position', 'posting'],

  async project(events, sql, table) {
    const columns = new EntryColumns();
    for (const event of events as readonly RecordedEvent<LedgerEvent>[]) columns.add(event);
    if (columns.ledger.length === 0) return;
    await sql.query({
      name: `${table}-add`,
      text: `
INSERT INTO ${table} (ledger, account_id, recorded_at, position, posting, transaction_id, amount, balance_after,
  counterparty, reference)
SELECT * FROM ROWS FROM (unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::smallint[], $6::text[],
  $7::bigint[], $8::bigint[], $9::text[]), json_array_elements_text($10::json))`,
      values: columns.parameters(),
    });
  },
};

// ---- Queries

export interface EntryAnswer {
  readonly transactionId: string;
  /** Signed: negative when money left the account. */
  readonly amount: string;
  readonly balanceAfter: string;
  readonly counterparty: string;
  readonly reference: string | null;
  readonly recordedAt: string;
}

export class ListEntries extends Query<Page<EntryAnswer>> {
  constructor(
    readonly ledger: string,
    readonly accountId: string,
    /** `from` is included, `to` is not. */
    readonly options: { limit: number; cursor?: string; from?: string; to?: string },
  ) {
    super();
  }
}

const entriesCursor = new Cursor('ledger-entries', z.tuple([timeSchema, z.int(), z.int().min(0).max(32_767)]));
const endOfTime = '9999-12-31T23:59:59.999Z';

/** Newest first. */
@QueryHandler(ListEntries)
export class ListEntriesHandler implements IQueryHandler<ListEntries> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ ledger, accountId, options }: ListEntries): Promise<Page<EntryAnswer>> {
    const { limit, from = '0001-01-01T00:00:00.000Z', to = endOfTime } = options;
    const filter = `${ledger} ${accountId} ${from} ${to}`;
    const [time, position, posting] = entriesCursor.decode(options.cursor, filter) ?? [endOfTime, 0, 0];
    const rows = await this.pool.rows<EntryRow>(
      'ledger-entries-list',
      `SELECT recorded_at, position, posting, transaction_id, amount, balance_after, counterparty, reference
       FROM ledger_entries
       WHERE ledger = $1 AND account_id = $2 AND recorded_at >= $3 AND recorded_at < $4
         AND (recorded_at, position, posting) < ($5::timestamptz, $6::bigint, $7::smallint)
       ORDER BY recorded_at DESC, position DESC, posting DESC LIMIT $8`,
      [ledger, accountId, from, to, time, position, posting, limit + 1],
    );
    if (rows.length === 0 && options.cursor === undefined) await this.requireAccount(ledger, accountId);
    const keyOf = (row: EntryRow): [string, number, number] => [
      row.recorded_at.toISOString(),
      Number(row.position),
      row.posting,
    ];
    return entriesCursor.page(rows, limit, filter, keyOf, answerOf);
  }

  /** An empty statement and a missing account are different answers. */
  private async requireAccount(ledger: string, accountId: string): Promise<void> {
    const text = 'SELECT 1 FROM ledger_accounts WHERE ledger = $1 AND account_id = $2';
    const rows = await this.pool.rows('ledger-account-exists', text, [ledger, accountId]);
    if (rows.length === 0) throw accountNotFound(accountId);
  }
}

export interface BalanceAtAnswer {
  readonly accountId: string;
  readonly ledger: string;
  readonly currency: string;
  readonly overdraft: Overdraft;
  readonly balance: string;
  readonly at: string;
  readonly openedAt: string;
  readonly metadata: object;
}

export class GetBalanceAt extends Query<Resource<BalanceAtAnswer>> {
  constructor(
    readonly ledger: string,
    readonly accountId: string,
    readonly at: string,
  ) {
    super();
  }
}

/** The last entry recorded by then tells the balance. */
@QueryHandler(GetBalanceAt)
export class GetBalanceAtHandler implements IQueryHandler<GetBalanceAt> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ ledger, accountId, at }: GetBalanceAt): Promise<Resource<BalanceAtAnswer>> {
    const [row] = await this.pool.rows<{
      currency: string;
      overdraft: Overdraft;
      balance: string;
      opened_at: Date;
      metadata: object;
    }>(
      'ledger-balance-at',
      `SELECT a.currency, a.overdraft, a.opened_at, a.metadata, coalesce((
         SELECT balance_after FROM ledger_entries
         WHERE ledger = $1 AND account_id = $2 AND recorded_at <= $3
         ORDER BY recorded_at DESC, position DESC, posting DESC LIMIT 1), 0) AS balance
       FROM ledger_accounts a WHERE a.ledger = $1 AND a.account_id = $2 AND a.opened_at <= $3`,
      [ledger, accountId, at],
    );
    if (!row) throw accountNotFound(accountId);
    const { currency, overdraft, balance, metadata } = row;
    const openedAt = row.opened_at.toISOString();
    return { body: { accountId, ledger, currency, overdraft, balance, at, openedAt, metadata } };
  }
}

function answerOf(row: EntryRow): EntryAnswer {
  return {
    transactionId: row.transaction_id,
    amount: row.amount,
    balanceAfter: row.balance_after,
    counterparty: row.counterparty,
    reference: row.reference,
    recordedAt: row.recorded_at.toISOString(),
  };
}
