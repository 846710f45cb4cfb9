import { z } from 'zod';
import { isInRange, maxAmount } from '../../shared/amount.js';
import { currencies } from '../../shared/currencies.js';
import { isIllFormed } from './body-parser.js';

/** Value types of the contract (docs: the common rules). Every object of a body is strict: unknown fields are refused. */

const idUpTo = (length: number, remark = '') =>
  z
    .string()
    .regex(new RegExp(`^[A-Za-z0-9._:-]{1,${length}}$`), `1 to ${length} of A-Z a-z 0-9 . _ : -`)
    .meta({ description: `1 to ${length} of \`A-Z a-z 0-9 . _ : -\`.${remark}` });

export const idSchema = idUpTo(128);

/** Of what is there: Rialto's own modules make longer names of the ids they are given, `refund:<orderId>:<refundId>` the longest. */
export const longIdSchema = idUpTo(172, ' An id of yours has up to 128; one that was made of it may have more.');

export const textSchema = (maxLength: number, minLength = 1) =>
  z.string().min(minLength).max(maxLength).refine((text) => !isIllFormed(text), 'NUL or ill-formed Unicode');

const amountText = /^-?(0|[1-9]\d{0,18})$/;

/** Any amount of the range; comes out as a decimal string. */
export const amountSchema = z
  .union([z.string(), z.number()])
  .transform((value, context) => {
    const text = typeof value === 'string' ? value : Number.isSafeInteger(value) ? String(value) : '';
    if (amountText.test(text) && text !== '-0' && isInRange(BigInt(text))) return text;
    context.addIssue({ code: 'custom', message: 'an integer in minor units as a decimal string, within 64 bits' });
    return z.NEVER;
  });

export const positiveAmountSchema = amountSchema
  .refine((text) => !text.startsWith('-') && text !== '0', 'must be more than 0')
  .meta({
    description: 'An integer in the currency\'s minor unit, as a decimal string ("1050" is 10.50 EUR).',
    oneOf: [
      { type: 'string', pattern: '^[1-9]\\d{0,18}$' },
      { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    ],
  });

export const nonNegativeAmountSchema = amountSchema
  .refine((text) => !text.startsWith('-'), 'must not be negative')
  .meta({
    description: 'An integer in the currency\'s minor unit, as a decimal string.',
    oneOf: [
      { type: 'string', pattern: '^(0|[1-9]\\d{0,18})$' },
      { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    ],
  });

/** An amount in an answer. */
export const amountAnswerSchema = z
  .string()
  .meta({ pattern: '^-?(0|[1-9]\\d{0,18})$', description: `In minor units; within ±${maxAmount}.` });

export const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, 'an ISO 4217 code')
  .refine((code) => currencies.has(code), 'an ISO 4217 code')
  .meta({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code.' });

/** RFC 3339 with any offset; comes out as UTC with milliseconds. */
export const timeSchema = z.iso
  .datetime({ offset: true, error: 'a time of RFC 3339, such as 2026-01-31T12:00:00.000Z' })
  .refine(isStorable, 'a time of RFC 3339, such as 2026-01-31T12:00:00.000Z')
  .transform((text) => new Date(text).toISOString())
  .meta({ type: 'string', format: 'date-time' });

/** Postgres has no year 0, and does not read the years after 9999 as JavaScript writes them. */
function isStorable(text: string): boolean {
  const year = new Date(text).getUTCFullYear();
  return year >= 1 && year <= 9_999;
}

export const timeAnswerSchema = z.string().meta({ format: 'date-time' });

/** Free JSON of the client's. Numbers that a JSON parser rounds would come back changed, so they are refused. */
export const freeJsonSchema = (maxBytes: number) =>
  z
    .record(z.string(), z.unknown())
    .superRefine((json, context) => {
      if (Buffer.byteLength(JSON.stringify(json)) > maxBytes) {
        context.addIssue({ code: 'custom', message: `more than ${maxBytes} bytes` });
      } else if (hasUnsafeNumber(json)) {
        context.addIssue({ code: 'custom', message: 'a number that can not be kept exactly; send it as a string' });
      }
    })
    .meta({ type: 'object', additionalProperties: true, description: `JSON of your own, up to ${maxBytes} bytes.` });

export const metadataSchema = freeJsonSchema(16_384);

/** Of writes that need nothing but their address. */
export const emptyBodySchema = z.strictObject({}).optional();

function hasUnsafeNumber(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value));
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnsafeNumber);
}
