import { z } from 'zod';
import { cursorSchema, limitSchema } from '../../platform/http/paging.js';
import { idSchema, longIdSchema, textSchema, timeAnswerSchema } from '../../platform/http/schemas.js';
import { maxExpirySeconds } from './domain/reservation.js';

/** The inventory's contract: what requests may say and what answers look like. */

// ---- Requests

export const stockParams = z.strictObject({ sku: idSchema });
export const reservationParams = z.strictObject({ sku: idSchema, reservationId: longIdSchema });

/** Of one request; what is on hand of a SKU may become more, up to 53 bits. */
const maxQuantity = 2 ** 31 - 1;
const quantitySchema = z.int().min(1).max(maxQuantity);

const locationSchema = idSchema
  .default('main')
  .meta({ description: 'Where it is: an id of your own. Stock is allocated from the location that received the SKU first.' });

export const receiveBody = z.strictObject({
  quantity: quantitySchema,
  location: locationSchema,
  reference: textSchema(256).optional(),
});

export const adjustBody = z.strictObject({
  delta: z
    .int()
    .min(-maxQuantity)
    .max(maxQuantity)
    .refine((delta) => delta !== 0, 'must not be 0')
    .meta({ description: 'How much more there is than was thought, or, when negative, how much less; not 0.' }),
  location: locationSchema,
  reason: textSchema(256),
});

const defaultExpirySeconds = 15 * 60;

export const reserveBody = z.strictObject({
  reservationId: idSchema.optional(),
  quantity: quantitySchema,
  expiresInSeconds: z
    .int()
    .min(1)
    .max(maxExpirySeconds)
    .default(defaultExpirySeconds)
    .meta({
      description:
        'How long the stock is kept: 15 minutes when left out, a day at most. The moment is rounded up to a whole second, beyond 15 minutes to a whole minute.',
    }),
});

export const emptyBody = z.strictObject({}).optional();

export const movementsQuery = z.strictObject({ limit: limitSchema, cursor: cursorSchema });

// ---- Answers

const levels = {
  onHand: z.int().meta({ description: 'What is there, reserved or not.' }),
  reserved: z.int().meta({ description: 'What open reservations hold. One that has expired holds nothing, from that moment on.' }),
  available: z.int().meta({ description: '`onHand` − `reserved`.' }),
};

export const stockAnswer = z.strictObject({
  sku: z.string(),
  ...levels,
  locations: z
    .array(z.strictObject({ location: z.string(), ...levels }))
    .meta({ description: 'In the order stock is allocated from them, which is that of their first receipts.' }),
});

export const stockView = stockAnswer.extend({
  version: z.int().meta({ description: 'Counts what was recorded of the SKU. The passing of a deadline is recorded a moment later.' }),
});

export const reservationAnswer = z.strictObject({
  reservationId: z.string(),
  sku: z.string(),
  quantity: z.int().meta({ description: '0 only when it was released before it was made, which it then never is.' }),
  status: z.enum(['reserved', 'committed', 'released', 'expired']),
  allocations: z.array(z.strictObject({ location: z.string(), quantity: z.int() })),
  expiresAt: timeAnswerSchema.optional(),
});

export const movementsPage = z.strictObject({
  items: z.array(
    z
      .strictObject({
        type: z.enum(['received', 'adjusted', 'reserved', 'released', 'committed', 'expired']),
        location: z.string(),
        quantity: z.int().meta({ description: 'Positive, but for an adjustment that took something away.' }),
        onHandAfter: z.int(),
        reservedAfter: z.int().meta({
          description: 'What counted when this was recorded: it falls when a reservation expires, and the movement that says so comes a moment later.',
        }),
        reservationId: z.string().nullable(),
        reference: z.string().nullable().meta({ description: 'Of a receipt.' }),
        reason: z.string().nullable().meta({ description: 'Of an adjustment.' }),
        recordedAt: timeAnswerSchema,
      })
      .meta({
        description:
          'What changed at one location. Received, adjusted and committed (shipped) change what is on hand; reserved, released, committed and expired change what is reserved.',
      }),
  ),
  nextCursor: z.string().nullable(),
});
