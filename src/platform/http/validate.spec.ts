import 'reflect-metadata';
import { createParamDecorator } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { z } from 'zod';
import type { RequestError } from './problem.js';
import { timeSchema, currencySchema } from './schemas.js';
import { Validated, validate } from './validate.js';

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

describe('a route that takes no query', () => {
  /** With a parameter of a kind of our own, which Nest names at random. */
  function routeWithParameterNamed(name: RegExp) {
    for (;;) {
      class Routes {
        post(_own: unknown): string {
          return 'done';
        }
      }
      createParamDecorator(() => undefined)()(Routes.prototype, 'post', 0);
      if (!name.test(Object.keys(Reflect.getMetadata(ROUTE_ARGS_METADATA, Routes, 'post') as object)[0]!)) continue;
      const descriptor = Object.getOwnPropertyDescriptor(Routes.prototype, 'post')!;
      Validated(Routes.prototype, 'post', descriptor);
      return descriptor.value as (own: unknown, query: unknown) => string;
    }
  }

  it.each([['4 and a letter, as if it were a query', /^4[a-f]/], ['3 and a letter, as if it were a body', /^3[a-f]/], ['a letter', /^[a-f]/]])(
    'refuses one, also when the name of a parameter begins with %s',
    (_how, name) => {
      const post = routeWithParameterNamed(name);
      expect(post(undefined, {})).toBe('done');
      expect(() => post(undefined, { x: '1' })).toThrow('the request does not match its schema');
    },
  );
});
