import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { transformFile } from '@swc/core';
import { nodeFlags } from '../dist/node-flags.js';
import { Broken, load } from './measure.mjs';
import { percentile } from './numbers.mjs';
import { findProgram, freePort, here, runProgram, startServer } from './systems.mjs';

/** The product as a user starts it, on a database of its own: nothing is set but that, the port, and what a figure says. */
export async function startRialto(postgres, database, accounts, env = {}) {
  return asRialto(postgres, database, accounts, await startNode(postgres, database, env));
}

export async function startNode(postgres, database, env) {
  const port = String(await freePort());
  return startServer('rialto', [...nodeFlags, 'dist/main.js'], { DATABASE_URL: postgres.url(database), PORT: port, ...env });
}

/** What is asked of a Rialto, all in one or several nodes, of which one (`readPort`) answers reads. */
export function asRialto(postgres, database, accounts, server) {
  const ledger = `http://${server.host}:${server.readPort ?? server.port}/v1/ledgers/bench`;
  const token = (given) => (given ? { 'consistency-token': given } : {});

  async function read(path, given) {
    const answer = await fetch(ledger + path, { headers: token(given) });
    if (!answer.ok) throw new Broken(`Rialto: GET ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  return Object.assign(server, {
    name: 'Rialto',
    accounts,
    read,
    /** An event is a row of the log, and a transfer is one event. The log is asked, not the product. */
    async countTransfers() {
      const [row] = await postgres.query(database, 'select count(*)::int as events from events');
      return row.events;
    },
    /** Waits until every view of the ledger shows what the token names; milliseconds that took. */
    async settle(given) {
      const begin = performance.now();
      for (const path of ['/accounts/a0', '/accounts/a0/entries', '/trial-balance']) {
        for (;;) {
          const answer = await fetch(ledger + path, { headers: token(given) });
          const text = await answer.text();
          if (answer.ok) break;
          const behind = answer.status === 503 && text.includes('projection-behind');
          if (!behind || performance.now() - begin > 600_000) {
            throw new Broken(`Rialto: GET ${path}: ${answer.status} ${text}`);
          }
        }
      }
      return performance.now() - begin;
    },
    /** The trial balance says 0, and so does the sum of the balances that the account list shows. */
    async assertConserved() {
      const trial = JSON.stringify(await read('/trial-balance'));
      const nets = [...trial.matchAll(/"net":"(-?\d+)"/g)].map((match) => match[1]);
      if (nets.length === 0 || nets.some((net) => net !== '0')) throw new Broken(`Rialto: ${trial}`);
      let sum = 0n;
      let count = 0;
      let cursor = null;
      do {
        const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
        const page = await read(`/accounts?limit=500${from}`);
        for (const account of page.items) sum += BigInt(account.balance);
        count += page.items.length;
        cursor = page.nextCursor;
      } while (cursor);
      if (sum !== 0n || count !== accounts + 1) {
        throw new Broken(`Rialto: ${count} accounts add up to ${sum}`);
      }
    },
  });
}

/** Opens the accounts, one POST each, and funds them from the world through the bulk endpoint. */
export async function seedRialto(subject) {
  const answer = await fetch(`http://${subject.host}:${subject.port}/v1/ledgers/bench/accounts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accountId: 'world', currency: 'EUR', overdraft: 'unlimited' }),
  });
  if (answer.status !== 201) {
    throw new Broken(`Rialto: opening world: ${answer.status} ${await answer.text()}`);
  }
  await load(subject, { traffic: 'openAccounts', count: subject.accounts });
  const items = 1_000;
  const funded = await load(subject, {
    traffic: 'fund',
    items,
    count: Math.ceil(subject.accounts / items),
    connections: 4,
  });
  if (funded.acknowledged !== subject.accounts) {
    throw new Broken(`Rialto: ${funded.acknowledged} of ${subject.accounts} accounts funded`);
  }
  await subject.settle(funded.token);
  await subject.assertConserved();
}

const seeded = 1_000_000_000n;

/** Compiles the baselines that are written in TypeScript, and starts one with a pool of that size. */
export async function startBaseline(postgres, database, name, poolSize, env = {}) {
  mkdirSync(here('dist'), { recursive: true });
  for (const source of readdirSync(here('baselines')).filter((file) => file.endsWith('.ts'))) {
    const compiled = source.replace('.ts', '.js');
    const { code, map } = await transformFile(here(`baselines/${source}`), {
      sourceMaps: true,
      module: { type: 'es6' },
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      },
    });
    writeFileSync(here(`dist/${compiled}.map`), map);
    writeFileSync(here(`dist/${compiled}`), `${code}\n//# sourceMappingURL=${compiled}.map\n`);
  }
  return startServer(name, ['--enable-source-maps', here(`dist/${name}.js`)], {
    DATABASE_URL: postgres.url(database),
    PORT: String(await freePort()),
    POOL_SIZE: String(poolSize),
    NODE_ENV: 'production',
    ...env,
  });
}

/** Baseline (a), started with a pool of that size on seeded accounts. */
export async function startTransferServer(postgres, database, accounts, poolSize) {
  const server = await startBaseline(postgres, database, 'transfer-server', poolSize);
  await postgres.query(
    database,
    `insert into accounts (ledger, account_id, currency, balance, floor)
     select 'bench', 'a' || n, 'EUR', ${seeded}, 0 from generate_series(0, ${accounts - 1}) n
     union all select 'bench', 'world', 'EUR', ${-seeded * BigInt(accounts)}, null on conflict do nothing`,
  );
  return Object.assign(server, {
    name: 'transfer server',
    accounts,
    poolSize,
    async countTransfers() {
      const [row] = await postgres.query(database, 'select count(*)::int as transfers from transfers');
      return row.transfers;
    },
    settle: () => 0,
    async assertConserved() {
      const [row] = await postgres.query(
        database,
        `select (select sum(balance) from accounts)::text as total,
           (select count(*) from transfers)::int as transfers, (select count(*) from entries)::int as entries,
           (select count(*) from idempotency_keys where status = 201)::int as keys,
           (select count(*) from accounts a
             left join (select ledger, account_id, sum(amount) as moved from entries group by 1, 2) e
               using (ledger, account_id)
             where account_id <> 'world' and a.balance <> ${seeded} + coalesce(e.moved, 0))::int as wrong`,
      );
      const { total, transfers, entries, keys, wrong } = row;
      if (total !== '0' || entries !== 2 * transfers || keys !== transfers || wrong !== 0) {
        throw new Broken(`transfer server: ${JSON.stringify(row)}`);
      }
    },
  });
}

/** Baseline (b): TPC-B as pgbench ships it, 16 clients. Undefined where there is no pgbench. */
export async function preparePgbench(postgres, scale) {
  const program = findProgram('pgbench');
  if (program === undefined) return undefined;
  const database = `pgbench${scale}`;
  const url = postgres.url(database);
  await postgres.createDatabase(database);
  await runProgram(program, ['-i', '-q', '-s', String(scale), url]);
  return async (seconds) => {
    await postgres.checkpoint();
    const output = await runProgram(program, ['-c', '16', '-j', '2', '-T', String(seconds), url]);
    const tps = /^tps = ([\d.]+)/m.exec(output);
    if (tps === null) throw new Broken(`pgbench said: ${output}`);
    return Number(tps[1]);
  };
}

/** Baseline (c): sends so many resources that differ in `idField` alone: `prefix` and a number. */
export async function startBareFastify(route, idField, prefix, count, resource) {
  const server = await startServer('bare-fastify', [here('baselines/fastify.mjs')], {
    PORT: String(await freePort()),
    ROUTE: route,
    ID_FIELD: idField,
    PREFIX: prefix,
    COUNT: String(count),
    RESOURCE: JSON.stringify(resource),
    NODE_ENV: 'production',
  });
  return Object.assign(server, { name: 'bare Fastify' });
}

/**
 * Baseline (d): the median time of a committed single-row INSERT on one connection, which is what durability
 * costs on this machine.
 */
export async function prepareInserts(postgres) {
  await postgres.createDatabase('inserts');
  await postgres.query('inserts', 'create table written (id bigint generated always as identity, data text)');
  return async (seconds) => {
    await postgres.checkpoint();
    const client = await postgres.connect('inserts');
    const text = 'insert into written (data) values ($1)';
    const insert = { name: 'insert', text, values: ['x'.repeat(100)] };
    const latencies = [];
    const begin = performance.now();
    for (let at = begin; at < begin + seconds * 1_000; ) {
      await client.query(insert);
      const answered = performance.now();
      latencies.push(answered - at);
      at = answered;
    }
    await client.end();
    return percentile(latencies, 0.5);
  };
}
