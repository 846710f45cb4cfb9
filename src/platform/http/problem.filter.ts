import { Catch, HttpException, ServiceUnavailableException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import { UnavailableError } from '../errors.js';
import { Rejection } from '../log/decision.js';
import { classify } from '../log/failures.js';
import type { Logger } from '../observability/logger.js';
import { ProblemCatalogue, RequestError, type Problem, type platformProblems } from './problem.js';
import type { RouteTable } from './route-table.js';

const retryAfterSeconds = '1';
/** How much of a body that is refused is read and thrown away before the answer. */
const unwantedBytesMax = 64 * 1_048_576;
const unwantedMsMax = 5_000;

/** What a node says that has not looked at the request, and will not. */
const declines: ReadonlySet<string> = new Set<PlatformCode>(['starting', 'shutting-down']);

/** Every failure that leaves the process, as a problem document. Never a stack trace. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    private readonly problems: ProblemCatalogue,
    private readonly routes: RouteTable,
    private readonly logger: Logger,
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  answer(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    // Only health checks throw it, and say in it which of them failed.
    if (thrown instanceof ServiceUnavailableException) {
      return void reply.code(503).header('retry-after', retryAfterSeconds).send(thrown.getResponse());
    }
    const error = isDatabaseAway(thrown)
      ? new UnavailableError('database-unavailable', 'the database can not be reached; it is unknown whether a write took effect', thrown)
      : thrown;
    const problem = this.problemOf(error, request, reply);
    if (problem.status >= 500 && !(error instanceof UnavailableError)) {
      this.logger.error({ err: error, requestId: request.id }, 'request failed');
    }
    // To nginx that says: ask another node (docker/nginx.conf). By the status alone it could not tell this from a view
    // that is behind, or from a node with too much to do, and would take those for broken nodes.
    if (declines.has(problem.code)) void reply.header('x-accel-redirect', '@elsewhere');
    const body = problemBody(reply, problem);
    if (request.raw.complete) void reply.send(body);
    else void isSent(request.raw).then(() => reply.send(body));
  }

  private problemOf(error: unknown, request: FastifyRequest, reply: FastifyReply): Problem {
    if (error instanceof Rejection || error instanceof UnavailableError) {
      return this.problems.describe(error.code, error.detail);
    }
    if (error instanceof RequestError) return this.problems.describe(error.code, error.detail, error.errors);
    const status = statusOf(error);
    if (status === 404) return this.noRoute(request, reply);
    const known = status === undefined ? undefined : byStatus[status];
    if (known) return this.problems.describe(known, detailOf(error, known));
    if (status !== undefined && status < 500) return this.problems.describe('bad-request', detailOf(error, 'bad-request'));
    return this.problems.describe('internal-error', `it is logged under request ${request.id}`);
  }

  private noRoute(request: FastifyRequest, reply: FastifyReply): Problem {
    const path = request.url.split('?', 1)[0]!;
    const role = this.routes.roleServing(request.method, path);
    if (role) {
      const detail = `${request.method} ${path} is served by processes with ROLE=${role} or all that serve HTTP`;
      return this.problems.describe('not-served-here', detail);
    }
    const methods = this.routes.methodsOf(path);
    if (methods.length === 0) return this.problems.describe('not-found', `there is no ${request.method} ${path}`);
    void reply.header('allow', methods.join(', '));
    return this.problems.describe('method-not-allowed', `${path} takes ${methods.join(', ')}`);
  }
}

/**
 * Resolves when the client has sent its request, or too much of it. What refuses a body closes the connection, and whoever
 * still writes then is told of a reset instead of the answer (RFC 9112, 9.6): a 413 that most clients never saw.
 */
function isSent(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const enough = setTimeout(resolve, unwantedMsMax);
    const done = () => (clearTimeout(enough), resolve());
    request.once('end', done).once('close', done).once('error', done);
    request.on('data', (chunk: Buffer) => {
      if ((bytes += chunk.length) > unwantedBytesMax) done();
    });
  });
}

function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error) || statusOf(error) !== undefined) return false;
  const kind = classify(error);
  return kind === 'unreachable' || kind === 'transient';
}

/** Sets status and headers, and returns the body. */
export function problemBody(reply: FastifyReply, problem: Problem): string {
  if (problem.status === 503) void reply.header('retry-after', retryAfterSeconds);
  void reply.code(problem.status).header('content-type', 'application/problem+json; charset=utf-8');
  return JSON.stringify(problem);
}

type PlatformCode = keyof typeof platformProblems;

const byStatus: Readonly<Record<number, PlatformCode>> = {
  413: 'body-too-large',
  414: 'uri-too-long',
  415: 'unsupported-media-type',
};

/** Fastify's errors carry `statusCode`, Nest's `getStatus()`. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

function detailOf(error: unknown, code: PlatformCode): string {
  if (code === 'unsupported-media-type') return 'send application/json, uncompressed';
  return error instanceof Error ? error.message : 'the request is malformed';
}
