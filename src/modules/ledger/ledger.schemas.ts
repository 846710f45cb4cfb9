import { z } from 'zod';
import {
  amountAnswerSchema,
  currencySchema,
  idSchema,
  longIdSchema,
  metadataSchema,
  nonNegativeAmountSchema,
  positiveAmountSchema,
  textSchema,
  timeAnswerSchema,
  timeSchema,
} from '../../platform/http/schemas.js';
import { cursorSchema, limitSchema, pageOf } from '../../platform/http/paging.js';

export { emptyBodySchema as emptyBody } from '../../platform/http/schemas.js';

/** The ledger's contract: what requests may say and what answers look like. */

// ---- Requests

export const ledgerParams = z.strictObject({ ledger: idSchema });
export const accountParams = z.strictObject({ ledger: idSchema, accountId: idSchema });
export const transactionParams = z.strictObject({ ledger: idSchema, transactionId: longIdSchema });

const overdraftSchema = z.union([
  z.enum(['none', 'unlimited']),
  z.strictObject({ limit: nonNegativeAmountSchema }),
]);

export const openAccountBody = z.strictObject({
  accountId: idSchema,
  currency: currencySchema,
  overdraft: overdraftSchema.default('none'),
  metadata: metadataSchema.optional(),
});

const referenceSchema = textSchema(256);

const postingSchema = z.strictObject({
  source: idSchema,
  destination: idSchema,
  amount: positiveAmountSchema,
});

const oneYearSeconds = 366 * 24 * 60 * 60;

export const postTransactionBody = z
  .strictObject({
    transactionId: idSchema.optional(),
    postings: z.array(postingSchema).min(1).max(100),
    pending: z.boolean().optional(),
    expiresInSeconds: z.int().min(1).max(oneYearSeconds).optional(),
    reference: referenceSchema.optional(),
    metadata: metadataSchema.optional(),
  })
  .refine((body) => body.expiresInSeconds === undefined || body.pending === true, {
    path: ['expiresInSeconds'],
    message: 'only a pending transaction expires',
  });

export const maxBulkItems = 10_000;

export const bulkBody = z.array(postTransactionBody).min(1).max(maxBulkItems);

export const bulkQuery = z.strictObject({
  atomic: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .meta({ type: 'boolean', default: false, description: 'All or none.' }),
});

export const captureBody = z.strictObject({ amount: positiveAmountSchema.optional() }).optional();
export const reverseBody = z
  .strictObject({
    transactionId: idSchema.optional(),
    reference: referenceSchema.optional(),
    metadata: metadataSchema.optional(),
  })
  .optional();

export const accountQuery = z.strictObject({ at: timeSchema.optional() });
export const accountsQuery = z.strictObject({
  limit: limitSchema,
  cursor: cursorSchema,
  currency: currencySchema.optional(),
  prefix: idSchema.optional(),
});
export const entriesQuery = z.strictObject({
  limit: limitSchema,
  cursor: cursorSchema,
  from: timeSchema.optional(),
  to: timeSchema.optional(),
});

// ---- Answers

export const accountAnswer = z.strictObject({
  accountId: z.string(),
  ledger: z.string(),
  currency: z.string(),
  overdraft: z.union([z.enum(['none', 'unlimited']), z.strictObject({ limit: amountAnswerSchema })]),
  balance: amountAnswerSchema,
  pendingIn: amountAnswerSchema,
  pendingOut: amountAnswerSchema,
  available: amountAnswerSchema,
  version: z.int(),
  openedAt: timeAnswerSchema,
  closedAt: timeAnswerSchema.optional(),
  metadata: z.record(z.string(), z.unknown()),
});

export const accountAtAnswer = accountAnswer
  .pick({ accountId: true, ledger: true, currency: true, overdraft: true, balance: true, openedAt: true, metadata: true })
  .extend({ at: timeAnswerSchema });

const statusSchema = z.enum(['pending', 'posted', 'voided', 'expired']);
const postingAnswer = z.strictObject({ source: z.string(), destination: z.string(), amount: amountAnswerSchema });

export const transactionAnswer = z.strictObject({
  transactionId: z.string(),
  status: statusSchema,
  postings: z.array(postingAnswer),
  balances: z.record(z.string(), z.strictObject({ balance: amountAnswerSchema, available: amountAnswerSchema })),
  recordedAt: timeAnswerSchema,
  expiresAt: timeAnswerSchema.optional(),
  reverses: z.string().optional(),
});

export const transactionView = z.strictObject({
  transactionId: z.string(),
  ledger: z.string(),
  status: statusSchema,
  postings: z.array(postingAnswer),
  reference: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  recordedAt: timeAnswerSchema,
  expiresAt: timeAnswerSchema.optional(),
  reverses: z.string().optional(),
  reversal: z.strictObject({ transactionId: z.string(), recordedAt: timeAnswerSchema }).nullable(),
});

export const bulkAnswer = z.strictObject({
  results: z.array(
    z.strictObject({
      transactionId: z.string(),
      status: z.enum(['pending', 'posted', 'voided', 'expired', 'refused']),
      code: z.string().optional(),
      detail: z.string().optional(),
    }),
  ),
});

export const accountsPage = pageOf(accountAnswer);
export const entriesPage = pageOf(
  z.strictObject({
    transactionId: z.string(),
    amount: amountAnswerSchema,
    balanceAfter: amountAnswerSchema,
    counterparty: z.string(),
    reference: z.string().nullable(),
    recordedAt: timeAnswerSchema,
  }),
);

export const trialBalanceAnswer = z.strictObject({
  ledger: z.string(),
  currencies: z.record(
    z.string(),
    z.strictObject({
      debits: amountAnswerSchema,
      credits: amountAnswerSchema,
      net: z.literal('0'),
      accounts: z.int(),
    }),
  ),
});
