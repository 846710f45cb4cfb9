import { createHash } from 'node:crypto';
import { BadRequestException, HttpException, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import type { PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { z } from 'zod';

/** What the baselines that are written without an event log have in common: idempotency, validation, start. */
export type Client = PoolClient;

const keysTable = `
  create table if not exists idempotency_keys (
    key text primary key, request_hash bytea not null, status int, response jsonb,
    created_at timestamptz not null default now()
  );`;

export const id = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/);

export interface Answer {
  status: number;
  body: object;
}

export function refusal(status: number, code: string, detail: string): Answer {
  return { status, body: { type: `about:blank#${code}`, title: code, status, detail, code } };
}

/** One transaction per request: what it does, and with a key the answer to it, commit together. */
export async function once(
  database: DataSource,
  scope: string,
  body: object,
  key: string | undefined,
  work: (client: Client) => Promise<Answer>,
): Promise<Answer> {
  return database.transaction(async ({ queryRunner }) => {
    const client: Client = await queryRunner!.connect();
    if (key === undefined) return work(client);
    // The claim comes first: a second request with this key waits here until the first one has committed.
    const hash = createHash('sha256').update(scope).update(JSON.stringify(body)).digest();
    const claim = await client.query({
      name: 'claim',
      text: `insert into idempotency_keys (key, request_hash) values ($1, $2) on conflict do nothing`,
      values: [key, hash],
    });
    if (claim.rowCount === 0) return replay(client, key, hash);
    const answer = await work(client);
    await client.query({
      name: 'answer',
      text: 'update idempotency_keys set status = $2, response = $3 where key = $1',
      values: [key, answer.status, JSON.stringify(answer.body)],
    });
    return answer;
  });
}

async function replay(client: Client, key: string, hash: Buffer): Promise<Answer> {
  const stored = await client.query<{ request_hash: Buffer; status: number; response: object }>(
    'select request_hash, status, response from idempotency_keys where key = $1',
    [key],
  );
  const { request_hash: storedHash, status, response } = stored.rows[0]!;
  if (!storedHash.equals(hash)) {
    return refusal(422, 'idempotency-key-reused', 'The key was used for a different request.');
  }
  return { status, body: response };
}

export function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new BadRequestException({ status: 400, code: 'validation', errors: parsed.error.issues });
}

export function send(reply: FastifyReply, { status, body }: Answer): object {
  if (status >= 400) throw new HttpException(body, status);
  reply.status(status);
  return body;
}

export function openDatabase(): DataSource {
  return new DataSource({
    type: 'postgres',
    url: process.env.DATABASE_URL,
    poolSize: Number(process.env.POOL_SIZE),
  });
}

export async function serve(name: string, module: Type, database: DataSource, schema: string): Promise<void> {
  await database.initialize();
  await database.query(schema + keysTable);
  const app = await NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), {
    logger: ['error', 'warn'],
  });
  app.enableShutdownHooks();
  await app.listen(Number(process.env.PORT), '127.0.0.1');
  console.log(`${name} ready on http://127.0.0.1:${process.env.PORT}`);
}
