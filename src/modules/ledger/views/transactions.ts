import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Rejection } from '../../../platform/log/decision.js';
import type { Projection } from '../../../platform/consumers/projection.js';
import { asOf } from '../../../platform/database/as-of.js';
import { arrayLiteral } from '../../../platform/database/array-literal.js';
import { QueryPool } from '../../../platform/database/query-pool.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../platform/log/recorded-event.js';
import type { LedgerEvent } from '../domain/events.js';
import type { Posting, TransactionStatus } from '../domain/transaction.js';

// ---- Table: one row per transaction

interface TransactionRow {
  transaction_id: string;
  ledger: string;
  status: TransactionStatus;
  postings: Posting[];
  reference: string | null;
  metadata: object;
  recorded_at: Date;
  expires_at: Date | null;
  reverses: string | null;
  reversed_by: string | null;
  reversed_at: Date | null;
  version: number;
  as_of: number;
}

// ---- Fold: new transactions, and what becomes of those of former batches

interface TransactionChange {
  readonly ledger: string;
  readonly transactionId: string;
  isNew?: boolean;
  status?: TransactionStatus;
  postings?: readonly Posting[];
  reference?: string;
  metadata?: object;
  recordedAt?: string;
  expiresAt?: string;
  reverses?: string;
  reversedBy?: string;
  reversedAt?: string;
  versions: number;
}

function changesOf(events: readonly RecordedEvent<LedgerEvent>[]): TransactionChange[] {
  const changes = new Map<string, TransactionChange>();
  const change = (ledger: string, transactionId: string, what: Partial<TransactionChange>): void => {
    const key = `${ledger}/${transactionId}`;
    const before = changes.get(key) ?? { ledger, transactionId, versions: 0 };
    changes.set(key, Object.assign(before, what, { versions: before.versions + 1 }));
  };
  for (const { type, data, recordedAt } of events) {
    switch (type) {
      case 'ledger.transaction-posted.v1':
      case 'ledger.transaction-authorised.v1': {
        const { ledger, transactionId, reference, metadata } = data;
        const status = type === 'ledger.transaction-posted.v1' ? 'posted' : 'pending';
        const expiresAt = 'expiresAt' in data ? data.expiresAt : undefined;
        const reverses = 'reverses' in data ? data.reverses : undefined;
        const postings = data.postings.map(plain);
        const row = { isNew: true, status, postings, reference, metadata, recordedAt, expiresAt, reverses } as const;
        change(ledger, transactionId, row);
        if (reverses) change(ledger, reverses, { reversedBy: transactionId, reversedAt: recordedAt });
        break;
      }
      case 'ledger.transaction-captured.v1':
        change(data.ledger, data.transactionId, { status: 'posted', postings: data.postings.map(plain) });
        break;
      case 'ledger.transaction-released.v1':
        change(data.ledger, data.transactionId, { status: data.reason });
        break;
      default:
        break;
    }
  }
  return [...changes.values()];
}

const plain = ({ source, destination, amount }: Posting): Posting => ({ source, destination, amount });

const resourceKey = (ledger: string, transactionId: string) => `${ledger}/${transactionId}`;

export const ledgerTransactions: Projection = {
  name: 'ledger-transactions',
  table: 'ledger_transactions',
  key: ['ledger', 'transaction_id'],

  changedKeys(event) {
    const { type, data } = event as RecordedEvent<LedgerEvent>;
    if (!type.startsWith('ledger.') || !('transactionId' in data)) return [];
    const own = resourceKey(data.ledger, data.transactionId);
    return 'reverses' in data && data.reverses ? [own, resourceKey(data.ledger, data.reverses)] : [own];
  },

  async project(events, sql, table) {
    const changes = changesOf(events as readonly RecordedEvent<LedgerEvent>[]);
    const made = changes.filter((change) => change.isNew);
    const changed = changes.filter((change) => !change.isNew);
    const statements: Promise<unknown>[] = [];
    if (made.length > 0) {
      statements.push(
        sql.query({
          name: `${table}-add`,
          text: `
INSERT INTO ${table} (ledger, transaction_id, status, postings, reference, metadata, recorded_at, expires_at, reverses,
  reversed_by, reversed_at, version)
SELECT r.ledger, r.id, r.status, r.postings, r.reference, r.metadata, r.recorded_at, r.expires_at, r.reverses,
  r.reversed_by, r.reversed_at, r.versions
FROM ROWS FROM (
  unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
    $8::timestamptz[], $9::integer[]),
  json_array_elements($10::json), json_array_elements_text($11::json), jsonb_array_elements($12::jsonb)
) AS r(ledger, id, status, recorded_at, expires_at, reverses, reversed_by, reversed_at, versions, postings, reference,
  metadata)`,
          values: [
            arrayLiteral(made.map((change) => change.ledger)),
            arrayLiteral(made.map((change) => change.transactionId)),
            arrayLiteral(made.map((change) => change.status)),
            arrayLiteral(made.map((change) => change.recordedAt)),
            arrayLiteral(made.map((change) => change.expiresAt)),
            arrayLiteral(made.map((change) => change.reverses)),
            arrayLiteral(made.map((change) => change.reversedBy)),
            arrayLiteral(made.map((change) => change.reversedAt)),
            arrayLiteral(made.map((change) => change.versions)),
            JSON.stringify(made.map((change) => change.postings)),
            JSON.stringify(made.map((change) => change.reference ?? null)),
            JSON.stringify(made.map((change) => change.metadata ?? {})),
          ],
        }),
      );
    }
    if (changed.length > 0) {
      statements.push(
        sql.query({
          name: `${table}-change`,
          text: `
UPDATE ${table} t SET status = coalesce(r.status, t.status), postings = coalesce(r.postings, t.postings),
  reversed_by = coalesce(r."reversedBy", t.reversed_by), reversed_at = coalesce(r."reversedAt", t.reversed_at),
  version = t.version + r.versions
FROM json_to_recordset($1::json) AS r(ledger text, "transactionId" text, status text, postings json,
  "reversedBy" text, "reversedAt" timestamptz, versions integer)
WHERE t.ledger = r.ledger AND t.transaction_id = r."transactionId"`,
          values: [JSON.stringify(changed)],
        }),
      );
    }
    await Promise.all(statements);
  },
};

// ---- Query

export interface TransactionView {
  readonly transactionId: string;
  readonly ledger: string;
  readonly status: TransactionStatus;
  readonly postings: readonly Posting[];
  readonly reference: string | null;
  readonly metadata: object;
  readonly recordedAt: string;
  readonly expiresAt?: string;
  /** The transaction that this one reverses. */
  readonly reverses?: string;
  /** The transaction that reverses this one. */
  readonly reversal: { readonly transactionId: string; readonly recordedAt: string } | null;
}

export class GetTransaction extends Query<Resource<TransactionView>> {
  constructor(
    readonly ledger: string,
    readonly transactionId: string,
  ) {
    super();
  }
}

@QueryHandler(GetTransaction)
export class GetTransactionHandler implements IQueryHandler<GetTransaction> {
  constructor(private readonly pool: QueryPool) {}

  async execute({ ledger, transactionId }: GetTransaction): Promise<Resource<TransactionView>> {
    const partition = this.pool.partitionOf(ledger);
    const [row] = await this.pool.rows<TransactionRow>(
      'ledger-transaction-get',
      `SELECT *, ${asOf(ledgerTransactions.name, '$3')} AS as_of
       FROM ledger_transactions WHERE ledger = $1 AND transaction_id = $2`,
      [ledger, transactionId, partition],
    );
    if (!row) throw new Rejection('transaction-not-found', `there is no transaction ${transactionId} in this ledger`);
    const source = { view: ledgerTransactions.name, partition, key: resourceKey(ledger, transactionId), asOf: row.as_of };
    return { version: row.version, body: answerOf(row), sources: [source] };
  }
}

function answerOf(row: TransactionRow): TransactionView {
  return {
    transactionId: row.transaction_id,
    ledger: row.ledger,
    status: row.status,
    postings: row.postings,
    reference: row.reference,
    metadata: row.metadata,
    recordedAt: row.recorded_at.toISOString(),
    ...(row.expires_at && { expiresAt: row.expires_at.toISOString() }),
    ...(row.reverses && { reverses: row.reverses }),
    reversal: row.reversed_by
      ? { transactionId: row.reversed_by, recordedAt: row.reversed_at!.toISOString() }
      : null,
  };
}
