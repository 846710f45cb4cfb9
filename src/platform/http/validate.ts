import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import type { z } from 'zod';
import { RequestError, type Problem } from './problem.js';

const maxErrors = 50;

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}

/**
 * The validation pipe of all routes. Nest's own would do, but it is asynchronous and strips keys that the body parser
 * has refused already: twice the time of the check itself.
 */
export const validationPipe: PipeTransform = {
  transform: (value: unknown, { schema }: ArgumentMetadata): unknown =>
    schema ? validate(schema as unknown as z.ZodType, value) : value,
};

/** The same check for a value that no pipe has seen. */
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
