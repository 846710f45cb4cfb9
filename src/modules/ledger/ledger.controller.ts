import { Body, Controller, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import type { z } from 'zod';
import { CommandGateway } from '../../platform/commands/command-gateway.js';
import { endpoints } from '../../platform/http/endpoint.js';
import { readNdjson } from '../../platform/http/ndjson.js';
import { jsonSchemaOf } from '../../platform/http/openapi.js';
import { validate } from '../../platform/http/validate.js';
import { Writing, type WriteRequest } from '../../platform/http/write-request.js';
import { newId } from '../../shared/ids.js';
import { CaptureTransaction } from './commands/capture-transaction.js';
import { CloseAccount } from './commands/close-account.js';
import { OpenAccount } from './commands/open-account.js';
import { PostTransaction } from './commands/post-transaction.js';
import { PostTransactions } from './commands/post-transactions.js';
import { ReverseTransaction } from './commands/reverse-transaction.js';
import { VoidTransaction } from './commands/void-transaction.js';
import { ledgerProblems } from './domain/problems.js';
import type { PostTransactionInput } from './domain/transaction.js';
import * as schemas from './ledger.schemas.js';

const { WriteEndpoint } = endpoints(ledgerProblems);

const postingProblems = [
  'transaction-exists',
  'account-not-found',
  'account-closed',
  'currency-mismatch',
  'same-account',
  'amount-out-of-range',
  'insufficient-funds',
] as const;

type PostTransactionBody = z.output<typeof schemas.postTransactionBody>;

@ApiTags('Ledger')
@Controller('v1/ledgers/:ledger')
export class LedgerController {
  constructor(private readonly commands: CommandGateway) {}

  @Post('accounts')
  @WriteEndpoint({
    summary: 'Open an account',
    answers: { 201: schemas.accountAnswer, 200: schemas.accountAnswer },
    problems: ['account-exists'],
  })
  openAccount(
    @Param({ schema: schemas.ledgerParams }) { ledger }: z.output<typeof schemas.ledgerParams>,
    @Body({ schema: schemas.openAccountBody }) body: z.output<typeof schemas.openAccountBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(OpenAccount, { ledger, ...body }, request);
  }

  @Post('accounts/:accountId/close')
  @WriteEndpoint({
    summary: 'Close an account that has a balance of 0 and nothing pending',
    answers: { 200: schemas.accountAnswer },
    problems: ['account-not-found', 'account-not-empty'],
  })
  closeAccount(
    @Param({ schema: schemas.accountParams }) params: z.output<typeof schemas.accountParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(CloseAccount, params, request);
  }

  @Post('transactions')
  @WriteEndpoint({
    summary: 'Move money, now or as a pending transaction; all postings or none',
    answers: { 201: schemas.transactionAnswer, 200: schemas.transactionAnswer },
    problems: postingProblems,
  })
  postTransaction(
    @Param({ schema: schemas.ledgerParams }) { ledger }: z.output<typeof schemas.ledgerParams>,
    @Body({ schema: schemas.postTransactionBody }) body: PostTransactionBody,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(PostTransaction, withId(ledger, body), request);
  }

  @Post('transactions/bulk')
  @ApiConsumes('application/json', 'application/x-ndjson')
  @ApiBody({
    description: `A JSON array, or its items one per line (\`application/x-ndjson\`), up to ${schemas.maxBulkItems}.`,
    required: true,
    schema: jsonSchemaOf(schemas.bulkBody, 'input'),
  })
  @WriteEndpoint({
    summary: 'Post many transactions, each on its own, or all or none with ?atomic=true',
    description:
      'A refused item stops no other and is answered in its place. One that does not match its schema makes the whole request a 400 ' +
      '`validation-failed` that points at it, and nothing is done: it is a mistake of whoever made the list.',
    answers: { 200: schemas.bulkAnswer },
    problems: postingProblems,
  })
  async postTransactions(
    @Param({ schema: schemas.ledgerParams }) { ledger }: z.output<typeof schemas.ledgerParams>,
    @Query({ schema: schemas.bulkQuery }) { atomic }: z.output<typeof schemas.bulkQuery>,
    @Req() { body, routeOptions }: FastifyRequest,
    @Writing() request: WriteRequest,
  ) {
    const limits = { items: schemas.maxBulkItems, bytes: routeOptions.bodyLimit };
    const lines = body instanceof Readable ? await readNdjson(body, schemas.postTransactionBody, limits) : undefined;
    const items = lines?.items ?? validate(schemas.bulkBody, body);
    const input = { ledger, atomic, items: items.map((item) => withId(ledger, item)) };
    return this.commands.run(PostTransactions, input, request, { fingerprint: lines?.fingerprint });
  }

  @Post('transactions/:transactionId/capture')
  @WriteEndpoint({
    summary: 'Capture a pending transaction, a single-posting one also in part',
    answers: { 200: schemas.transactionAnswer },
    problems: ['transaction-not-found', 'not-pending', 'capture-exceeds-pending', 'partial-capture-not-supported'],
  })
  captureTransaction(
    @Param({ schema: schemas.transactionParams }) params: z.output<typeof schemas.transactionParams>,
    @Body({ schema: schemas.captureBody }) body: z.output<typeof schemas.captureBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(CaptureTransaction, { ...params, ...body }, request);
  }

  @Post('transactions/:transactionId/void')
  @WriteEndpoint({
    summary: 'Void a pending transaction',
    answers: { 200: schemas.transactionAnswer },
    problems: ['transaction-not-found', 'not-pending'],
  })
  voidTransaction(
    @Param({ schema: schemas.transactionParams }) params: z.output<typeof schemas.transactionParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(VoidTransaction, params, request);
  }

  @Post('transactions/:transactionId/reverse')
  @WriteEndpoint({
    summary: 'Reverse a posted transaction by a new one; exactly one reversal ever succeeds',
    answers: { 200: schemas.transactionAnswer },
    problems: ['transaction-not-found', 'already-reversed', 'not-reversible', ...postingProblems],
  })
  reverseTransaction(
    @Param({ schema: schemas.transactionParams }) params: z.output<typeof schemas.transactionParams>,
    @Body({ schema: schemas.reverseBody }) body: z.output<typeof schemas.reverseBody>,
    @Writing() request: WriteRequest,
  ) {
    const { transactionId, ...rest } = body ?? {};
    const reversalId = transactionId ?? newId();
    const input = { ...params, ...rest, reversalId, isNew: transactionId === undefined };
    return this.commands.run(ReverseTransaction, input, request);
  }
}

function withId(ledger: string, { transactionId, ...body }: PostTransactionBody): PostTransactionInput {
  return transactionId === undefined
    ? { ledger, ...body, transactionId: newId(), isNew: true }
    : { ledger, ...body, transactionId };
}
