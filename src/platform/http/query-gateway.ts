import { createParamDecorator, Injectable, type ExecutionContext } from '@nestjs/common';
import { QueryBus, type Query } from '@nestjs/cqrs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AnswerCache, type Answer } from '../cache/answer-cache.js';
import type { Source } from '../cache/change-feed.js';

import { digest } from '../commands/command-ids.js';
import type { Projection } from '../consumers/projection.js';
import { Visibility, type LogPosition } from '../consumers/visibility.js';
import { formatToken, parseToken } from './consistency-token.js';
import type { Page, PageText } from './paging.js';
import { RequestError } from './problem.js';

export const jsonType = 'application/json; charset=utf-8';

export type { Source } from '../cache/change-feed.js';

/** A single resource as a query answers with it: an object, or JSON that Postgres has written. */
export type Resource<Body extends object = object> = ({ readonly body: Body } | { readonly json: string }) & {
  /** Changes whenever the body does: the stream's version. Absent: the body itself is hashed. */
  readonly version?: number;
  /** What it was read from. Of views that name what changes in them (`changedKeys`), for it is cached then. */
  readonly sources?: readonly Source[];
  /** How long it stays so if no event changes it. Absent: for ever. */
  readonly validForMs?: number;
};

/** What a read needs of its request besides the validated parameters, and where its answer goes. */
export interface ReadRequest {
  readonly consistencyToken: string | undefined;
  readonly ifNoneMatch: string | undefined;
  /** The path as the cache knows it; undefined when there is a query, which many answers differ by. */
  readonly url: string | undefined;
  /** The route's pattern. */
  readonly route: string;
  readonly reply: FastifyReply;
}

/** The request of a read. */
export const Reading = createParamDecorator((_data: unknown, context: ExecutionContext): ReadRequest => {
  const http = context.switchToHttp();
  const { headers, url, routeOptions } = http.getRequest<FastifyRequest>();
  return {
    consistencyToken: one(headers['consistency-token'], 'Consistency-Token'),
    ifNoneMatch: headers['if-none-match'],
    // No id needs an escape; some clients escape colons all the same. By now it is known to be well-formed.
    url: /[?#]/.test(url) ? undefined : decodeURIComponent(url),
    route: routeOptions.url!,
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
    private readonly cache: AnswerCache | undefined,
    private readonly options: { readonly partitions: number; readonly consistencyWaitMs: number },
  ) {}

  /** One query's answer, or what `read` makes of several modules' answers. Cached where the views allow it. */
  async resource(
    views: readonly Projection[],
    query: Query<Resource> | (() => Promise<Resource>),
    request: ReadRequest,
  ): Promise<string | undefined> {
    const positions = this.positionsOf(request);
    const { url, route } = request;
    const cache = url !== undefined && views.every((view) => view.changedKeys) ? this.cache : undefined;
    const held = cache?.recall(url!, positions, views);
    if (held) return send(held, request);
    // Before the load begins, not within it: whoever has no token may join a load, and must not wait for another's token.
    await this.wait(views, positions);
    const read = async () => answerOf(await (typeof query === 'function' ? query() : this.bus.execute<Query<Resource>, Resource>(query)));
    if (!cache) return send(await read(), request);
    const load = async (): Promise<Answer> => {
      const answer = await read();
      const isWhole = views.every(({ name }) => answer.sources.some(({ view }) => view === name));
      if (!isWhole) throw new Error(`${route} does not say what it has from each of its views`);
      return answer;
    };
    return send(await cache.find({ url: url!, route, views, positions, load }), request);
  }

  async page(views: readonly Projection[], query: Query<Page<object> | PageText>, request: ReadRequest): Promise<string | undefined> {
    await this.wait(views, this.positionsOf(request));
    const page = await this.bus.execute<typeof query, Page<object> | PageText>(query);
    void request.reply.header('content-type', jsonType);
    return 'json' in page ? page.json : JSON.stringify(page);
  }

  private positionsOf({ consistencyToken }: ReadRequest): readonly LogPosition[] {
    return consistencyToken === undefined ? [] : parseToken(consistencyToken, this.options.partitions);
  }

  private async wait(views: readonly Projection[], positions: readonly LogPosition[]): Promise<void> {
    if (positions.length === 0) return;
    const consumers = views.map((view) => view.name);
    await this.visibility.waitFor(consumers, positions, this.options.consistencyWaitMs);
  }
}

export function answerOf(resource: Resource): Answer {
  const { version, sources = [], validForMs } = resource;
  const text = 'json' in resource ? resource.json : JSON.stringify(resource.body);
  const etag = version === undefined ? `"${digest(text).slice(0, 22)}"` : `"${version}"`;
  return { text, etag, sources, validForMs };
}

/** Sets headers and status, and returns the body, or nothing when the client has it (304). */
export function send(answer: Answer, { ifNoneMatch, reply }: ReadRequest): string | undefined {
  const { text, etag, sources } = answer;
  if (sources.length > 0) void reply.header('consistency-token', tokenOf(sources));
  void reply.header('etag', etag);
  if (matches(ifNoneMatch, etag)) return void reply.code(304);
  void reply.header('content-type', jsonType);
  return text;
}

/** Where an answer is in the log: a read that brings it, on whatever node, is not answered with anything older. */
export function tokenOf(sources: readonly Source[]): string {
  const last = new Map<number, number>();
  for (const { partition, asOf } of sources) last.set(partition, Math.max(last.get(partition) ?? 0, asOf));
  return formatToken([...last].map(([partition, position]) => ({ partition, position })));
}

/** RFC 9110, 13.1.2: weak comparison; `*` matches whatever is there. */
export function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === etag);
}
