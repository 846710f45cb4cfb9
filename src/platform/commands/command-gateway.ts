import { Injectable } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { faultPoint } from '../fault-points.js';
import { formatToken } from '../http/consistency-token.js';
import { ProblemCatalogue } from '../http/problem.js';
import { problemBody } from '../http/problem.filter.js';
import type { WriteRequest } from '../http/write-request.js';
import { LogWriter, keyReused, type Outcome } from '../log/writer.js';
import { WakeUps } from '../queue/wake-ups.js';
import { commandIdFor } from './command-ids.js';
import { Inbox } from './inbox.js';
import { CommandMetrics } from '../observability/metrics.js';
import type { LogCommand, LogCommandClass } from './log-command.js';

const jsonType = 'application/json; charset=utf-8';

/** An outcome, and another status to answer it with than 201, 200 or the refusal's own. */
export type Answered = Outcome & { readonly httpStatus?: number };

/**
 * From an HTTP request to a command and back to its answer, the same way for every write: idempotency, direct or
 * accepted (RFC 7240 `respond-async`), consistency token, refusal as problem.
 */
@Injectable()
export class CommandGateway {
  constructor(
    private readonly bus: CommandBus,
    private readonly writer: LogWriter,
    private readonly inbox: Inbox,
    private readonly wakeUps: WakeUps,
    private readonly problems: ProblemCatalogue,
    private readonly metrics: CommandMetrics,
  ) {}

  /**
   * Runs or accepts the command. Sets the answer's status and headers, and returns its body. `fingerprint` where the
   * body is not what Fastify parsed; `afterwards` where the answer is not the command's own outcome, but what comes of it;
   * `recordKey` where the body, and not the path, says of which partition the command is: what the partition of its record
   * follows from then, so that the same Idempotency-Key with another body is found out.
   */
  async run<Input extends object>(
    command: LogCommandClass<Input>,
    input: Input,
    request: WriteRequest,
    { fingerprint, afterwards, recordKey }: { fingerprint?: string; afterwards?(outcome: Outcome): Promise<Answered>; recordKey?: string } = {},
  ): Promise<string> {
    const partition = this.writer.partitionOf(recordKey ?? command.partitionKey(input));
    const commandId = commandIdFor(partition, request.scope, request.idempotencyKey);
    const isKept = request.prefersAsync || request.idempotencyKey !== undefined;
    const record = isKept ? { fingerprint: request.fingerprint(fingerprint) } : undefined;
    if (request.prefersAsync) {
      return this.accept(command.type, partition, commandId, input, request, record!.fingerprint);
    }
    const { metadata } = request;
    const outcome = await this.execute(new command(input, { commandId, metadata, record }), command.type);
    const answered = afterwards ? await afterwards(outcome) : outcome;
    faultPoint('http: before answer');
    return this.answer(answered, request);
  }

  private async execute(command: LogCommand<object>, type: string): Promise<Outcome> {
    const started = performance.now();
    let label = 'failed';
    try {
      const outcome = await this.bus.execute<Outcome>(command);
      label = outcome.replayed ? 'replayed' : outcome.status;
      return outcome;
    } finally {
      this.metrics.seconds.labels(type, label).observe((performance.now() - started) / 1_000);
    }
  }

  private async accept(
    type: string,
    partition: number,
    commandId: string,
    payload: object,
    { metadata, reply }: WriteRequest,
    fingerprint: string,
  ): Promise<string> {
    const command = { partition, commandId, type, payload, metadata, fingerprint };
    faultPoint('inbox: before accept');
    const { isNew, fingerprint: first } = await this.inbox.accept(command);
    faultPoint('inbox: after accept');
    if (first !== fingerprint) throw keyReused();
    if (isNew) this.wakeUps.wake('commands');
    else void reply.header('idempotency-replayed', 'true');
    void reply
      .code(202)
      .header('location', `/v1/commands/${encodeURIComponent(commandId)}`)
      .header('preference-applied', 'respond-async')
      .header('content-type', jsonType);
    return JSON.stringify({ commandId, status: 'accepted' });
  }

  private answer(outcome: Answered, { reply }: WriteRequest): string {
    void reply.header('consistency-token', formatToken([outcome, ...(outcome.also ?? [])]));
    if (outcome.replayed) void reply.header('idempotency-replayed', 'true');
    if (outcome.status === 'refused') {
      const { code, detail } = outcome.rejection;
      const problem = this.problems.describe(code, detail);
      return problemBody(reply, { ...problem, status: outcome.httpStatus ?? problem.status });
    }
    void reply.code(outcome.httpStatus ?? (outcome.created ? 201 : 200)).header('content-type', jsonType);
    return outcome.answer;
  }
}
