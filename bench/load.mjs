import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, request } from './http-client.mjs';
import { percentile } from './numbers.mjs';
import { product } from './products.mjs';

/**
 * The load process. run.mjs forks one per measurement, sends it a job and gets one result back.
 *
 * A job names what to send (`traffic`), over how many `connections`, and ends after `warmMs + measureMs` or
 * after `count` requests. Connections send their next request when they have the answer to the last one, or
 * at a fixed `rate` a second over all of them. Requests under way when the time is up are waited for, so
 * `acknowledged` is exact; rates and latencies count only what was answered between the two times.
 *
 * @typedef {object} Job
 * @property {string} host
 * @property {number} port
 * @property {keyof typeof traffics} traffic
 * @property {number} connections
 * @property {number} accounts accounts a0 … a<n-1> in ledger `bench`, and `world`
 * @property {number} [products] products p0 … p<n-1>, each with one SKU, s0 … s<n-1>
 * @property {string} run makes this load's idempotency keys different from every other load's
 * @property {number} [items] transfers per bulk request
 * @property {number} [warmMs]
 * @property {number} [measureMs]
 * @property {number} [count] requests, instead of a time
 * @property {number} [rate] requests a second
 * @property {number} [readEvery] after every n-th write, read the account back with the write's token
 * @property {number} [readPort] where those reads go; to the writes' server by default
 * @property {number[]} [ports] several servers, which the connections are shared out to in turn
 * @property {number[][]} [ledgers] per server, numbers of the ledgers that its connections write to: l0, l1, …
 */
const ledger = '/v1/ledgers/bench';
const random = (n) => Math.floor(Math.random() * n);

function posting(source, destination) {
  return `{"postings":[{"source":"${source}","destination":"${destination}","amount":"${1 + random(100)}"}]}`;
}

function randomPosting(accounts) {
  const source = random(accounts);
  const destination = (source + 1 + random(accounts - 1)) % accounts;
  return posting(`a${source}`, `a${destination}`);
}

/** Account a0 pays and is paid in turn, by a random other one. */
function hotPosting(job, n) {
  const other = `a${1 + random(job.accounts - 1)}`;
  return n % 2 ? posting('a0', other) : posting(other, 'a0');
}

/** Each makes the function that builds request number n of a job. */
const traffics = {
  openAccounts: (job) => (n) =>
    write(job, n, `${ledger}/accounts`, `{"accountId":"a${n}","currency":"EUR","overdraft":"none"}`),
  /** Every account gets ten million euros from the world, so that no load meets insufficient funds. */
  fund: (job) => (n) => {
    const items = [];
    for (let index = n * job.items; index < Math.min((n + 1) * job.items, job.accounts); index += 1) {
      items.push(`{"postings":[{"source":"world","destination":"a${index}","amount":"1000000000"}]}`);
    }
    return write(job, n, `${ledger}/transactions/bulk`, `[${items.join()}]`);
  },
  transfer: (job) => (n) => write(job, n, `${ledger}/transactions`, randomPosting(job.accounts)),
  hotTransfer: (job) => (n) => write(job, n, `${ledger}/transactions`, hotPosting(job, n)),
  /** With `Prefer: respond-async`: counted when they are stored. */
  acceptTransfer: (job) => (n) =>
    write(job, n, `${ledger}/transactions`, randomPosting(job.accounts), 'prefer: respond-async\r\n'),
  /** In ledgers of which each has the accounts `world` and `shop`. */
  ledgerTransfer: (job) => (n, connection) => {
    const ledgers = job.ledgers[connection % job.ledgers.length];
    const path = `/v1/ledgers/l${ledgers[random(ledgers.length)]}/transactions`;
    return write(job, n, path, posting('world', 'shop'));
  },
  bulk: (job) => (n) => {
    const items = Array.from({ length: job.items }, () => randomPosting(job.accounts));
    return write(job, n, `${ledger}/transactions/bulk`, `[${items.join()}]`);
  },
  hotBulk: (job) => (n) => {
    const items = Array.from({ length: job.items }, (_, index) => hotPosting(job, index));
    return write(job, n, `${ledger}/transactions/bulk`, `[${items.join()}]`);
  },
  read: (job) => () => readAccount(job, `a${random(job.accounts)}`),

  createProducts: (job) => (n) => write(job, n, '/v1/products', JSON.stringify(product(n))),
  /** A million units of every SKU, so that no load meets insufficient stock. */
  receiveStock: (job) => (n) => write(job, n, `/v1/stock/s${n}/receipts`, '{"quantity":1000000}'),
  order: (job) => (n) => order(job, n, random(job.products), 'wait=30'),
  /** Everybody wants SKU s0. */
  hotOrder: (job) => (n) => order(job, n, 0, 'wait=30'),
  placeOrder: (job) => (n) => order(job, n, random(job.products), 'respond-async'),
  product: (job) => () => get(job, `/v1/products/p${random(job.products)}`),
  /** What shops are asked, in turn: two words, one word by name, a category by price, what is cheapest from a price on. */
  search: (job) => (n) => get(job, `/v1/products?${searches[n % searches.length](product(random(job.products)))}`),
};
const searches = [
  ({ name }) => `q=${name.split(' ').slice(0, 2).join('+')}`,
  ({ name }) => `q=${name.split(' ')[1]}&sort=name`,
  ({ categories }) => `category=${categories[0]}&sort=price&currency=EUR`,
  ({ variants }) => `minPrice=${variants[0].price.amount}&sort=price&currency=EUR`,
];

const bulky = ['fund', 'bulk', 'hotBulk'];
/** What an answer must say where not everything below 300 is good: an order that is still waited for is no confirmed one. */
const wantedStatus = { order: 201, hotOrder: 201, placeOrder: 202, acceptTransfer: 202 };

function write(job, n, path, body, headers = '') {
  const keyed = `idempotency-key: ${job.run}-${n}\r\n${headers}`;
  return request('POST', path, `${job.host}:${job.port}`, keyed, body);
}

function get(job, path, headers) {
  return request('GET', path, `${job.host}:${job.port}`, headers);
}

const readAccount = (job, account, headers) => get(job, `${ledger}/accounts/${account}`, headers);

/** One unit of one SKU. The buyers take turns, so that none has two orders under way. */
function order(job, n, sku, prefer) {
  const buyer = `a${n % job.accounts}`;
  const body =
    `{"customerId":"${buyer}","lines":[{"sku":"s${sku}","quantity":1}],` +
    `"payment":{"ledger":"bench","account":"${buyer}"}}`;
  return write(job, n, '/v1/orders', body, `prefer: ${prefer}\r\n`);
}

const tokenOf = (text) => /\r\nconsistency-token: *(\S+)/i.exec(text)?.[1];

/** How many transfers or orders an answer acknowledges. A refused item of a bulk request does not say "posted". */
function acknowledgedBy(job, text, bodyStart) {
  if (!bulky.includes(job.traffic)) return 1;
  const word = '"posted"';
  let posted = 0;
  for (let at = text.indexOf(word, bodyStart); at !== -1; at = text.indexOf(word, at + 1)) posted += 1;
  return posted;
}

/** @param {Job} job */
async function run(job) {
  const connections = await Promise.all(
    Array.from({ length: job.connections }, async (_, index) => {
      const connection = await Connection.open(job.host, job.ports ? job.ports[index % job.ports.length] : job.port);
      const reader = job.readPort ? await Connection.open(job.host, job.readPort) : connection;
      return Object.assign(connection, { index, reader });
    }),
  );
  const build = traffics[job.traffic](job);
  const wanted = wantedStatus[job.traffic];
  const latencies = [];
  const visible = [];
  const lastTokens = new Map();
  let sent = 0;
  let acknowledged = 0;
  let measured = 0;
  let failures = 0;
  let firstFailure = null;

  const begin = performance.now();
  const measureFrom = begin + (job.warmMs ?? 0);
  const measureTo = job.count ? Infinity : measureFrom + job.measureMs;
  const more = () => failures === 0 && (job.count ? sent < job.count : performance.now() < measureTo);

  function failed(status, text) {
    failures += 1;
    firstFailure ??= `${status}: ${text.slice(0, 2_000)}`;
  }

  /** Sends one request, and calls back when it and its reading back are answered. */
  function exchange(connection, done) {
    const n = sent++;
    const message = build(n, connection.index);
    const sentAt = performance.now();
    connection.send(message, (status, text, bodyStart) => {
      const answeredAt = performance.now();
      if (wanted ? status !== wanted : status < 200 || status > 299) {
        failed(status, text);
        return done();
      }
      const transfers = acknowledgedBy(job, text, bodyStart);
      acknowledged += transfers;
      lastTokens.set(connection, text);
      const counts = answeredAt >= measureFrom && answeredAt < measureTo;
      if (counts) {
        measured += transfers;
        latencies.push(answeredAt - sentAt);
      }
      if (!job.readEvery || n % job.readEvery !== 0) return done();
      const account = /"source":"([^"]+)"/.exec(message)[1];
      const read = readAccount(job, account, `consistency-token: ${tokenOf(text)}\r\n`);
      connection.reader.send(read, (readStatus, readText) => {
        if (readStatus !== 200) failed(readStatus, readText);
        else if (counts) visible.push(performance.now() - answeredAt);
        done();
      });
    });
  }

  async function answerDriven(connection) {
    await new Promise((resolve) => {
      const next = () => (more() ? exchange(connection, next) : resolve());
      next();
    });
  }

  /** Never waits for the server: what is due when every connection is busy is sent as soon as one is free. */
  async function paced() {
    const idle = [...connections];
    while (more()) {
      const due = ((performance.now() - begin) / 1_000) * job.rate;
      while (sent < due && idle.length > 0) {
        const connection = idle.pop();
        exchange(connection, () => idle.push(connection));
      }
      await sleep(1);
    }
    while (idle.length < connections.length) await sleep(1);
  }

  const cpuBefore = process.cpuUsage();
  await (job.rate ? paced() : Promise.all(connections.map(answerDriven)));
  const ended = performance.now();
  const cpu = process.cpuUsage(cpuBefore);
  for (const connection of connections) {
    connection.close();
    connection.reader.close();
  }

  // The last answer of each connection is enough: a later answer never has an earlier token.
  const heads = new Map();
  for (const text of lastTokens.values()) {
    for (const part of tokenOf(text)?.split(',') ?? []) {
      const [partition, offset] = part.split('@');
      if (Number(offset) > (heads.get(partition) ?? 0)) heads.set(partition, Number(offset));
    }
  }
  const seconds = (Math.min(ended, measureTo) - measureFrom) / 1_000;
  return {
    requests: sent,
    acknowledged,
    perSecond: measured / seconds,
    totalSeconds: (ended - begin) / 1_000,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    visibleP50Ms: percentile(visible, 0.5),
    visibleP99Ms: percentile(visible, 0.99),
    visibleSamples: visible.length,
    token: [...heads].map(([partition, offset]) => `${partition}@${offset}`).join() || undefined,
    cpuUsPerRequest: (cpu.user + cpu.system) / sent,
    failures,
    firstFailure,
  };
}

process.once('disconnect', () => process.exit(1));
const [job] = await once(process, 'message');
// What cannot be connected to is a failed request like any other.
const result = await run(job).catch((error) => ({ failures: 1, firstFailure: error.message }));
process.send(result, () => process.exit(0));
