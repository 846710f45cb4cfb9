import { z } from 'zod';
import { cursorSchema, limitSchema, pageOf } from '../../platform/http/paging.js';
import {
  amountAnswerSchema,
  idSchema,
  metadataSchema,
  positiveAmountSchema,
  textSchema,
  timeAnswerSchema,
  timeSchema,
} from '../../platform/http/schemas.js';
import { orderStatuses } from './domain/order.js';

/** Ordering's contract: what requests may say and what answers look like. */

// ---- Requests

const maxQuantity = 1_000_000;
const quantitySchema = z.int().min(1).max(maxQuantity);

export const orderParams = z.strictObject({ orderId: idSchema });

export const placeOrderBody = z.strictObject({
  orderId: idSchema.optional(),
  customerId: idSchema,
  lines: z.array(z.strictObject({ sku: idSchema, quantity: quantitySchema })).min(1).max(100),
  payment: z.strictObject({ ledger: idSchema, account: idSchema }),
  autoFulfil: z.boolean().optional().meta({ description: 'Fulfil the order as soon as it is confirmed.' }),
  metadata: metadataSchema.optional(),
});

export const cancelBody = z.strictObject({ reason: textSchema(256).optional() }).optional();
export const refundBody = z
  .strictObject({
    lines: z
      .array(
        z.strictObject({
          sku: idSchema,
          quantity: quantitySchema,
          restock: z.boolean().default(false).meta({ description: 'Put the units back into stock, at `main`.' }),
        }),
      )
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'What comes back. Without an amount, what it cost is refunded.' }),
    amount: positiveAmountSchema.optional(),
  })
  .optional()
  .meta({ description: 'Without lines and amount, all that is left is refunded.' });

export const ordersQuery = z.strictObject({
  limit: limitSchema,
  cursor: cursorSchema,
  customerId: idSchema.optional(),
  status: z.enum(orderStatuses).optional(),
  placedFrom: timeSchema.optional(),
  placedTo: timeSchema.optional(),
});

// ---- Answers

const refusalAnswer = z.strictObject({ code: z.string(), detail: z.string() });
const statusAnswer = z.enum(orderStatuses);
const lineAnswer = z.strictObject({
  sku: z.string(),
  quantity: z.int(),
  unitPrice: amountAnswerSchema.optional().meta({ description: 'The catalogue\'s when the order was placed; absent when it had none.' }),
  total: amountAnswerSchema.optional(),
});
export const refundAnswer = z.strictObject({
  refundId: z.string(),
  amount: amountAnswerSchema,
  lines: z.array(z.strictObject({ sku: z.string(), quantity: z.int(), restock: z.boolean() })),
  status: z.enum(['requested', 'paid', 'refused']),
  refusal: refusalAnswer.optional(),
});

export const orderAnswer = z.strictObject({
  orderId: z.string(),
  customerId: z.string(),
  status: statusAnswer,
  lines: z.array(lineAnswer),
  total: amountAnswerSchema,
  currency: z.string().nullable(),
  payment: z.strictObject({ ledger: z.string(), account: z.string(), transactionId: z.string().optional() }),
  autoFulfil: z.boolean(),
  refusal: refusalAnswer.optional(),
  refunds: z.array(refundAnswer),
  history: z.array(z.strictObject({ status: statusAnswer, at: timeAnswerSchema })),
  placedAt: timeAnswerSchema,
  metadata: z.record(z.string(), z.unknown()),
});

export const ordersPage = pageOf(orderAnswer);
