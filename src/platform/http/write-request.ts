import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { canonicalJson } from '../../shared/canonical-json.js';
import { digest } from '../commands/command-ids.js';
import type { EventMetadata } from '../log/recorded-event.js';
import { RequestError } from './problem.js';

const maxWaitSeconds = 30;
const keyPattern = /^[\x21-\x7e]{1,255}$/;
const traceparentPattern = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;
/** Visible ASCII: request ids and actors. */
export const visiblePattern = /^[\x21-\x7e]{1,128}$/;

/** What a write needs of its request besides the validated input, and where its answer goes. */
export class WriteRequest {
  readonly idempotencyKey: string | undefined;
  readonly prefersAsync: boolean;
  /** Of `Prefer: wait=` (RFC 7240), for the writes that have something to wait for; 0 without it. */
  readonly waitSeconds: number;
  readonly metadata: Omit<EventMetadata, 'commandId'>;

  constructor(
    private readonly request: FastifyRequest,
    readonly reply: FastifyReply,
  ) {
    const { headers } = request;
    this.idempotencyKey = readKey(headers['idempotency-key']);
    const prefer = String(headers['prefer'] ?? '');
    this.prefersAsync = /(^|[,;]\s*)respond-async\s*($|[,;])/i.test(prefer);
    this.waitSeconds = Math.min(maxWaitSeconds, Number(/(?:^|[,;]\s*)wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer)?.[1] ?? 0));
    const { actor, traceparent, 'request-id': correlationId } = headers;
    this.metadata = {
      ...(typeof correlationId === 'string' && visiblePattern.test(correlationId) && { correlationId }),
      ...(typeof actor === 'string' && visiblePattern.test(actor) && { actor }),
      ...(typeof traceparent === 'string' && traceparentPattern.test(traceparent) && { traceparent }),
    };
  }

  /**
   * Of the Idempotency-Key: method and path, the same text for one resource however its address was escaped. No query: what
   * a request asks for is in its fingerprint, so that a key is met again and refused when that differs.
   */
  get scope(): string {
    const { method, routeOptions, params } = this.request;
    const path = routeOptions.url!.replaceAll(/:(\w+)/g, (_all, name: string) => escaped((params as Record<string, string>)[name]!));
    return `${method} ${path}`;
  }

  /**
   * Tells the same request from another one with the same key: a hash of the query and the body, whatever the order of
   * their keys. `body` is the hash of one that Fastify has not parsed.
   */
  fingerprint(body = digest(canonicalJson(this.request.body ?? null))): string {
    const query = canonicalJson(this.request.query);
    return query === '{}' ? body : digest(`${body}\n${query}`);
  }
}

/** A `/` in a part of a path must not make it look like another one's two parts. Ids have no character that this changes. */
function escaped(part: string): string {
  return encodeURIComponent(part.toWellFormed()).replaceAll('%3A', ':');
}

function readKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && keyPattern.test(header)) return header;
  throw new RequestError('validation-failed', 'a header does not match', [
    { path: 'Idempotency-Key', message: '1 to 255 visible ASCII characters' },
  ]);
}

/** The request of a write. */
export const Writing = createParamDecorator((_data: unknown, context: ExecutionContext) => {
  const http = context.switchToHttp();
  return new WriteRequest(http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
});
