import { z } from 'zod';
import { idSchema, positiveAmountSchema } from '../../../src/platform/http/schemas.js';

/** The contract of the loyalty programme: what requests may say and what answers look like. */

export const customerParams = z.strictObject({ customerId: idSchema });

export const redeemPointsBody = z.strictObject({
  points: positiveAmountSchema.meta({ description: 'How many, as a decimal string.' }),
});

export const pointsAnswer = z.strictObject({
  customerId: z.string(),
  balance: z.string().meta({ pattern: '^(0|[1-9]\\d*)$', description: 'Points that are left, as a decimal string.' }),
  version: z.int(),
});
