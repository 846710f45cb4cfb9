import { Query } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { z } from 'zod';
import { pointer, RequestError, type Problem } from './problem.js';

const maxErrors = 50;

interface Issue {
  readonly code?: string;
  readonly message: string;
  /** Those that a strict object does not know. */
  readonly keys?: readonly string[];
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}

interface RouteArgument {
  readonly index: number;
  readonly schema?: z.ZodType;
}

const noQuery = z.strictObject({});

/**
 * Checks a route's arguments that name a schema (`@Body({ schema })`) before its method runs: those of the address first,
 * then the body, of which some have much to check. A global pipe would do, and even the least one costs every argument
 * four promises. A route without a `@Query` takes none: one that is sent all the same is refused like any unknown field,
 * for whoever sent it meant something by it.
 */
export const Validated: MethodDecorator = (prototype, name, descriptor) => {
  const method = descriptor.value as (...values: unknown[]) => unknown;
  const own = argumentsOf(prototype, name);
  // One argument more than the method has.
  const next = Math.max(-1, ...own.map(({ index }) => index)) + 1;
  if (!own.some(({ kind }) => kind === RouteParamtypes.QUERY)) Query({ schema: noQuery })(prototype, name, next);
  const checked = argumentsOf(prototype, name)
    .filter(({ schema }) => schema)
    .sort((a, b) => Number(a.kind === RouteParamtypes.BODY) - Number(b.kind === RouteParamtypes.BODY) || a.index - b.index);
  // Under the method's own name: what the other decorators say of it is kept with that.
  const named = {
    [String(name)](this: unknown, ...values: unknown[]) {
      for (const { index, schema } of checked) values[index] = validate(schema!, values[index]);
      return method.apply(this, values);
    },
  };
  const wrapped = named[String(name)]!;
  // What decorators below this one have said of the method.
  for (const key of Reflect.getMetadataKeys(method)) Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapped);
  descriptor.value = wrapped as never;
};

/**
 * As Nest keeps them: by `<kind>:<index>`, those of our own kinds with random digits and letters before the colon. Number,
 * for parseInt took one in 43 of these for a query, and then every write that has such an argument took any query.
 */
function argumentsOf(prototype: object, name: string | symbol): (RouteArgument & { readonly kind: RouteParamtypes })[] {
  const metadata = Reflect.getMetadata(ROUTE_ARGS_METADATA, prototype.constructor, name) as Record<string, RouteArgument> | undefined;
  return Object.entries(metadata ?? {}).map(([key, { index, schema }]) => ({ index, schema, kind: Number(key.split(':', 1)[0]) }));
}

/** The same check for a value that comes another way. */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw validationFailed(result.error.issues);
  return result.data;
}

function validationFailed(issues: readonly Issue[]): RequestError {
  return new RequestError('validation-failed', 'the request does not match its schema', errorsOf(issues));
}

/** Paths as JSON Pointers (RFC 6901). An unknown field is pointed at like any other; what two checks say alike is said once. */
export function errorsOf(issues: readonly Issue[], prefix = ''): NonNullable<Problem['errors']> {
  const errors = new Map<string, { path: string; message: string }>();
  for (const issue of issues) {
    for (const error of errorsOfIssue(issue, prefix)) errors.set(`${error.path}\n${error.message}`, error);
    if (errors.size >= maxErrors) break;
  }
  return [...errors.values()].slice(0, maxErrors);
}

function errorsOfIssue({ code, keys, path = [], message }: Issue, prefix: string): { path: string; message: string }[] {
  const at = prefix + path.map((part) => pointer(typeof part === 'object' ? part.key : part)).join('');
  if (code === 'unrecognized_keys' && keys) return keys.map((key) => ({ path: at + pointer(key), message: 'is unknown' }));
  return [{ path: at, message: message.toWellFormed() }];
}
