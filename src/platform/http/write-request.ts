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
  /** Of the Idempotency-Key: method and path. */
  readonly scope: string;
  readonly idempotencyKey: string | undefined;
  readonly prefersAsync: boolean;
  /** Of `Prefer: wait=` (RFC 7240), for the writes that have something to wait for; 0 without it. */
  readonly waitSeconds: number;
  readonly metadata: Omit<EventMetadata, 'commandId'>;

  constructor(
    private readonly request: FastifyRequest,
    readonly reply: FastifyReply,
  ) {
    const { headers, method, url } = request;
    this.scope = `${method} ${url}`;
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

  /** Tells the same request from another one with the same key: a hash of the body, whatever the order of its keys. */
  fingerprint(): string {
    return digest(canonicalJson(this.request.body ?? null));
  }
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
