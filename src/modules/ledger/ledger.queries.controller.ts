import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { endpoints } from '../../platform/http/endpoint.js';
import { QueryGateway, Reading, type ReadRequest } from '../../platform/http/query-gateway.js';
import { ledgerProblems } from './domain/problems.js';
import * as schemas from './ledger.schemas.js';
import { GetAccount, ledgerAccounts, ListAccounts } from './views/accounts.js';
import { GetBalanceAt, ListEntries } from './views/statement.js';
import { GetTransaction } from './views/transactions.js';
import { GetTrialBalance, ledgerTrialBalances } from './views/trial-balance.js';

const { ListEndpoint, ReadEndpoint } = endpoints(ledgerProblems);

@ApiTags('Ledger')
@Controller('v1/ledgers/:ledger')
export class LedgerQueriesController {
  constructor(private readonly queries: QueryGateway) {}

  @Get('accounts/:accountId')
  @ReadEndpoint({
    summary: 'An account, or its balance as of a time',
    answers: { 200: z.union([schemas.accountAnswer, schemas.accountAtAnswer]) },
    problems: ['account-not-found'],
  })
  getAccount(
    @Param({ schema: schemas.accountParams }) { ledger, accountId }: z.output<typeof schemas.accountParams>,
    @Query({ schema: schemas.accountQuery }) { at }: z.output<typeof schemas.accountQuery>,
    @Reading() request: ReadRequest,
  ) {
    return at === undefined
      ? this.queries.resource([ledgerAccounts], new GetAccount(ledger, accountId), request)
      : this.queries.resource([ledgerAccounts], new GetBalanceAt(ledger, accountId, at), request);
  }

  @Get('accounts')
  @ListEndpoint({
    summary: 'Accounts in the order of their ids',
    answers: { 200: schemas.accountsPage },
  })
  listAccounts(
    @Param({ schema: schemas.ledgerParams }) { ledger }: z.output<typeof schemas.ledgerParams>,
    @Query({ schema: schemas.accountsQuery }) query: z.output<typeof schemas.accountsQuery>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.page([ledgerAccounts], new ListAccounts(ledger, query), request);
  }

  @Get('accounts/:accountId/entries')
  @ListEndpoint({
    summary: 'The statement of an account, newest first',
    answers: { 200: schemas.entriesPage },
    problems: ['account-not-found'],
  })
  listEntries(
    @Param({ schema: schemas.accountParams }) { ledger, accountId }: z.output<typeof schemas.accountParams>,
    @Query({ schema: schemas.entriesQuery }) query: z.output<typeof schemas.entriesQuery>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.page([ledgerAccounts], new ListEntries(ledger, accountId, query), request);
  }

  @Get('transactions/:transactionId')
  @ReadEndpoint({
    summary: 'A transaction, its status and its reversal if any',
    answers: { 200: schemas.transactionView },
    problems: ['transaction-not-found'],
  })
  getTransaction(
    @Param({ schema: schemas.transactionParams }) params: z.output<typeof schemas.transactionParams>,
    @Reading() request: ReadRequest,
  ) {
    const { ledger, transactionId } = params;
    return this.queries.resource([ledgerAccounts], new GetTransaction(ledger, transactionId), request);
  }

  @Get('trial-balance')
  @ReadEndpoint({
    summary: 'Per currency: what accounts owe and hold in sum, which is always the same',
    answers: { 200: schemas.trialBalanceAnswer },
  })
  getTrialBalance(
    @Param({ schema: schemas.ledgerParams }) { ledger }: z.output<typeof schemas.ledgerParams>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.resource([ledgerTrialBalances], new GetTrialBalance(ledger), request);
  }
}
