import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { parseToken } from '../http/consistency-token.js';
import { endpoints, etagHeader, takesETag, takesKey, takesToken } from '../http/endpoint.js';
import { Cursor, cursorSchema, limitSchema, type Page } from '../http/paging.js';
import { ProblemCatalogue, RequestError, type Problem } from '../http/problem.js';
import { answerOf, Reading, send, type ReadRequest } from '../http/query-gateway.js';
import { emptyBodySchema, timeAnswerSchema, timeSchema } from '../http/schemas.js';
import { Writing, type WriteRequest } from '../http/write-request.js';
import { partitionOfCommandId } from '../log/partition.js';
import { LogWriter } from '../log/writer.js';
import { WakeUps } from '../queue/wake-ups.js';
import { Inbox, type CommandRow } from './inbox.js';

const { PlainEndpoint } = endpoints({});

const alwaysPossible = [
  'validation-failed',
  'bad-request',
  'not-served-here',
  'uri-too-long',
  'unsupported-media-type',
  'headers-too-large',
  'request-timeout',
  'internal-error',
  'database-unavailable',
  'starting',
];

const commandParams = z.strictObject({
  commandId: z.string().regex(/^[\x21-\x7e]{1,600}$/, '1 to 600 visible ASCII characters'),
});
const commandsQuery = z.strictObject({
  status: z.enum(['accepted', 'scheduled', 'failed']),
  limit: limitSchema,
  cursor: cursorSchema,
});

const commandAnswer = z.strictObject({
  commandId: z.string(),
  type: z.string(),
  status: z.enum(['accepted', 'scheduled', 'executed', 'refused', 'failed']),
  result: z.unknown().optional(),
  problem: z.record(z.string(), z.unknown()).optional(),
  /** Of a failed attempt. */
  error: z.string().optional(),
  attempts: z.int(),
  acceptedAt: timeAnswerSchema,
  dueAt: timeAnswerSchema.optional(),
  completedAt: timeAnswerSchema.optional(),
});
type CommandAnswer = z.output<typeof commandAnswer>;

const commandsPage = z.strictObject({ items: z.array(commandAnswer), nextCursor: z.string().nullable() });
const cursor = new Cursor('commands', z.tuple([timeSchema, z.string()]));

@ApiTags('Commands')
@Controller('v1/commands')
export class CommandsController {
  constructor(
    private readonly inbox: Inbox,
    private readonly writer: LogWriter,
    private readonly problems: ProblemCatalogue,
    private readonly wakeUps: WakeUps,
  ) {}

  @Get(':commandId')
  @PlainEndpoint({
    summary: 'A command: accepted, scheduled, executed, refused or failed',
    answers: { 200: commandAnswer },
    problems: [...alwaysPossible, 'bad-consistency-token', 'command-not-found'],
    headers: etagHeader,
  })
  @takesToken
  @takesETag
  @ApiResponse({ status: 304, description: 'As the client has it.', headers: etagHeader })
  async getCommand(
    @Param({ schema: commandParams }) { commandId }: z.output<typeof commandParams>,
    @Reading() request: ReadRequest,
  ): Promise<string | undefined> {
    this.check(request);
    const partition = this.partitionOf(commandId);
    const row = await this.inbox.find(partition, commandId);
    if (!row) throw notFound(commandId);
    return send(answerOf({ body: this.answerOf(row) }), request);
  }

  @Get()
  @PlainEndpoint({
    summary: 'Commands that are waiting or have failed, oldest first',
    answers: { 200: commandsPage },
    problems: [...alwaysPossible, 'bad-consistency-token', 'bad-cursor'],
  })
  @takesToken
  async listCommands(
    @Query({ schema: commandsQuery }) query: z.output<typeof commandsQuery>,
    @Reading() request: ReadRequest,
  ): Promise<Page<CommandAnswer>> {
    this.check(request);
    const { status, limit } = query;
    const [acceptedAt, commandId] = cursor.decode(query.cursor, status) ?? ['0001-01-01T00:00:00.000Z', ''];
    const rows = await this.inbox.list(status, { acceptedAt, commandId }, limit + 1);
    const keyOf = (row: CommandRow): [string, string] => [row.accepted_at.toISOString(), row.command_id];
    return cursor.page(rows, limit, status, keyOf, (row) => this.answerOf(row));
  }

  @Post(':commandId/redrive')
  @HttpCode(200)
  @PlainEndpoint({
    summary: 'Run a failed command again',
    description:
      'Makes a command that has used up its attempts wait to be run again, with all its attempts, and answers with it as it waits. It happens once, whoever asks how often: ' +
      'while it waits, and when it has run since, it is refused with `not-failed` and left alone. So a retry needs no `Idempotency-Key`; one is allowed, and nothing is kept for it.',
    answers: { 200: commandAnswer },
    problems: [...alwaysPossible, 'malformed-json', 'body-too-large', 'command-not-found', 'not-failed'],
  })
  @takesKey
  async redrive(
    @Param({ schema: commandParams }) { commandId }: z.output<typeof commandParams>,
    @Body({ schema: emptyBodySchema }) _body: z.output<typeof emptyBodySchema>,
    // Checks the headers that writes have.
    @Writing() _request: WriteRequest,
  ): Promise<CommandAnswer> {
    const partition = this.partitionOf(commandId);
    const redriven = await this.inbox.redrive(partition, commandId);
    if (redriven) {
      this.wakeUps.wake('commands');
      return this.answerOf(redriven);
    }
    const row = await this.inbox.find(partition, commandId);
    if (!row) throw notFound(commandId);
    throw new RequestError('not-failed', `command ${commandId} is ${row.status}`);
  }

  /** Commands are read from where they are written, so a token has nothing to wait for; a bad one is refused as anywhere. */
  private check({ consistencyToken }: ReadRequest): void {
    if (consistencyToken !== undefined) parseToken(consistencyToken, this.writer.partitions);
  }

  private partitionOf(commandId: string): number {
    const partition = partitionOfCommandId(commandId, this.writer.partitions);
    if (partition === undefined) throw notFound(commandId);
    return partition;
  }

  private answerOf(row: CommandRow): CommandAnswer {
    return {
      commandId: row.command_id,
      type: row.type,
      status: row.status,
      ...(row.status === 'executed' && { result: row.result }),
      ...(row.status === 'refused' && { problem: this.problemOf(row) }),
      ...(row.error !== null && { error: row.error }),
      attempts: row.attempts,
      acceptedAt: row.accepted_at.toISOString(),
      ...(row.status === 'scheduled' && row.due_at && { dueAt: row.due_at.toISOString() }),
      ...(row.completed_at && { completedAt: row.completed_at.toISOString() }),
    };
  }

  private problemOf({ result }: CommandRow): Problem & Record<string, unknown> {
    const { code, detail } = result as { code: string; detail: string };
    return { ...this.problems.describe(code, detail) };
  }
}

function notFound(commandId: string): RequestError {
  return new RequestError('command-not-found', `there is no command ${commandId}`);
}
