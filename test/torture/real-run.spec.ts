import { HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { isRead, requestOf, type Action, type Line, type Transfer, type Write } from './actions.js';
import { check } from './check.js';
import { allIsDone, readFinalState } from './final-state.js';
import { Recorder, type Entry } from './history.js';

const ledger = 'north';
const transfer = (name: string, source: string, destination: string, amount: number): Transfer => ({
  source, destination, amount: String(amount), currency: 'EUR', reference: `r-${name}`, transactionId: `t-${name}`,
});

describe('The checkers, of a real process without faults', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let recorder: Recorder;
  let keys = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
    recorder = new Recorder({ seed: 'none', command: 'npm test -- test/torture/real-run' });
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  function ask(action: Action, { client = 0, tokenSent, prefer }: { client?: number; tokenSent?: string; prefer?: string } = {}): Promise<Entry> {
    const { method, path, body } = requestOf(action);
    const key = isRead(action) ? undefined : `key-${++keys}`;
    const headers = { ...(key && { 'idempotency-key': key }), ...(tokenSent && { 'consistency-token': tokenSent }), ...(prefer && { prefer }) };
    return recorder.attempt({ client, server: 'all-1', action, key, prefer, tokenSent }, () => http.request(method, path, { headers, body }));
  }

  /** One client's day: money, stock and orders, each several times, with reads that follow its own tokens. */
  async function day(client: number): Promise<void> {
    const mine = `account-${client}`;
    let token: string | undefined;
    for (let round = 0; round < 12; round++) {
      const name = `${client}-${round}`;
      const other = `account-${(client + 1 + (round % 3)) % 6}`;
      const read = async (action: Action) => {
        const { tokenReceived } = await ask(action, { client, tokenSent: token });
        token = tokenReceived ?? token;
      };
      const write = async (action: Write, prefer?: string) => {
        const entry = await ask(action, { client, prefer });
        token = entry.tokenReceived ?? token;
        return entry;
      };
      await write({ kind: 'transfer', ledger, ...transfer(name, mine, other, 1 + 37 * round) });
      await read({ kind: 'read-account', ledger, accountId: mine });
      await write({ kind: 'bulk-transfer', ledger, transfers: [transfer(`${name}b`, other, mine, 60), transfer(`${name}c`, mine, other, 20)] });
      await write({ kind: 'authorise', ledger, ...transfer(`${name}p`, mine, other, 15) });
      if (round % 3 === 0) await write({ kind: 'void', ledger, transactionId: `t-${name}p` });
      else await write({ kind: 'capture', ledger, transactionId: `t-${name}p`, ...(round % 3 === 1 && { amount: '5' }) });
      if (round % 4 === 0) await write({ kind: 'reverse', ledger, transactionId: `t-${name}`, reversalId: `v-${name}` });
      await write({ kind: 'reserve', sku: 'pen', reservationId: name, quantity: 1 + (round % 3) });
      await write({ kind: round % 2 ? 'release' : 'commit', sku: 'pen', reservationId: name });
      await read({ kind: 'read-stock', sku: 'pen' });
      if (round % 5 === 0) await write({ kind: 'receive-stock', sku: 'pen', quantity: 4, reference: name });
      const lines: Line[] = [{ sku: 'mug', quantity: 1 + (round % 2) }, { sku: 'cup', quantity: 1 }];
      const order: Write = { kind: 'place-order', orderId: name, customerId: mine, ledger, account: 'shopper', lines, ...(round % 6 === 5 && { autoFulfil: true }) };
      await write(order, round % 3 === 2 ? undefined : 'wait=10');
      if (round % 4 === 0) await write({ kind: 'cancel-order', orderId: name });
      if (round % 4 === 1) await write({ kind: 'fulfil-order', orderId: name });
      if (round % 8 === 1) await write({ kind: 'refund-order', orderId: name, lines: [{ sku: 'mug', quantity: 1, restock: true }] });
      await read({ kind: 'read-order', orderId: name });
      await read({ kind: 'read-trial-balance', ledger });
      await read({ kind: 'list-accounts', ledger });
      await read({ kind: 'list-entries', ledger, accountId: mine, query: 'limit=5' });
      await read({ kind: 'list-movements', sku: 'mug', query: 'limit=5' });
      await read({ kind: 'list-orders', query: `limit=5${round % 2 === 0 ? `&customerId=${mine}` : ''}` });
      await read({ kind: 'read-sku', sku: 'mug' });
      await read({ kind: 'list-products', query: 'limit=10&sort=name' });
    }
  }

  test('find nothing', async () => {
    for (const accountId of ['world', 'merchant', 'shopper', ...Array.from({ length: 6 }, (_, n) => `account-${n}`)]) {
      await ask({ kind: 'open-account', ledger, accountId, currency: 'EUR', overdraft: accountId === 'world' ? 'unlimited' : 'none' });
      if (accountId.startsWith('account')) await ask({ kind: 'transfer', ledger, ...transfer(`first-${accountId}`, 'world', accountId, 300) });
    }
    await ask({ kind: 'transfer', ledger, ...transfer('first', 'world', 'shopper', 60_000) });
    const variants = ['mug', 'cup'].map((sku) => ({ sku, amount: '500', currency: 'EUR' }));
    await ask({ kind: 'create-product', productId: 'dishes', name: 'Dishes', variants });
    for (const sku of ['pen', 'mug', 'cup']) await ask({ kind: 'receive-stock', sku, quantity: 50, reference: 'first' });
    await Promise.all(Array.from({ length: 6 }, (_, client) => day(client)));
    recorder.end();
    const doneAfterMs = await allIsDone(database.pool, 20_000);
    const history = recorder.history();
    const { violations, objects } = check(history, await readFinalState(database.pool), doneAfterMs);
    expect(violations).toEqual([]);
    expect(objects).toMatchObject({ objects: 8, undecided: [] });
    const kinds = new Set(history.entries.map(({ fate }) => fate));
    expect([...kinds].sort()).toEqual(['acknowledged', 'refused']);
  });
});
