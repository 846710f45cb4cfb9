import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { QueryPool } from '../../../platform/database/query-pool.js';
import type { Resource } from '../../../platform/http/query-gateway.js';
import { Rejection } from '../../../platform/log/decision.js';
import { unknownEvent } from '../../../platform/log/stream.js';
import { StreamReader, type StreamEvent } from '../../../platform/log/stream-reader.js';
import {
  transactionStream,
  type Posting,
  type TransactionEvent,
  type TransactionStatus,
} from '../domain/transaction.js';
import { ledgerAccounts, transactionKey } from './accounts.js';

// ---- No table: a transaction is its stream, which is at most three events (authorised, captured, reversed), folded when
// ---- somebody asks. Hardly anybody asks for a posted one (ADR 0018).

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

// ---- Fold

function evolve(
  view: TransactionView | undefined,
  transactionId: string,
  event: StreamEvent<TransactionEvent>,
): TransactionView {
  const { recordedAt } = event;
  switch (event.type) {
    case 'ledger.transaction-posted.v1': {
      const { reverses } = event.data;
      // The event of a reversal belongs to what it reverses as well.
      if (reverses === transactionId) return { ...view!, reversal: { transactionId: event.data.transactionId, recordedAt } };
      return { ...made('posted', event.data, recordedAt), ...(reverses && { reverses }), reversal: null };
    }
    case 'ledger.transaction-authorised.v1': {
      const { expiresAt } = event.data;
      return { ...made('pending', event.data, recordedAt), ...(expiresAt && { expiresAt }), reversal: null };
    }
    case 'ledger.transaction-captured.v1':
      return { ...view!, status: 'posted', postings: event.data.postings.map(plain) };
    case 'ledger.transaction-released.v1':
      return { ...view!, status: event.data.reason };
    default:
      return unknownEvent(event);
  }
}

type Made = Extract<TransactionEvent, { type: 'ledger.transaction-posted.v1' | 'ledger.transaction-authorised.v1' }>;

function made(status: TransactionStatus, data: Made['data'], recordedAt: string) {
  const { ledger, transactionId, postings, reference = null, metadata = {} } = data;
  return { transactionId, ledger, status, postings: postings.map(plain), reference, metadata, recordedAt };
}

const plain = ({ source, destination, amount }: Posting): Posting => ({ source, destination, amount });

// ---- Query

export class GetTransaction extends Query<Resource<TransactionView>> {
  constructor(
    readonly ledger: string,
    readonly transactionId: string,
  ) {
    super();
  }
}

/** More than it ever has. */
const eventsOfOne = 100;

@QueryHandler(GetTransaction)
export class GetTransactionHandler implements IQueryHandler<GetTransaction> {
  constructor(
    private readonly pool: QueryPool,
    private readonly log: StreamReader,
  ) {}

  async execute({ ledger, transactionId }: GetTransaction): Promise<Resource<TransactionView>> {
    const stream = transactionStream(ledger, transactionId);
    const range = { limit: eventsOfOne };
    const { events, asOf } = await this.log.latest<TransactionEvent>(ledgerAccounts.name, ledger, stream, range);
    let view: TransactionView | undefined;
    for (const event of events.toReversed()) view = evolve(view, transactionId, event);
    if (!view) throw new Rejection('transaction-not-found', `there is no transaction ${transactionId} in this ledger`);
    const partition = this.pool.partitionOf(ledger);
    const source = { view: ledgerAccounts.name, partition, key: transactionKey(ledger, transactionId), asOf };
    return { version: events[0]!.version, body: view, sources: [source] };
  }
}
