import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { Body, Controller, Headers, Injectable, Module, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { checked, id, once, openDatabase, refusal, send, serve, type Answer, type Client } from './served.js';

/**
 * Baseline (a): the transfer endpoint as it is written without an event log. One transaction per request; the
 * two account rows are locked in the order of their ids, so that transfers in opposite directions cannot
 * deadlock; balances, the transfer, its two entries and the answer to the idempotency key commit together.
 * The statements are named, so that each connection plans them once, and what is written goes in one
 * statement: both were measured to be faster than the plain form (bench/README.md).
 */
const schema = `
  create table if not exists accounts (
    ledger text not null, account_id text not null, currency text not null,
    balance bigint not null default 0, floor bigint,
    primary key (ledger, account_id), check (balance >= floor)
  );
  create table if not exists transfers (
    transaction_id text primary key, ledger text not null, source text not null, destination text not null,
    amount bigint not null check (amount > 0), recorded_at timestamptz not null default now()
  );
  create table if not exists entries (
    ledger text not null, account_id text not null, transaction_id text not null, amount bigint not null,
    balance_after bigint not null, primary key (ledger, account_id, transaction_id)
  );`;

const transferBody = z.strictObject({
  transactionId: id.optional(),
  postings: z
    .array(z.strictObject({ source: id, destination: id, amount: z.string().regex(/^[1-9]\d{0,17}$/) }))
    .length(1),
});
type TransferBody = z.infer<typeof transferBody>;

interface AccountRow {
  account_id: string;
  currency: string;
  balance: string;
  floor: string | null;
}

@Injectable()
class Transfers {
  constructor(private readonly database: DataSource) {}

  async post(ledger: string, body: TransferBody, key: string | undefined): Promise<Answer> {
    return once(this.database, ledger, body, key, (client) => this.transfer(client, ledger, body));
  }

  private async transfer(client: Client, ledger: string, body: TransferBody): Promise<Answer> {
    const { source, destination, amount } = body.postings[0]!;
    if (source === destination) return refusal(409, 'same-account', 'Source and destination are the same.');
    const { rows: accounts } = await client.query<AccountRow>({
      name: 'lock',
      text: `select account_id, currency, balance, floor from accounts
             where ledger = $1 and account_id in ($2, $3) order by account_id for update`,
      values: [ledger, source, destination],
    });
    const from = accounts.find((account) => account.account_id === source);
    const to = accounts.find((account) => account.account_id === destination);
    if (!from || !to) return refusal(404, 'account-not-found', 'There is no such account.');
    if (from.currency !== to.currency) return refusal(409, 'currency-mismatch', 'The currencies differ.');
    const sourceBalance = BigInt(from.balance) - BigInt(amount);
    const destinationBalance = BigInt(to.balance) + BigInt(amount);
    if (from.floor !== null && sourceBalance < BigInt(from.floor)) {
      return refusal(409, 'insufficient-funds', 'The source has not enough funds.');
    }

    const transactionId = body.transactionId ?? randomUUID();
    const balances = [sourceBalance.toString(), destinationBalance.toString()];
    const written = await client.query<{ recorded_at: Date }>({
      name: 'write',
      text: `
        with recorded as (
          insert into transfers (transaction_id, ledger, source, destination, amount)
          values ($4, $1, $2, $3, $5) on conflict do nothing returning transaction_id, recorded_at
        ), entered as (
          insert into entries (ledger, account_id, transaction_id, amount, balance_after)
          select $1, e.account_id, transaction_id, e.amount, e.balance
          from recorded, (values ($2, -$5::bigint, $6::bigint), ($3, $5::bigint, $7::bigint))
            as e(account_id, amount, balance)
        ), moved as (
          update accounts set balance = case account_id when $2 then $6::bigint else $7::bigint end
          from recorded where accounts.ledger = $1 and account_id in ($2, $3)
        ) select recorded_at from recorded`,
      values: [ledger, source, destination, transactionId, amount, ...balances],
    });
    if (written.rowCount === 0) {
      return refusal(409, 'transaction-exists', 'There is a transaction with this id.');
    }
    return {
      status: 201,
      body: {
        transactionId,
        status: 'posted',
        postings: body.postings,
        balances: {
          [source]: available(sourceBalance, from.floor),
          [destination]: available(destinationBalance, to.floor),
        },
        recordedAt: written.rows[0]!.recorded_at.toISOString(),
      },
    };
  }
}

function available(balance: bigint, floor: string | null) {
  return { balance: `${balance}`, available: floor === null ? null : `${balance - BigInt(floor)}` };
}

@Controller('v1/ledgers/:ledger/transactions')
class TransfersController {
  constructor(private readonly transfers: Transfers) {}

  @Post()
  async post(
    @Param('ledger') ledger: string,
    @Body() body: unknown,
    @Headers('idempotency-key') key: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    return send(reply, await this.transfers.post(ledger, checked(transferBody, body), key));
  }
}

const database = openDatabase();

@Module({
  controllers: [TransfersController],
  providers: [Transfers, { provide: DataSource, useValue: database }],
})
class AppModule {}

await serve('transfer server', AppModule, database, schema);
