import { z } from 'zod';
import type { RequestError } from './problem.js';
import { timeSchema, currencySchema } from './schemas.js';
import { validate } from './validate.js';

function errorsIn(schema: z.ZodType, value: unknown): RequestError['errors'] {
  try {
    validate(schema, value);
  } catch (error) {
    return (error as RequestError).errors;
  }
  return [];
}

describe('what is wrong with a request', () => {
  const schema = z.strictObject({ lines: z.array(z.strictObject({ sku: z.string() })).optional(), at: timeSchema.optional() });

  it('is pointed at, unknown fields one by one', () => {
    expect(errorsIn(schema, { foo: 1, bar: 2, lines: [{ sku: 'a' }, { sku: 'b', baz: 3 }, { sku: 4 }] })).toEqual([
      { path: '/lines/1/baz', message: 'is unknown' },
      { path: '/lines/2/sku', message: expect.stringContaining('string') },
      { path: '/foo', message: 'is unknown' },
      { path: '/bar', message: 'is unknown' },
    ]);
  });

  it('is pointed at by JSON Pointers, whatever a field is called', () => {
    expect(errorsIn(schema, { 'a/b~c': 1, '': 2, '\ud800': 3 })?.map(({ path }) => path)).toEqual(['/a~1b~0c', '/', '/\ufffd']);
  });

  it('is said once', () => {
    expect(errorsIn(schema, { at: 'yesterday' })).toEqual([{ path: '/at', message: 'a time of RFC 3339, such as 2026-01-31T12:00:00.000Z' }]);
    expect(errorsIn(z.object({ currency: currencySchema }), { currency: 'eur' })).toEqual([{ path: '/currency', message: 'an ISO 4217 code' }]);
  });

  it('is said of 50 places at most', () => {
    const unknown = Object.fromEntries(Array.from({ length: 80 }, (_none, index) => [`field-${index}`, index]));
    expect(errorsIn(schema, unknown)).toHaveLength(50);
    expect(errorsIn(z.array(z.string()), Array.from({ length: 80 }, () => 1))).toHaveLength(50);
  });
});
