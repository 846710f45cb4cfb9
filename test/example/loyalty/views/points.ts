import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Projection } from '../../../../src/platform/consumers/projection.js';
import { arrayLiteral } from '../../../../src/platform/database/array-literal.js';
import { batchLoader } from '../../../../src/platform/database/batch-loader.js';
import { QueryPool } from '../../../../src/platform/database/query-pool.js';
import type { Resource } from '../../../../src/platform/http/query-gateway.js';
import type { RecordedEvent } from '../../../../src/platform/log/recorded-event.js';
import type { LoyaltyEvent } from '../domain/points.js';

// ---- Table: one row per customer who has ever earned a point. A sum of 64-bit amounts leaves 64 bits: numeric.

// ---- Fold: what a batch adds to each customer's row

interface PointsChange {
  readonly customerId: string;
  points: bigint;
  versions: number;
}

function changesOf(events: readonly RecordedEvent<LoyaltyEvent>[]): PointsChange[] {
  const changes = new Map<string, PointsChange>();
  for (const { type, data } of events) {
    if (type !== 'loyalty.points-earned.v1' && type !== 'loyalty.points-redeemed.v1') continue;
    const { customerId } = data;
    let change = changes.get(customerId);
    if (!change) changes.set(customerId, (change = { customerId, points: 0n, versions: 0 }));
    change.points += type === 'loyalty.points-earned.v1' ? BigInt(data.points) : -BigInt(data.points);
    change.versions++;
  }
  return [...changes.values()];
}

export const loyaltyPoints: Projection = {
  name: 'loyalty-points',
  table: 'loyalty_points',
  key: ['customer_id'],

  project(events, table) {
    const changes = changesOf(events as readonly RecordedEvent<LoyaltyEvent>[]);
    if (changes.length === 0) return [];
    return [
      {
        name: `${table}-add`,
        text: `
INSERT INTO ${table} AS t (customer_id, balance, version)
SELECT * FROM unnest($1::text[], $2::numeric[], $3::integer[])
ON CONFLICT (customer_id) DO UPDATE SET balance = t.balance + excluded.balance, version = t.version + excluded.version`,
        values: [
          arrayLiteral(changes.map((change) => change.customerId)),
          arrayLiteral(changes.map((change) => change.points.toString())),
          arrayLiteral(changes.map((change) => change.versions)),
        ],
      },
    ];
  },
};

// ---- Queries

export class GetPoints extends Query<Resource> {
  constructor(readonly customerId: string) {
    super();
  }
}

interface FoundPoints {
  readonly version: number;
  readonly json: string;
}

@QueryHandler(GetPoints)
export class GetPointsHandler implements IQueryHandler<GetPoints> {
  private readonly points = batchLoader((customerIds: readonly string[]) => this.load(customerIds));

  constructor(private readonly pool: QueryPool) {}

  execute({ customerId }: GetPoints): Promise<Resource> {
    return this.points.load(customerId);
  }

  /** Whoever has earned nothing has no row, and 0 points. */
  private load(customerIds: readonly string[]): Promise<FoundPoints[]> {
    return this.pool.rows<FoundPoints>(
      'loyalty-points-get',
      `SELECT coalesce(p.version, 0) AS version, json_build_object('customerId', w.customer_id,
         'balance', coalesce(p.balance, 0)::text, 'version', coalesce(p.version, 0))::text AS json
       FROM unnest($1::text[]) WITH ORDINALITY AS w(customer_id, n)
       LEFT JOIN loyalty_points p ON p.customer_id = w.customer_id ORDER BY w.n`,
      [arrayLiteral(customerIds)],
    );
  }
}
