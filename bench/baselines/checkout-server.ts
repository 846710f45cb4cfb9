import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { Body, Controller, Headers, Injectable, Module, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { checked, id, once, openDatabase, refusal, send, serve, type Answer, type Client } from './served.js';

/**
 * Baseline (a), for orders: the whole checkout in one transaction. The stock rows are locked in the order of their
 * SKUs, the account rows in the order of their ids, and always the stock first, so that no two checkouts can
 * deadlock; the order with its lines, the reserved stock, the pending transaction, what is pending on the accounts,
 * and the answer to the idempotency key commit together. Statements are named and what is written goes in one, as in
 * the transfer server.
 *
 * HOLD=both keeps on the shop's account what is pending for it, as on the buyer's: a row that every checkout of the
 * shop waits for. HOLD=buyer leaves that to whoever reads the shop's account, who has to add up its pending
 * transactions: the checkouts of different buyers and SKUs share no row.
 */
const schema = `
  create table if not exists skus (
    sku text primary key, product_id text not null, amount bigint not null, currency text not null,
    orderable boolean not null default true
  );
  create table if not exists stock (
    sku text primary key, on_hand bigint not null, reserved bigint not null default 0,
    check (reserved between 0 and on_hand)
  );
  create table if not exists accounts (
    ledger text not null, account_id text not null, currency text not null, balance bigint not null default 0,
    pending_in bigint not null default 0, pending_out bigint not null default 0, floor bigint,
    primary key (ledger, account_id), check (balance - pending_out >= floor)
  );
  create table if not exists transactions (
    ledger text not null, transaction_id text not null, source text not null, destination text not null,
    amount bigint not null check (amount > 0), status text not null, recorded_at timestamptz not null default now(),
    primary key (ledger, transaction_id)
  );
  create table if not exists orders (
    order_id text primary key, customer_id text not null, status text not null, total bigint not null,
    currency text not null, ledger text not null, account text not null, transaction_id text not null,
    placed_at timestamptz not null default now()
  );
  create index if not exists orders_of_customer on orders (customer_id, placed_at);
  create index if not exists orders_by_status on orders (status, placed_at);
  create table if not exists order_lines (
    order_id text not null references orders, sku text not null, quantity bigint not null, unit_price bigint not null,
    primary key (order_id, sku)
  );`;

const orderBody = z.strictObject({
  orderId: id.optional(),
  customerId: id,
  lines: z.array(z.strictObject({ sku: id, quantity: z.int().min(1).max(1_000_000) })).min(1).max(100),
  payment: z.strictObject({ ledger: id, account: id }),
});
type OrderBody = z.infer<typeof orderBody>;

interface SkuRow {
  sku: string;
  amount: string;
  currency: string;
  orderable: boolean;
}

interface AccountRow {
  account_id: string;
  currency: string;
  available: string | null;
}

const merchant = 'merchant';
const lockAccounts = {
  both: {
    name: 'lock-both',
    text: `select account_id, currency, balance - pending_out - floor as available from accounts
           where ledger = $1 and account_id in ($2, $3) order by account_id for update`,
  },
  buyer: {
    name: 'lock-buyer',
    text: `with shop as (select account_id, currency, null::bigint as available from accounts
             where ledger = $1 and account_id = $3),
           buyer as (select account_id, currency, balance - pending_out - floor as available from accounts
             where ledger = $1 and account_id = $2 for update)
           select * from buyer union all select * from shop`,
  },
}[process.env.HOLD as 'both' | 'buyer'];

@Injectable()
class Orders {
  constructor(private readonly database: DataSource) {}

  async place(body: OrderBody, key: string | undefined): Promise<Answer> {
    return once(this.database, 'orders', body, key, (client) => this.checkOut(client, body));
  }

  private async checkOut(client: Client, body: OrderBody): Promise<Answer> {
    const { customerId, payment } = body;
    const wanted = new Map<string, number>();
    for (const { sku, quantity } of body.lines) wanted.set(sku, (wanted.get(sku) ?? 0) + quantity);
    const skus = [...wanted.keys()];

    const { rows: priced } = await client.query<SkuRow>({
      name: 'prices',
      text: 'select sku, amount, currency, orderable from skus where sku = any ($1)',
      values: [skus],
    });
    const prices = new Map(priced.map((row) => [row.sku, row]));
    const missing = skus.find((sku) => !prices.get(sku)?.orderable);
    if (missing) return refusal(409, 'product-not-available', `${missing} can not be ordered.`);
    const { currency } = priced[0]!;
    if (priced.some((row) => row.currency !== currency)) {
      return refusal(409, 'currency-mismatch', 'The prices are in several currencies.');
    }

    const { rows: stock } = await client.query<{ sku: string; available: string }>({
      name: 'lock-stock',
      text: 'select sku, on_hand - reserved as available from stock where sku = any ($1) order by sku for update',
      values: [skus],
    });
    const available = new Map(stock.map((row) => [row.sku, Number(row.available)]));
    const short = skus.find((sku) => (available.get(sku) ?? 0) < wanted.get(sku)!);
    if (short) return refusal(409, 'insufficient-stock', `There is not enough of ${short}.`);

    const lines = skus.map((sku) => {
      const quantity = wanted.get(sku)!;
      const unitPrice = BigInt(prices.get(sku)!.amount);
      return { sku, quantity, unitPrice: `${unitPrice}`, total: `${unitPrice * BigInt(quantity)}` };
    });
    const total = lines.reduce((sum, line) => sum + BigInt(line.total), 0n);
    const { rows: accounts } = await client.query<AccountRow>({
      ...lockAccounts,
      values: [payment.ledger, payment.account, merchant],
    });
    const buyer = accounts.find((account) => account.account_id === payment.account);
    const shop = accounts.find((account) => account.account_id === merchant);
    if (!buyer || !shop) return refusal(409, 'account-not-found', 'There is no such account.');
    if (buyer.currency !== currency || shop.currency !== currency) {
      return refusal(409, 'currency-mismatch', 'The currencies differ.');
    }
    if (buyer.available !== null && BigInt(buyer.available) < total) {
      return refusal(409, 'insufficient-funds', 'The account has not enough funds.');
    }

    const orderId = body.orderId ?? randomUUID();
    const transactionId = `order:${orderId}`;
    const written = await client.query<{ placed_at: Date }>({
      name: `write-${process.env.HOLD}`,
      text: `
        with placed as (
          insert into orders (order_id, customer_id, status, total, currency, ledger, account, transaction_id)
          values ($1, $2, 'confirmed', $3, $4, $5, $6, $7) on conflict do nothing returning order_id, placed_at
        ), lines as (
          insert into order_lines (order_id, sku, quantity, unit_price)
          select order_id, l.sku, l.quantity, l.unit_price
          from placed, unnest($8::text[], $9::bigint[], $10::bigint[]) as l(sku, quantity, unit_price)
        ), reserved as (
          update stock set reserved = stock.reserved + l.quantity
          from placed, unnest($8::text[], $9::bigint[]) as l(sku, quantity) where stock.sku = l.sku
        ), authorised as (
          insert into transactions (ledger, transaction_id, source, destination, amount, status)
          select $5, $7, $6, '${merchant}', $3, 'pending' from placed
        ), held as (
          update accounts set pending_out = pending_out + case account_id when $6 then $3::bigint else 0 end,
            pending_in = pending_in + case account_id when $6 then 0 else $3::bigint end
          from placed where accounts.ledger = $5
            and account_id ${process.env.HOLD === 'both' ? `in ($6, '${merchant}')` : '= $6'}
        ) select placed_at from placed`,
      values: [
        ...[orderId, customerId, `${total}`, currency, payment.ledger, payment.account, transactionId],
        ...[skus, lines.map(({ quantity }) => quantity), lines.map(({ unitPrice }) => unitPrice)],
      ],
    });
    if (written.rowCount === 0) return refusal(409, 'order-exists', 'There is an order with this id.');
    const placedAt = written.rows[0]!.placed_at.toISOString();
    return {
      status: 201,
      body: {
        orderId,
        customerId,
        status: 'confirmed',
        lines,
        total: `${total}`,
        currency,
        payment: { ...payment, transactionId },
        history: ['placed', 'confirmed'].map((status) => ({ status, at: placedAt })),
        placedAt,
      },
    };
  }
}

@Controller('v1/orders')
class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  async place(
    @Body() body: unknown,
    @Headers('idempotency-key') key: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    return send(reply, await this.orders.place(checked(orderBody, body), key));
  }
}

const database = openDatabase();

@Module({
  controllers: [OrdersController],
  providers: [Orders, { provide: DataSource, useValue: database }],
})
class AppModule {}

await serve('checkout server', AppModule, database, schema);
