import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { pointer, RequestError } from './problem.js';

const maxDepth = 64;

/**
 * Parses JSON bodies, refusing what Postgres or our own code could not carry unharmed: ill-formed UTF-8, lone
 * surrogates, NUL, `__proto__` and `constructor.prototype` keys, and nesting that would overflow a stack.
 */
export function parseJsonBody(body: Buffer, parse: (text: string) => unknown): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new RequestError('malformed-json', 'the body is not UTF-8');
  const text = body.toString('utf8');
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new RequestError('malformed-json', (error as Error).message);
  }
  checkValue(value, [], text.includes('\\u'));
  return value;
}

/**
 * Only an escape can smuggle NUL or half a surrogate pair into well-formed UTF-8 JSON: most bodies need no look. `path` is
 * where this is, and is put into words only when something is wrong: every key of every body comes by here.
 */
function checkValue(value: unknown, path: string[], mayHideCharacters: boolean): void {
  if (typeof value === 'string') {
    if (mayHideCharacters && isIllFormed(value)) throw wrongAt(path, 'NUL or ill-formed Unicode');
  } else if (typeof value === 'object' && value !== null) {
    if (path.length >= maxDepth) throw wrongAt(path, `nested more than ${maxDepth} levels deep`);
    for (const key of Object.keys(value)) {
      path.push(key);
      if (mayHideCharacters && isIllFormed(key)) throw wrongAt(path, 'NUL or ill-formed Unicode');
      checkValue((value as Record<string, unknown>)[key], path, mayHideCharacters);
      path.pop();
    }
  }
}

export function isIllFormed(text: string): boolean {
  return text.includes('\u0000') || !text.isWellFormed();
}

function wrongAt(path: readonly string[], message: string): RequestError {
  const error = { path: path.map(pointer).join('').replaceAll('\u0000', '\uFFFD'), message };
  return new RequestError('validation-failed', 'the body does not match', [error]);
}

export function registerBodyParsers(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  const secureParse = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      done(null, parseJsonBody(body as Buffer, (text) => parseSync(secureParse, request, text)));
    } catch (error) {
      done(error as Error);
    }
  });
  // Read by the route itself, line by line.
  fastify.addContentTypeParser('application/x-ndjson', (request, payload, done) => {
    if (request.routeOptions.url?.endsWith('/bulk')) done(null, payload);
    else done(new RequestError('unsupported-media-type', 'only bulk routes take application/x-ndjson'));
  });
}

type SecureParse = ReturnType<FastifyInstance['getDefaultJsonParser']>;

/** Fastify's parser refuses poisoned prototypes; it hands its result to a callback, at once. */
function parseSync(parse: SecureParse, request: Parameters<SecureParse>[0], text: string): unknown {
  let failure: Error | null = null;
  let value: unknown;
  void parse(request, text, (error, parsed) => {
    failure = error;
    value = parsed;
  });
  if (failure) throw failure;
  return value;
}
