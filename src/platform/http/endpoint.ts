import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { platformProblems, type ProblemKinds } from './problem.js';
import { Validated } from './validate.js';

export const problemSchema = (codes: readonly string[]) => ({
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', enum: [...codes] },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
  },
});

const header = (description: string, example: string) => ({ description, schema: { type: 'string', example } }) as const;

/** Headers of answers. */
const retryAfter = { 'Retry-After': header('Seconds.', '1') };
const writtenAt = { 'Consistency-Token': header('Where this is in the log; send it with a read to see it.', '7@1042') };
const replayed = { 'Idempotency-Replayed': header('`true` when this is the stored answer of an earlier request with the key.', 'true') };
export const etagHeader = { ETag: header('Changes whenever the answer does.', '"12"') };
const resourceHeaders = {
  'Consistency-Token': header('Where the answer is in the log; send it with a read to see nothing older.', '7@1042'),
  ...etagHeader,
};
const acceptedHeaders = {
  Location: header('Where to ask for its outcome.', '/v1/commands/7.0192f3'),
  'Preference-Applied': header('`respond-async` when the command is stored, to be run soon; `wait` when time was up.', 'respond-async'),
  ...replayed,
};
const waitedFor = { 'Preference-Applied': header('`wait` when the client said how long to wait.', 'wait') };

/** Headers of requests. */
export const takesKey = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Of one request and its retries: unique per method and path, whoever sends it.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
});
export const takesToken = ApiHeader({
  name: 'Consistency-Token',
  required: false,
  description: 'Of a write: the answer is no older than that.',
  schema: { type: 'string', example: '7@1042' },
});
export const takesETag = ApiHeader({ name: 'If-None-Match', required: false, description: 'ETags that the client has.', schema: { type: 'string' } });

const acceptedSchema = z.strictObject({ commandId: z.string(), status: z.literal('accepted') });

type Answers = Readonly<Record<number, z.ZodType>>;

interface EndpointDocs {
  readonly summary: string;
  readonly description?: string;
  readonly answers: Answers;
  /** Codes beyond those that every such route may answer with. */
  readonly problems?: readonly string[];
}

/** Decorators that check what comes to a module's routes, and document everything they may answer, beside them. */
export function endpoints(kinds: ProblemKinds) {
  const all: ProblemKinds = { ...platformProblems, ...kinds };
  const problemResponses = (codes: readonly string[], headersOf: (codes: readonly string[]) => object = () => ({})) => {
    const byStatus = new Map<number, string[]>();
    for (const code of new Set(codes)) {
      const { status } = all[code]!;
      byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
    }
    return [...byStatus].map(([status, group]) =>
      ApiResponse({
        status,
        description: group.map((code) => `\`${code}\`: ${all[code]!.title}.`).join(' '),
        headers: { ...headersOf(group), ...(status === 503 && retryAfter) },
        content: { 'application/problem+json': { schema: problemSchema(group) } },
      } as Parameters<typeof ApiResponse>[0]),
    );
  };
  const answerResponses = (answers: Answers, headers: object) =>
    Object.entries(answers).map(([status, schema]) =>
      ApiResponse({ status: Number(status), description: descriptions[status]!, headers, standardSchema: schema } as never),
    );

  return {
    /** A 202 among the answers is of a write that waits for what comes of it, as long as the client cares to. */
    WriteEndpoint: ({ summary, description, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        HttpCode(200),
        ApiOperation({ summary, description }),
        takesKey,
        ApiHeader({ name: 'Prefer', required: false, description: answers[202] ? `${prefersAsync} ${prefersToWait}` : prefersAsync, schema: { type: 'string' } }),
        ApiHeader({ name: 'Request-Id', required: false, description: 'Kept with the events as correlation id.', schema: { type: 'string' } }),
        ApiHeader({ name: 'Actor', required: false, description: 'On whose behalf, as the caller says; kept with the events, and no part of what an Idempotency-Key is unique for.', schema: { type: 'string' } }),
        ApiHeader({ name: 'traceparent', required: false, description: 'W3C Trace Context; kept with the events.', schema: { type: 'string' } }),
        ...answerResponses(withoutAccepted(answers), { ...writtenAt, ...replayed, ...(answers[202] && waitedFor) }),
        ApiResponse({
          status: 202,
          description: descriptions['202']!,
          headers: answers[202] ? { ...acceptedHeaders, ...writtenAt } : acceptedHeaders,
          standardSchema: answers[202] ? z.union([answers[202], acceptedSchema]) : acceptedSchema,
        } as never),
        // What the command itself refuses has its place in the log, and is kept for its key.
        ...problemResponses([...writeProblems, ...problems], (codes) =>
          codes.some((code) => problems.includes(code)) ? { ...writtenAt, ...replayed, ...(answers[202] && waitedFor) } : {},
        ),
      ),
    /** Of a single resource. */
    ReadEndpoint: ({ summary, description, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        ApiOperation({ summary, description }),
        takesToken,
        takesETag,
        ...answerResponses(answers, resourceHeaders),
        ApiResponse({ status: 304, description: descriptions['304']!, headers: resourceHeaders } as never),
        ...problemResponses([...readProblems, ...problems]),
      ),
    /** Of a page of a list. */
    ListEndpoint: ({ summary, description, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        ApiOperation({ summary, description }),
        takesToken,
        ...answerResponses(answers, {}),
        ...problemResponses([...readProblems, 'bad-cursor', ...problems]),
      ),
    /** Of a route that is neither: `headers` are those of its answers, and the problems are all that it may answer with. */
    PlainEndpoint: ({ summary, description, answers, problems = [], headers = {} }: EndpointDocs & { readonly headers?: object }) =>
      applyDecorators(
        Validated,
        ApiOperation({ summary, description }),
        ...answerResponses(answers, headers),
        ...problemResponses(problems),
      ),
    /** Of a route for tools, which may ask as they like: text, or JSON that is described here and not checked. */
    ToolEndpoint: ({ summary, description, content, unavailable }: ToolDocs) =>
      applyDecorators(
        ApiOperation({ summary, description }),
        ApiResponse({ status: 200, description: descriptions['200']!, content } as never),
        ...(unavailable ? [ApiResponse({ status: 503, description: unavailable, headers: retryAfter, content } as never)] : []),
        ...problemResponses(toolProblems),
      ),
  };
}

interface ToolDocs {
  readonly summary: string;
  readonly description?: string;
  readonly content: Readonly<Record<string, { readonly schema: object }>>;
  /** When it answers with 503. */
  readonly unavailable?: string;
}

const prefersAsync = '`respond-async` stores the command and answers 202.';
const prefersToWait =
  '`wait=<seconds>`, up to 30, waits so long for what comes of it, and answers 202 when that takes longer. With both, it is `respond-async` that counts.';

/** A write that is done later may say 202 of its own accord, beside what `respond-async` is answered with. */
function withoutAccepted({ 202: _accepted, ...answers }: Answers): Answers {
  return answers;
}

export const toolProblems = ['bad-request', 'uri-too-long', 'unsupported-media-type', 'headers-too-large', 'request-timeout', 'internal-error'] as const;
const writeProblems = [
  'malformed-json',
  'validation-failed',
  'bad-request',
  'not-served-here',
  'body-too-large',
  'uri-too-long',
  'unsupported-media-type',
  'idempotency-key-reused',
  'headers-too-large',
  'request-timeout',
  'internal-error',
  'overloaded',
  'database-unavailable',
  'starting',
  'shutting-down',
];
const readProblems = [
  'validation-failed',
  'bad-consistency-token',
  'bad-request',
  'not-served-here',
  'uri-too-long',
  'unsupported-media-type',
  'headers-too-large',
  'request-timeout',
  'internal-error',
  'projection-behind',
  'database-unavailable',
  'starting',
];

const descriptions: Readonly<Record<string, string>> = {
  200: 'Done, or as asked for.',
  201: 'Made.',
  202: 'Accepted: stored, and run soon.',
  304: 'As the client has it.',
};
