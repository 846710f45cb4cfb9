import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { QueryPool } from '../../../platform/database/query-pool.js';
import { Cursor, type Page } from '../../../platform/http/paging.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import { StreamReader, type StreamEvent } from '../../../platform/log/stream-reader.js';
import { accountNotFound, accountStream, type AccountEvent, type Overdraft } from '../domain/account.js';
import type { TransactionEvent } from '../domain/transaction.js';
import { ledgerAccounts } from './accounts.js';

// ---- No table: a statement is the account's stream, read backwards. What a row would say, the event of the transfer
// ---- says already, under an index of account and version (stream_links); two rows more per transfer would be the
// ---- larger half of what a transfer costs Postgres (ADR 0018).

// ---- Fold: what an event is on one account's statement

export interface EntryAnswer {
  readonly transactionId: string;
  /** Signed: negative when money left the account. */
  readonly amount: string;
  readonly balanceAfter: string;
  readonly counterparty: string;
  readonly reference: string | null;
  readonly recordedAt: string;
}

interface Entry {
  readonly version: number;
  readonly posting: number;
  readonly answer: EntryAnswer;
}

/** The postings that moved money of the account, the last one first; what is only set aside or released is none. */
function entriesOf(accountId: string, event: StreamEvent<AccountEvent | TransactionEvent>): Entry[] {
  if (event.type !== 'ledger.transaction-posted.v1' && event.type !== 'ledger.transaction-captured.v1') return [];
  const { version, recordedAt, data } = event;
  const { transactionId } = data;
  const reference = 'reference' in data ? (data.reference ?? null) : null;
  const entries: Entry[] = [];
  for (let posting = data.postings.length - 1; posting >= 0; posting--) {
    const { source, destination, amount, sourceBalance, destinationBalance } = data.postings[posting]!;
    if (source !== accountId && destination !== accountId) continue;
    const moved =
      source === accountId
        ? { amount: `-${amount}`, balanceAfter: sourceBalance, counterparty: destination }
        : { amount, balanceAfter: destinationBalance, counterparty: source };
    entries.push({ version, posting, answer: { transactionId, ...moved, reference, recordedAt } });
  }
  return entries;
}

// ---- Queries

/** So many are parsed at once: an event may be of a hundred postings, and others wait meanwhile. */
const eventsAtOnce = 100;

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

const maxVersion = 2_147_483_646;
const entriesCursor = new Cursor('ledger-entries', z.tuple([z.int().min(1).max(maxVersion), z.int().min(0)]));

/** Newest first. */
@QueryHandler(ListEntries)
export class ListEntriesHandler implements IQueryHandler<ListEntries> {
  constructor(
    private readonly pool: QueryPool,
    private readonly log: StreamReader,
  ) {}

  async execute({ ledger, accountId, options }: ListEntries): Promise<Page<EntryAnswer>> {
    const { limit, cursor, from, to } = options;
    const filter = `${ledger} ${accountId} ${from ?? ''} ${to ?? ''}`;
    const last = entriesCursor.decode(cursor, filter);
    const stream = accountStream(ledger, accountId);
    const after = from === undefined ? 0 : await this.log.versionsBefore(ledger, stream, from);
    let before: number | undefined;
    if (last) before = last[0] + 1;
    else if (to !== undefined) before = (await this.log.versionsBefore(ledger, stream, to)) + 1;
    const entries: Entry[] = [];
    for (let more = true; more && entries.length <= limit; ) {
      const range = { before, after, limit: Math.min(limit + 1, eventsAtOnce) };
      const { events } = await this.log.latest<AccountEvent | TransactionEvent>(ledgerAccounts.name, ledger, stream, range);
      for (const event of events) {
        for (const entry of entriesOf(accountId, event)) if (!last || isOlder(entry, last)) entries.push(entry);
      }
      before = events.at(-1)?.version;
      more = events.length === range.limit;
    }
    if (entries.length === 0 && cursor === undefined) await this.requireAccount(ledger, accountId);
    return entriesCursor.page(entries, limit, filter, ({ version, posting }) => [version, posting], ({ answer }) => answer);
  }

  /** An empty statement and a missing account are different answers. */
  private async requireAccount(ledger: string, accountId: string): Promise<void> {
    const text = 'SELECT 1 FROM ledger_accounts WHERE ledger = $1 AND account_id = $2';
    const rows = await this.pool.rows('ledger-account-exists', text, [ledger, accountId]);
    if (rows.length === 0) throw accountNotFound(accountId);
  }
}

/** A page may end between two postings of one event. */
function isOlder({ version, posting }: Entry, [lastVersion, lastPosting]: [number, number]): boolean {
  return version < lastVersion || posting < lastPosting;
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
  constructor(
    private readonly pool: QueryPool,
    private readonly log: StreamReader,
  ) {}

  async execute({ ledger, accountId, at }: GetBalanceAt): Promise<Resource<BalanceAtAnswer>> {
    const [row] = await this.pool.rows<{ currency: string; overdraft: Overdraft; opened_at: Date; metadata: object }>(
      'ledger-account-at',
      `SELECT currency, overdraft, opened_at, metadata FROM ledger_accounts
       WHERE ledger = $1 AND account_id = $2 AND opened_at <= $3`,
      [ledger, accountId, at],
    );
    if (!row) throw accountNotFound(accountId);
    const { currency, overdraft, metadata } = row;
    const openedAt = row.opened_at.toISOString();
    const balance = await this.balanceAt(ledger, accountId, at);
    return { body: { accountId, ledger, currency, overdraft, balance, at, openedAt, metadata } };
  }

  private async balanceAt(ledger: string, accountId: string, at: string): Promise<string> {
    const stream = accountStream(ledger, accountId);
    let before = 1 + (await this.log.versionsBefore(ledger, stream, at, true));
    // Nearly always the very last event; behind it are more when money was only set aside since, or released.
    for (let limit = 1; before > 1; limit = eventsAtOnce) {
      const range = { before, limit };
      const { events } = await this.log.latest<AccountEvent | TransactionEvent>(ledgerAccounts.name, ledger, stream, range);
      if (events.length === 0) break;
      for (const event of events) {
        const [last] = entriesOf(accountId, event);
        if (last) return last.answer.balanceAfter;
      }
      before = events.at(-1)!.version;
    }
    return '0';
  }
}
