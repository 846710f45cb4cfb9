import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage, Server } from 'node:http';
import type { Config } from '../../config.js';
import { AnswerCache } from '../cache/answer-cache.js';
import { UnavailableError } from '../errors.js';
import { Lifecycle } from '../lifecycle.js';
import { HttpMetrics } from '../observability/metrics.js';
import type { Logger } from '../observability/logger.js';
import { registerBodyParsers } from './body-parser.js';
import { answerClientError } from './client-errors.js';
import { EarlyAnswers, type Answered } from './early-answers.js';
import { RequestError } from './problem.js';
import { ProblemFilter } from './problem.filter.js';
import { RouteTable } from './route-table.js';
import { visiblePattern } from './write-request.js';

/** What an API that only ever answers JSON should say (OWASP REST security cheat sheet). */
const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export function createAdapter(config: Config, onFrameworkError: ProblemFilter['answer']): FastifyAdapter {
  return new FastifyAdapter({
    bodyLimit: config.bodyLimitBytes,
    // What is on the wire when the process stops is still answered; new connections are not taken.
    return503OnClosing: false,
    genReqId: requestIdOf,
    // There is no Express-style middleware here; looking for some costs every request 2 % of its time.
    skipMiddie: true,
    clientErrorHandler: answerClientError,
    routerOptions: { maxParamLength: 1_024 },
    // An address the router can not even read (a malformed escape, an over-long part) never gets to Nest.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      onFrameworkError(error, request, reply),
  } as object);
}

const prefix = Date.now().toString(36);
let requests = 0;

/** The client's own, or one that no other request of this process has. */
function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['request-id'];
  return typeof given === 'string' && visiblePattern.test(given) ? given : `${prefix}-${(++requests).toString(36)}`;
}

/** Hooks, parsers and filter: what every route has in common. Before `app.init()`. */
export function configureHttp(app: NestFastifyApplication, config: Config, logger: Logger): void {
  const fastify = app.getHttpAdapter().getInstance();
  const lifecycle = app.get(Lifecycle);
  const metrics = app.get(HttpMetrics);
  const filter = app.get(ProblemFilter);
  const server = fastify.server as unknown as Server;

  const answered: Answered = ({ id, method, url, route }, status, ms) => {
    metrics.observe(method, route, status, ms / 1_000);
    logger.info({ requestId: id, method, url, status, ms: Math.round(ms * 100) / 100 }, 'request');
  };

  app.get(RouteTable).watch(fastify as never);
  fastify.addHook('onRoute', (route) => {
    if (route.url.endsWith('/bulk')) route.bodyLimit = config.bulkBodyLimitBytes;
  });
  registerBodyParsers(fastify as never);
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers(request.url.startsWith('/docs') ? {} : securityHeaders).header('request-id', request.id);
    if (lifecycle.phase === 'stopping') void reply.header('connection', 'close');
    if (lifecycle.phase === 'starting' && request.url.startsWith('/v1/')) {
      return done(new UnavailableError('starting', 'the database is not ready yet') as never);
    }
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      return done(new RequestError('unsupported-media-type', 'send the body uncompressed') as never);
    }
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const { id, method, url } = request;
    answered({ id, method, url, route: request.routeOptions.url ?? 'none' }, reply.statusCode, reply.elapsedTime);
    done();
  });
  const cache = app.get<AnswerCache | undefined>(AnswerCache);
  if (cache) {
    new EarlyAnswers(cache, {
      partitions: config.partitions,
      headers: securityHeaders,
      requestIdOf,
      isReady: () => lifecycle.phase === 'ready',
      answered,
    }).standBefore(server);
  }
  // Node would refuse an expectation that it does not know, with an empty 417. It may be ignored (RFC 9110, 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  app.useGlobalFilters(filter);
}
