import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answer } from '../support/client.js';
import { keysOf, requestOf, type Write } from './actions.js';
import { operationsOf, parseHistory, readHistory, Recorder, type Asking, type Entry } from './history.js';

const transfer: Write = {
  kind: 'transfer',
  ledger: 'north',
  source: 'ann',
  destination: 'bob',
  amount: '10',
  currency: 'EUR',
  reference: 'r1',
  transactionId: 't1',
};
const asking: Asking = { client: 1, server: 'all-1', action: transfer, key: 'k1' };

function answer(status: number, body: object, headers: Answer['headers'] = {}): Answer {
  return { status, headers, text: JSON.stringify(body), body };
}
const failing = (code: string) => () => Promise.reject(Object.assign(new Error('no answer'), { code }));

describe('The recorder', () => {
  test('writes down what was asked, when, and what came of it', async () => {
    const recorder = new Recorder({ seed: '7', command: 'npm run torture -- --seed 7' });
    const headers = { 'consistency-token': '3@17', etag: '"2"', 'idempotency-replayed': 'true' };
    await recorder.attempt(asking, async () => answer(201, { transactionId: 't1' }, headers));
    const [entry] = recorder.history().entries;
    expect(entry).toMatchObject({ ...asking, number: 1, fate: 'acknowledged', status: 201, body: { transactionId: 't1' } });
    expect(entry).toMatchObject({ tokenReceived: '3@17', etag: '"2"', isReplayed: true });
    expect(entry!.endedAtMs).toBeGreaterThanOrEqual(entry!.invokedAtMs);
  });

  test.each([
    ['a connection that broke', failing('ECONNRESET'), 'unknown'],
    ['a process that did not listen', failing('ECONNREFUSED'), 'turned away'],
    ['a database that was away', async () => answer(503, { code: 'database-unavailable' }), 'unknown'],
    ['a view that was behind', async () => answer(503, { code: 'projection-behind' }), 'turned away'],
    ['an account without the money', async () => answer(409, { code: 'insufficient-funds' }), 'refused'],
    ['a bug', async () => answer(500, { code: 'internal-error' }), 'unexpected'],
  ])('says of %s what a client can know', async (_what, ask, fate) => {
    const recorder = new Recorder({ seed: '7', command: '' });
    expect(await recorder.attempt(asking, ask)).toMatchObject({ fate });
  });

  test('has attempts and faults that are under way, without an end', () => {
    const recorder = new Recorder({ seed: '7', command: '' });
    void recorder.attempt(asking, () => new Promise(() => undefined));
    recorder.beginFault('kill', 'all-1');
    const { entries, faults } = recorder.history();
    expect(entries).toMatchObject([{ number: 1, fate: 'unknown' }]);
    expect(entries[0]!.endedAtMs).toBeUndefined();
    expect(faults).toMatchObject([{ name: 'kill', target: 'all-1' }]);
    expect(faults[0]!.healedAtMs).toBeUndefined();
  });

  test('leaves a file that is read back as it was', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rialto-history-'));
    const path = join(folder, 'history.jsonl');
    const recorder = new Recorder({ seed: '7', command: 'again' }, path);
    await recorder.attempt(asking, async () => answer(201, { transactionId: 't1' }));
    recorder.beginFault('kill', 'all-1', { signal: 'SIGKILL' })({ restarts: 1 });
    void recorder.attempt(asking, () => new Promise(() => undefined));
    recorder.end();
    await recorder.close();
    expect(await readHistory(path)).toEqual(recorder.history());

    const cutOff = (await readFile(path, 'utf8')).split('\n').slice(0, 2).join('\n') + '\n{"entry":{"num';
    const left = parseHistory(cutOff);
    expect(left.entries).toEqual(recorder.history().entries.slice(0, 1));
    expect(left.run.endedAtMs).toBe(left.entries[0]!.endedAtMs);
    await rm(folder, { recursive: true });
  });
});

describe('The operations of a history', () => {
  const entry = (number: number, more: Partial<Entry>): Entry => ({
    number, client: 1, server: 'all-1', action: transfer, key: 'k1', invokedAtMs: number * 10, endedAtMs: number * 10 + 5, fate: 'unknown', ...more,
  });

  test('are the attempts with one key, settled by the first definite answer', () => {
    const entries = [entry(1, {}), entry(2, { fate: 'turned away' }), entry(3, { fate: 'acknowledged' }), entry(4, { fate: 'acknowledged' })];
    const [operation, ...others] = operationsOf({ entries });
    expect(others).toEqual([]);
    expect(operation).toMatchObject({ invokedAtMs: 10, endedAtMs: 35, verdict: { number: 3 }, mayHaveHappened: true });
  });

  test('may have happened unless every attempt was turned away', () => {
    expect(operationsOf({ entries: [entry(1, {})] })[0]).toMatchObject({ mayHaveHappened: true });
    expect(operationsOf({ entries: [entry(1, { fate: 'turned away' })] })[0]).toMatchObject({ mayHaveHappened: false });
  });

  test('are one per read', () => {
    const read = { action: { kind: 'read-stock', sku: 'mug' }, key: undefined } as const;
    expect(operationsOf({ entries: [entry(1, read), entry(2, read)] })).toHaveLength(2);
  });
});

describe('An action', () => {
  test('is a request', () => {
    expect(requestOf(transfer)).toEqual({
      method: 'POST',
      path: '/v1/ledgers/north/transactions',
      body: { transactionId: 't1', postings: [{ source: 'ann', destination: 'bob', amount: '10' }], reference: 'r1' },
    });
    expect(requestOf({ kind: 'list-orders', query: 'limit=5' })).toEqual({ method: 'GET', path: '/v1/orders?limit=5' });
  });

  test('is about things', () => {
    expect(keysOf(transfer)).toEqual(['account/north/ann', 'account/north/bob', 'transaction/north/t1']);
    const order: Write = { kind: 'place-order', orderId: 'o1', customerId: 'c', ledger: 'north', account: 'ann', lines: [{ sku: 'mug', quantity: 2 }] };
    expect(keysOf(order)).toEqual(['account/north/ann', 'order/o1', 'sku/mug']);
  });
});
