import { createParamDecorator, Injectable, type ExecutionContext } from '@nestjs/common';
import { QueryBus, type Query } from '@nestjs/cqrs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { digest } from '../commands/command-ids.js';
import type { Projection } from '../consumers/projection.js';
import { Visibility } from '../consumers/visibility.js';
import { parseToken } from './consistency-token.js';
import type { Page } from './paging.js';
import { RequestError } from './problem.js';

const jsonType = 'application/json; charset=utf-8';

/** A single resource as a query answers with it: an object, or JSON that Postgres has written. */
export type Resource<Body extends object = object> = ({ readonly body: Body } | { readonly json: string }) & {
  /** Changes whenever the body does: the stream's version. Absent: the body itself is hashed. */
  readonly version?: number;
};

/** What a read needs of its request besides the validated parameters, and where its answer goes. */
export interface ReadRequest {
  readonly consistencyToken: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly reply: FastifyReply;
}

/** The request of a read. */
export const Reading = createParamDecorator((_data: unknown, context: ExecutionContext): ReadRequest => {
  const http = context.switchToHttp();
  const { headers } = http.getRequest<FastifyRequest>();
  return {
    consistencyToken: one(headers['consistency-token'], 'Consistency-Token'),
    ifNoneMatch: headers['if-none-match'],
    reply: http.getResponse<FastifyReply>(),
  };
});

function one(header: string | string[] | undefined, name: string): string | undefined {
  if (Array.isArray(header)) throw new RequestError('bad-consistency-token', `${name} is there more than once`);
  return header;
}

/**
 * From an HTTP request to a query and back to its answer, the same way for every read: wait until the views it reads
 * have passed the consistency token, run, answer; with an ETag for single resources.
 */
@Injectable()
export class QueryGateway {
  constructor(
    private readonly bus: QueryBus,
    private readonly visibility: Visibility,
    private readonly options: { readonly partitions: number; readonly consistencyWaitMs: number },
  ) {}

  /** One query's answer, or what `read` makes of several modules' answers. */
  async resource(
    views: readonly Projection[],
    query: Query<Resource> | (() => Promise<Resource>),
    request: ReadRequest,
  ): Promise<string | undefined> {
    if (request.consistencyToken !== undefined) await this.wait(views, request.consistencyToken);
    const read = typeof query === 'function' ? query() : this.bus.execute<Query<Resource>, Resource>(query);
    return answerResource(await read, request);
  }

  async page(views: readonly Projection[], query: Query<Page<object>>, request: ReadRequest): Promise<string | undefined> {
    if (request.consistencyToken !== undefined) await this.wait(views, request.consistencyToken);
    const page = await this.bus.execute<Query<Page<object>>, Page<object>>(query);
    void request.reply.header('content-type', jsonType);
    return JSON.stringify(page);
  }

  private async wait(views: readonly Projection[], consistencyToken: string): Promise<void> {
    const positions = parseToken(consistencyToken, this.options.partitions);
    const consumers = views.map((view) => view.name);
    await this.visibility.waitFor(consumers, positions, this.options.consistencyWaitMs);
  }
}

/** Sets ETag and status, and returns the body, or nothing when the client has it (304). */
export function answerResource(resource: Resource, { ifNoneMatch, reply }: ReadRequest): string | undefined {
  const { version } = resource;
  const text = 'json' in resource ? resource.json : JSON.stringify(resource.body);
  const etag = version === undefined ? `"${digest(text).slice(0, 22)}"` : `"${version}"`;
  void reply.header('etag', etag);
  if (matches(ifNoneMatch, etag)) return void reply.code(304);
  void reply.header('content-type', jsonType);
  return text;
}

/** RFC 9110, 13.1.2: weak comparison; `*` matches whatever is there. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === etag);
}
