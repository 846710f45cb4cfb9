import { applyDecorators, HttpCode } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { platformProblems, type ProblemKinds } from './problem.js';
import { Validated } from './validate.js';

const problemSchema = (codes: readonly string[]) => ({
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

const tokenHeader = header('Where this is in the log; send it with a read to see it.', '7@1042');
const writeHeaders = {
  'Consistency-Token': tokenHeader,
  'Idempotency-Replayed': header('`true` when this is the stored answer of an earlier request with the key.', 'true'),
};
const retryAfterHeaders = { 'Retry-After': header('Seconds.', '1') };

const acceptedSchema = z.strictObject({ commandId: z.string(), status: z.literal('accepted') });

type Answers = Readonly<Record<number, z.ZodType>>;

interface EndpointDocs {
  readonly summary: string;
  readonly answers: Answers;
  /** Codes beyond those that every such route may answer with. */
  readonly problems?: readonly string[];
}

/** Decorators that check what comes to a module's routes, and document everything they may answer, beside them. */
export function endpoints(kinds: ProblemKinds) {
  const all: ProblemKinds = { ...platformProblems, ...kinds };
  const problemResponses = (codes: readonly string[]) => {
    const byStatus = new Map<number, string[]>();
    for (const code of codes) {
      const { status } = all[code]!;
      byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
    }
    return [...byStatus].map(([status, group]) =>
      ApiResponse({
        status,
        description: group.map((code) => `\`${code}\`: ${all[code]!.title}.`).join(' '),
        headers: status === 503 ? retryAfterHeaders : {},
        content: { 'application/problem+json': { schema: problemSchema(group) } },
      } as Parameters<typeof ApiResponse>[0]),
    );
  };
  const answerResponses = (answers: Answers, headers: object) =>
    Object.entries(answers).map(([status, schema]) =>
      ApiResponse({ status: Number(status), description: descriptions[status]!, headers, standardSchema: schema } as never),
    );

  return {
    WriteEndpoint: ({ summary, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        HttpCode(200),
        ApiOperation({ summary }),
        ApiHeader({ name: 'Idempotency-Key', required: false, schema: { type: 'string', minLength: 1, maxLength: 255 } }),
        ApiHeader({ name: 'Prefer', required: false, description: '`respond-async` stores the command and answers 202.', schema: { type: 'string' } }),
        ApiHeader({ name: 'Request-Id', required: false, description: 'Kept with the events as correlation id.', schema: { type: 'string' } }),
        ApiHeader({ name: 'Actor', required: false, description: 'On whose behalf, as the caller says; kept with the events.', schema: { type: 'string' } }),
        ApiHeader({ name: 'traceparent', required: false, description: 'W3C Trace Context; kept with the events.', schema: { type: 'string' } }),
        ...answerResponses(withoutAccepted(answers), writeHeaders),
        ApiResponse({
          status: 202,
          description: descriptions['202']!,
          headers: { Location: header('Where to ask for its outcome.', '/v1/commands/7.0192f3') , 'Idempotency-Replayed': writeHeaders['Idempotency-Replayed'] },
          standardSchema: answers[202] ? z.union([answers[202], acceptedSchema]) : acceptedSchema,
        } as never),
        ...problemResponses([...writeProblems, ...problems]),
      ),
    ReadEndpoint: ({ summary, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        ApiOperation({ summary }),
        ApiHeader({ name: 'Consistency-Token', required: false, description: 'Of a write: the answer is no older than that.', schema: { type: 'string', example: '7@1042' } }),
        ApiHeader({ name: 'If-None-Match', required: false, schema: { type: 'string' } }),
        ...answerResponses(answers, { 'Consistency-Token': header('Where the answer is in the log; send it with a read to see nothing older. Single resources only.', '7@1042'), ETag: header('Changes whenever the answer does. Single resources only.', '"12"') }),
        ApiResponse({ status: 304, description: descriptions['304']! }),
        ...problemResponses([...readProblems, ...problems]),
      ),
    PlainEndpoint: ({ summary, answers, problems = [] }: EndpointDocs) =>
      applyDecorators(
        Validated,
        ApiOperation({ summary }),
        ...answerResponses(answers, {}),
        ...problemResponses(problems),
      ),
  };
}

/** A write that is done later may say 202 of its own accord, beside what `respond-async` is answered with. */
function withoutAccepted({ 202: _accepted, ...answers }: Answers): Answers {
  return answers;
}

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
