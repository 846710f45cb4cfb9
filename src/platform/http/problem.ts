import { Injectable } from '@nestjs/common';

/** RFC 9457. `code` is ours: stable, kebab-case, listed in docs/errors.md. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly errors?: readonly { path: string; message: string }[];
}

/** What a code stands for, wherever it occurs. */
export type ProblemKinds = Readonly<Record<string, { readonly status: number; readonly title: string }>>;

/** The codes every route may answer with. */
export const platformProblems = {
  'malformed-json': { status: 400, title: 'The body is not JSON' },
  'validation-failed': { status: 400, title: 'The request does not match its schema' },
  'bad-consistency-token': { status: 400, title: 'The Consistency-Token is malformed' },
  'bad-cursor': { status: 400, title: 'The cursor is not one of this list' },
  'bad-request': { status: 400, title: 'The request is malformed' },
  'not-found': { status: 404, title: 'There is no such route' },
  'not-served-here': { status: 404, title: 'Processes of another role serve this route' },
  'command-not-found': { status: 404, title: 'There is no such command' },
  'method-not-allowed': { status: 405, title: 'The route does not take this method' },
  'not-failed': { status: 409, title: 'Only failed commands can be redriven' },
  'request-timeout': { status: 408, title: 'The request did not come to its end in time' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'uri-too-long': { status: 414, title: 'The address is too long' },
  'unsupported-media-type': { status: 415, title: 'The body is of a type the route does not take' },
  'idempotency-key-reused': { status: 422, title: 'The Idempotency-Key was used for a different request' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  'internal-error': { status: 500, title: 'Something went wrong on our side' },
  // Of the load balancer (docker/nginx.conf), which has them from here by way of a test.
  'bad-gateway': { status: 502, title: 'No node answered' },
  'gateway-timeout': { status: 504, title: 'No node answered in time' },
  overloaded: { status: 503, title: 'The node is overloaded' },
  'projection-behind': { status: 503, title: 'The view has not caught up' },
  'database-unavailable': { status: 503, title: 'The database can not be reached' },
  starting: { status: 503, title: 'The node is starting' },
  'shutting-down': { status: 503, title: 'The node is shutting down' },
} satisfies ProblemKinds;

/** All codes of the platform and the modules. */
@Injectable()
export class ProblemCatalogue {
  private readonly kinds = new Map(Object.entries<ProblemKinds[string]>(platformProblems));

  add(kinds: ProblemKinds): void {
    for (const [code, kind] of Object.entries(kinds)) this.kinds.set(code, kind);
  }

  get codes(): string[] {
    return [...this.kinds.keys()];
  }

  describe(code: string, detail: string, errors?: Problem['errors']): Problem {
    const kind = this.kinds.get(code);
    if (!kind) throw new Error(`the problem ${code} is in no catalogue`);
    const problem = { type: `/docs/errors#${code}`, title: kind.title, status: kind.status, detail, code };
    return errors ? { ...problem, errors } : problem;
  }

  statusOf(code: string): number {
    return this.kinds.get(code)?.status ?? 500;
  }
}

/** A step of a JSON Pointer (RFC 6901), which is what `path` is. */
export function pointer(key: PropertyKey): string {
  return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1').toWellFormed()}`;
}

/** The request is at fault. Thrown anywhere in the HTTP layer. */
export class RequestError extends Error {
  constructor(
    readonly code: keyof typeof platformProblems,
    readonly detail: string,
    readonly errors?: Problem['errors'],
  ) {
    super(detail);
  }
}
