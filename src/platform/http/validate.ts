import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import type { z } from 'zod';
import { RequestError, type Problem } from './problem.js';

const maxErrors = 50;

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}

interface RouteArgument {
  readonly index: number;
  readonly schema?: z.ZodType;
}

/**
 * Checks a route's arguments that name a schema (`@Body({ schema })`), in their order, before its method runs. A global
 * pipe would do, and even the least one costs every argument four promises.
 */
export const Validated: MethodDecorator = (prototype, name, descriptor) => {
  const method = descriptor.value as (...values: unknown[]) => unknown;
  const metadata = Reflect.getMetadata(ROUTE_ARGS_METADATA, prototype.constructor, name) as object | undefined;
  const checked = (Object.values(metadata ?? {}) as RouteArgument[])
    .filter(({ schema }) => schema)
    .sort((a, b) => a.index - b.index);
  // Under the method's own name: what the other decorators say of it is kept with that.
  const named = {
    [String(name)](this: unknown, ...values: unknown[]) {
      for (const { index, schema } of checked) values[index] = validate(schema!, values[index]);
      return method.apply(this, values);
    },
  };
  descriptor.value = named[String(name)] as never;
};

/** The same check for a value that comes another way. */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw validationFailed(result.error.issues);
  return result.data;
}

function validationFailed(issues: readonly Issue[]): RequestError {
  return new RequestError('validation-failed', 'the request does not match its schema', errorsOf(issues));
}

/** Paths as JSON Pointers (RFC 6901). */
export function errorsOf(issues: readonly Issue[], prefix = ''): NonNullable<Problem['errors']> {
  return issues.slice(0, maxErrors).map(({ path = [], message }) => ({
    path: prefix + path.map((part) => `/${String(typeof part === 'object' ? part.key : part)}`).join('').toWellFormed(),
    message: message.toWellFormed(),
  }));
}
