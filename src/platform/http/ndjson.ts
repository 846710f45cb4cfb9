import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { canonicalJson } from '../../shared/canonical-json.js';
import { parseJsonBody } from './body-parser.js';
import { RequestError, type Problem } from './problem.js';
import { errorsOf } from './validate.js';

const newline = 0x0a;
const maxErrors = 50;

/**
 * One JSON object per line, parsed and checked as the lines arrive. All lines are read before anything runs, so that
 * a bad one at the end changes nothing. The fingerprint is of the lines' content, for the Idempotency-Key.
 */
export async function readNdjson<Schema extends z.ZodType>(
  body: Readable,
  schema: Schema,
  limits: { readonly items: number; readonly bytes: number },
): Promise<{ items: z.output<Schema>[]; fingerprint: string }> {
  const items: z.output<Schema>[] = [];
  const errors: NonNullable<Problem['errors']>[number][] = [];
  const fingerprint = createHash('sha256');
  let lines = 0;
  const take = (line: Buffer): void => {
    lines++;
    if (line.length === 0 || line.toString('latin1').trim() === '') return;
    if (items.length >= limits.items) {
      throw failed([{ path: `/${lines - 1}`, message: `more than ${limits.items} items` }]);
    }
    const value = parseLine(line, lines);
    const result = schema.safeParse(value);
    if (result.success) items.push(result.data);
    else if (errors.length < maxErrors) errors.push(...errorsOf(result.error.issues, `/${lines - 1}`));
    fingerprint.update(canonicalJson(value)).update('\n');
  };
  let rest: Buffer = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.bytes) throw new RequestError('body-too-large', `more than ${limits.bytes} bytes`);
    let data: Buffer = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline)) {
      take(data.subarray(0, end));
      data = data.subarray(end + 1);
    }
    rest = data;
  }
  if (rest.length > 0) take(rest);
  if (errors.length > 0) throw failed(errors);
  if (items.length === 0) throw failed([{ path: '', message: 'there is no item' }]);
  return { items, fingerprint: fingerprint.digest('base64url') };
}

function parseLine(line: Buffer, number: number): unknown {
  try {
    return parseJsonBody(line, parseSafely);
  } catch (error) {
    if (error instanceof RequestError) throw new RequestError(error.code, `line ${number}: ${error.detail}`, error.errors);
    throw error;
  }
}

/** JSON.parse makes `__proto__` an own key; refused by name, like everywhere. */
function parseSafely(text: string): unknown {
  return JSON.parse(text, (key, value: unknown) => {
    if (key === '__proto__') throw new SyntaxError('Object contains forbidden prototype property');
    return value;
  });
}

function failed(errors: NonNullable<Problem['errors']>): RequestError {
  return new RequestError('validation-failed', 'the request does not match its schema', errors);
}
