import { randomUUID } from 'node:crypto';
import { after, type Answer, HttpClient, LedgerClient, type TransferOptions } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';

const largest = '9223372036854775807';

describe('The ledger over HTTP', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;
  let ledger: LedgerClient;
  let ledgers = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  /** Every test has a ledger of its own, with money in the world, and Alice and Bob who have none. */
  beforeEach(async () => {
    ledger = new LedgerClient(http, `ledger-${++ledgers}`);
    await ledger.openSource('world');
    await ledger.openAccount('alice');
    await ledger.account('bob', '', after(await ledger.openAccount('bob')));
  });

  /** Alice's balance and available amount after a write. */
  const aliceAfter = async (...writes: Answer[]) => {
    const { body } = await ledger.account('alice', '', after(...writes));
    return { balance: body.balance, available: body.available };
  };
  const refusalOf = ({ status, body, headers }: Answer) => {
    if (!String(headers['content-type']).startsWith('application/problem+json')) throw new Error(JSON.stringify(body));
    return [status, body.code];
  };
  const events = async () => (await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n as number;

  describe('An account', () => {
    test('is opened once, and read as it was opened', async () => {
      const opened = await ledger.openAccount('carol', { overdraft: { limit: '500' }, metadata: { tier: 'gold' } });
      expect(opened.status).toBe(201);
      expect(opened.body).toEqual({
        accountId: 'carol',
        ledger: ledger.ledger,
        currency: 'EUR',
        overdraft: { limit: '500' },
        balance: '0',
        pendingIn: '0',
        pendingOut: '0',
        available: '500',
        version: 1,
        openedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        metadata: { tier: 'gold' },
      });
      const read = await ledger.account('carol', '', after(opened));
      expect(read.body).toEqual(opened.body);
    });

    test('that exists already with the same content is answered with 200', async () => {
      const content = { overdraft: { limit: '5' }, metadata: { a: 1, b: [2] } };
      const first = await ledger.openAccount('carol', content);
      const again = await ledger.openAccount('carol', { metadata: { b: [2], a: 1 }, overdraft: { limit: 5 } });
      expect([first.status, again.status]).toEqual([201, 200]);
      expect(again.body).toEqual(first.body);
    });

    test.each([
      ['another currency', { currency: 'USD' }],
      ['another overdraft', { overdraft: 'unlimited' }],
      ['other metadata', { metadata: { tier: 'gold' } }],
    ])('that exists already with %s is refused', async (_what, content) => {
      expect(refusalOf(await ledger.openAccount('alice', content))).toEqual([409, 'account-exists']);
    });

    test('is closed with nothing in it, and takes no money any more', async () => {
      const closed = await ledger.closeAccount('bob');
      expect([closed.status, closed.body.version]).toEqual([200, 2]);
      expect(closed.body.closedAt).toBeDefined();
      expect((await ledger.account('bob', '', after(closed))).body).toEqual(closed.body);
      expect((await ledger.closeAccount('bob')).status).toBe(200);
      expect(refusalOf(await ledger.transfer('world', 'bob', '1'))).toEqual([409, 'account-closed']);
    });

    test('is not closed while it has a balance or something pending', async () => {
      await ledger.transfer('world', 'alice', '10');
      expect(refusalOf(await ledger.closeAccount('alice'))).toEqual([409, 'account-not-empty']);
      const pending = await ledger.authorise('alice', 'bob', '10');
      expect(refusalOf(await ledger.closeAccount('bob'))).toEqual([409, 'account-not-empty']);
      await ledger.voidTransaction(pending.body.transactionId);
      expect((await ledger.closeAccount('bob')).status).toBe(200);
      expect(refusalOf(await ledger.closeAccount('nobody'))).toEqual([404, 'account-not-found']);
    });

    test('that is not there is said to be missing', async () => {
      expect(refusalOf(await ledger.account('nobody'))).toEqual([404, 'account-not-found']);
      expect(refusalOf(await ledger.account('nobody', '?at=2030-01-01T00:00:00Z'))).toEqual([404, 'account-not-found']);
      expect(refusalOf(await ledger.statement('nobody'))).toEqual([404, 'account-not-found']);
      expect((await ledger.trialBalance()).status).toBe(200);
    });

    test.each(['__proto__', 'constructor', 'hasOwnProperty', '0', '-', 'a'.repeat(128)])('may be called %s', async (name) => {
      expect((await ledger.openAccount(name)).status).toBe(201);
      const transfer = await ledger.transfer('world', name, '7');
      expect(transfer.status).toBe(201);
      expect(Object.entries(transfer.body.balances)).toContainEqual([name, { balance: '7', available: '7' }]);
      expect((await ledger.account(name, '', after(transfer))).body.balance).toBe('7');
    });
  });

  describe('A transfer', () => {
    test('moves money at once, and says what it left behind', async () => {
      const transfer = await ledger.transfer('world', 'alice', '1050', { reference: 'salary', metadata: { month: 5 } });
      expect(transfer.status).toBe(201);
      expect(transfer.body).toEqual({
        transactionId: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
        status: 'posted',
        postings: [{ source: 'world', destination: 'alice', amount: '1050' }],
        balances: {
          world: { balance: '-1050', available: String(BigInt(largest) - 1050n) },
          alice: { balance: '1050', available: '1050' },
        },
        recordedAt: expect.any(String),
      });
      const read = await ledger.transaction(transfer.body.transactionId, after(transfer));
      expect(read.body).toEqual({
        transactionId: transfer.body.transactionId,
        ledger: ledger.ledger,
        status: 'posted',
        postings: transfer.body.postings,
        reference: 'salary',
        metadata: { month: 5 },
        recordedAt: transfer.body.recordedAt,
        reversal: null,
      });
    });

    test('takes an amount as a string or as an integer', async () => {
      await ledger.transfer('world', 'alice', 1050);
      const last = await ledger.transfer('world', 'alice', Number.MAX_SAFE_INTEGER);
      expect(last.body.postings[0].amount).toBe('9007199254740991');
      expect(await aliceAfter(last)).toEqual({ balance: '9007199254742041', available: '9007199254742041' });
    });

    test('of several postings is all or none, each posting on what the ones before it left', async () => {
      const through = (amount: string) => ({
        postings: [
          { source: 'world', destination: 'alice', amount: '10' },
          { source: 'alice', destination: 'bob', amount },
        ],
      });
      expect(refusalOf(await ledger.post(through('11')))).toEqual([409, 'insufficient-funds']);
      expect((await ledger.account('bob', '', after(await ledger.openAccount('carol')))).body.balance).toBe('0');
      const done = await ledger.post(through('10'));
      expect(done.body.balances).toMatchObject({ alice: { balance: '0' }, bob: { balance: '10' } });
    });

    test('of an id that exists with the same content is answered as it was', async () => {
      const options = { transactionId: 'rent', reference: 'May', metadata: { a: 1 } };
      const first = await ledger.transfer('world', 'alice', '10', options);
      const again = await ledger.transfer('world', 'alice', 10, options);
      expect([first.status, again.status]).toEqual([201, 200]);
      expect(again.body).toEqual(first.body);
      expect(await aliceAfter(again)).toEqual({ balance: '10', available: '10' });
    });

    test.each([
      ['amount', { amount: '11' }],
      ['reference', { reference: 'June' }],
      ['metadata', { metadata: { a: 2 } }],
      ['pending', { pending: true }],
    ])('of an id that exists with another %s is refused', async (_what, other) => {
      const { amount = '10', ...options } = { reference: 'May', metadata: { a: 1 }, ...other } as TransferOptions & { amount?: string };
      await ledger.transfer('world', 'alice', '10', { transactionId: 'rent', reference: 'May', metadata: { a: 1 } });
      const refused = await ledger.transfer('world', 'alice', amount, { transactionId: 'rent', ...options });
      expect(refusalOf(refused)).toEqual([409, 'transaction-exists']);
    });

    test('takes no more than is available: nothing, a limit, or without limit', async () => {
      await ledger.openAccount('limited', { overdraft: { limit: '100' } });
      expect(refusalOf(await ledger.transfer('alice', 'bob', '1'))).toEqual([409, 'insufficient-funds']);
      expect((await ledger.transfer('limited', 'bob', '100')).body.balances.limited).toEqual({ balance: '-100', available: '0' });
      expect(refusalOf(await ledger.transfer('limited', 'bob', '1'))).toEqual([409, 'insufficient-funds']);
      expect((await ledger.transfer('world', 'bob', largest.replace('5807', '5000'))).status).toBe(201);
    });

    test('is exact to the last of 64 bits', async () => {
      const all = await ledger.transfer('world', 'alice', largest);
      expect(all.body.postings[0].amount).toBe(largest);
      expect(all.body.balances).toEqual({
        world: { balance: `-${largest}`, available: '0' },
        alice: { balance: largest, available: largest },
      });
      expect(await aliceAfter(all)).toEqual({ balance: largest, available: largest });
      expect((await ledger.statement('alice', '', after(all))).body.items[0]).toMatchObject({ amount: largest, balanceAfter: largest });
      expect((await ledger.trialBalance(after(all))).body.currencies.EUR).toMatchObject({ debits: largest, credits: largest, net: '0' });
      await ledger.openSource('other-world');
      expect(refusalOf(await ledger.transfer('other-world', 'alice', '1'))).toEqual([409, 'amount-out-of-range']);
      const back = await ledger.transfer('alice', 'world', largest);
      expect(back.body.balances.world).toEqual({ balance: '0', available: largest });
    });

    test('counts what is pending before it fills an account', async () => {
      await ledger.authorise('world', 'alice', largest);
      await ledger.openSource('other-world');
      expect(refusalOf(await ledger.transfer('other-world', 'alice', '1'))).toEqual([409, 'amount-out-of-range']);
    });

    test.each(['9223372036854775808', '-1', '0', '1.5', '01', '1e3', '', ' 1', '+1', 2 ** 53, 1.5, -1, 0, true, null, {}])(
      'of the amount %p is no transfer',
      async (amount) => {
        const before = await events();
        expect(refusalOf(await ledger.transfer('world', 'alice', amount as string))).toEqual([400, 'validation-failed']);
        expect(await events()).toBe(before);
      },
    );

    test('needs one posting at least and a hundred at most', async () => {
      const posting = { source: 'world', destination: 'alice', amount: '1' };
      expect(refusalOf(await ledger.post({ postings: [] }))).toEqual([400, 'validation-failed']);
      expect(refusalOf(await ledger.post({ postings: Array(101).fill(posting) }))).toEqual([400, 'validation-failed']);
      const most = await ledger.post({ postings: Array(100).fill(posting) });
      expect([most.status, most.body.balances.alice.balance]).toEqual([201, '100']);
    });

    test('is refused for the first reason in the order of the contract, whatever else is wrong with it', async () => {
      await ledger.openAccount('dollars', { currency: 'USD' });
      await ledger.openAccount('closed');
      await ledger.closeAccount('closed');
      await ledger.openSource('full');
      await ledger.transfer('full', 'bob', largest);
      await ledger.transfer('world', 'alice', '1', { transactionId: 'taken' });
      const posting = (source: string, destination: string, amount = '5') => ({ source, destination, amount });
      // Each posting is wrong in one way. The worst come last, and still are what is said.
      const wrong = [
        ['insufficient-funds', posting('alice', 'world')],
        ['amount-out-of-range', posting('world', 'bob')],
        ['same-account', posting('world', 'world')],
        ['currency-mismatch', posting('world', 'dollars')],
        ['account-closed', posting('world', 'closed')],
        ['account-not-found', posting('world', 'nobody')],
      ] as const;
      for (let count = 1; count <= wrong.length; count++) {
        const postings = wrong.slice(0, count).map(([, one]) => one);
        const [code] = wrong[count - 1]!;
        const status = code === 'account-not-found' ? 404 : 409;
        expect(refusalOf(await ledger.post({ postings }))).toEqual([status, code]);
        expect(refusalOf(await ledger.post({ postings: [...postings].reverse() }))).toEqual([status, code]);
        expect(refusalOf(await ledger.post({ transactionId: 'taken', postings }))).toEqual([409, 'transaction-exists']);
      }
    });
  });

  describe('A pending transaction', () => {
    beforeEach(() => ledger.transfer('world', 'alice', '100'));

    test('sets its amount aside, and is captured', async () => {
      const pending = await ledger.authorise('alice', 'bob', '60');
      expect([pending.status, pending.body.status]).toEqual([201, 'pending']);
      expect(await aliceAfter(pending)).toEqual({ balance: '100', available: '40' });
      expect((await ledger.account('bob', '', after(pending))).body).toMatchObject({ balance: '0', pendingIn: '60' });
      expect(refusalOf(await ledger.transfer('alice', 'bob', '41'))).toEqual([409, 'insufficient-funds']);

      const { transactionId } = pending.body;
      const captured = await ledger.capture(transactionId);
      expect([captured.status, captured.body.status]).toEqual([200, 'posted']);
      expect(await aliceAfter(captured)).toEqual({ balance: '40', available: '40' });
      expect((await ledger.transaction(transactionId, after(captured))).body).toMatchObject({ status: 'posted' });
      expect(refusalOf(await ledger.capture(transactionId))).toEqual([409, 'not-pending']);
      expect(refusalOf(await ledger.voidTransaction(transactionId))).toEqual([409, 'not-pending']);
    });

    test('is captured in part, and the rest is released', async () => {
      const { body } = await ledger.authorise('alice', 'bob', '60');
      expect(refusalOf(await ledger.capture(body.transactionId, '61'))).toEqual([409, 'capture-exceeds-pending']);
      const captured = await ledger.capture(body.transactionId, '25');
      expect(captured.body.postings).toEqual([{ source: 'alice', destination: 'bob', amount: '25' }]);
      expect(await aliceAfter(captured)).toEqual({ balance: '75', available: '75' });
      expect((await ledger.account('bob', '', after(captured))).body).toMatchObject({ balance: '25', pendingIn: '0' });
    });

    test('of several postings is captured as a whole', async () => {
      const posting = { source: 'alice', destination: 'bob', amount: '10' };
      const { body } = await ledger.post({ pending: true, postings: [posting, posting] });
      expect(refusalOf(await ledger.capture(body.transactionId, '10'))).toEqual([409, 'partial-capture-not-supported']);
      expect((await ledger.capture(body.transactionId, '20')).body.balances.bob.balance).toBe('20');
    });

    test('is voided, and gives back what it set aside', async () => {
      const { body } = await ledger.authorise('alice', 'bob', '60');
      const voided = await ledger.voidTransaction(body.transactionId);
      expect([voided.status, voided.body.status]).toEqual([200, 'voided']);
      expect(await aliceAfter(voided)).toEqual({ balance: '100', available: '100' });
      expect(refusalOf(await ledger.capture(body.transactionId))).toEqual([409, 'not-pending']);
    });

    test('is captured or voided, never both, when both are tried at once', async () => {
      for (let round = 0; round < 10; round++) {
        const { body } = await ledger.authorise('alice', 'bob', '1');
        const answers = await Promise.all([ledger.capture(body.transactionId), ledger.voidTransaction(body.transactionId)]);
        expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
      }
    });

    test('expires by itself', async () => {
      const pending = await ledger.authorise('alice', 'bob', '60', { expiresInSeconds: 1 });
      const { transactionId, expiresAt, recordedAt } = pending.body;
      expect(Date.parse(expiresAt) - Date.parse(recordedAt)).toBe(1_000);
      const expired = await eventually(
        () => ledger.transaction(transactionId),
        ({ body }) => body.status === 'expired',
      );
      expect(expired.body.expiresAt).toBe(expiresAt);
      expect((await ledger.account('alice')).body).toMatchObject({ balance: '100', available: '100', pendingOut: '0' });
      expect(refusalOf(await ledger.capture(transactionId))).toEqual([409, 'not-pending']);
    });

    test('that was captured in time has no deadline any more, and is not touched by one that comes all the same', async () => {
      const { body } = await ledger.authorise('alice', 'bob', '60', { expiresInSeconds: 3_600 });
      const deadlines = `SELECT * FROM commands WHERE payload->>'transactionId' = $1`;
      const [deadline] = (await database.pool.query(deadlines, [body.transactionId])).rows;
      expect(deadline.status).toBe('scheduled');
      const captured = await ledger.capture(body.transactionId);
      expect((await database.pool.query(deadlines, [body.transactionId])).rows).toEqual([]);
      // As of a worker that had claimed it just before.
      const { partition, command_id: id, type, payload, metadata } = deadline;
      await database.pool.query(
        `INSERT INTO commands (partition, command_id, type, payload, metadata, status, due_at, accepted_at) VALUES ($1, $2, $3, $4, $5, 'scheduled', now(), now())`,
        [partition, id, type, payload, metadata],
      );
      await eventually(
        async () => (await database.pool.query(deadlines, [body.transactionId])).rows,
        ([command]) => command?.status === 'executed',
      );
      expect(await aliceAfter(captured)).toEqual({ balance: '40', available: '40' });
    });

    test('only has a deadline', async () => {
      const posted = await ledger.transfer('alice', 'bob', '1', { expiresInSeconds: 60 });
      expect(refusalOf(posted)).toEqual([400, 'validation-failed']);
    });

    test('that is not there is said to be missing', async () => {
      for (const answer of [await ledger.capture('none'), await ledger.voidTransaction('none'), await ledger.transaction('none'), await ledger.reverse('none')]) {
        expect(refusalOf(answer)).toEqual([404, 'transaction-not-found']);
      }
    });
  });

  describe('A reversal', () => {
    test('moves the money back by a transaction of its own, and both say so', async () => {
      const original = await ledger.transfer('world', 'alice', '10');
      const { transactionId } = original.body;
      const reversal = await ledger.reverse(transactionId, { transactionId: 'back', reference: 'mistake' });
      expect(reversal.status).toBe(200);
      expect(reversal.body).toMatchObject({
        transactionId: 'back',
        status: 'posted',
        reverses: transactionId,
        postings: [{ source: 'alice', destination: 'world', amount: '10' }],
      });
      expect(await aliceAfter(reversal)).toEqual({ balance: '0', available: '0' });
      expect((await ledger.transaction(transactionId, after(reversal))).body.reversal).toEqual({
        transactionId: 'back',
        recordedAt: reversal.body.recordedAt,
      });
      expect((await ledger.transaction('back', after(reversal))).body).toMatchObject({ reverses: transactionId, reversal: null });
      expect(refusalOf(await ledger.reverse(transactionId))).toEqual([409, 'already-reversed']);
      expect(refusalOf(await ledger.reverse('back'))).toEqual([409, 'not-reversible']);
      const repeated = await ledger.reverse(transactionId, { transactionId: 'back', reference: 'mistake' });
      expect([repeated.status, repeated.body]).toEqual([200, reversal.body]);
      expect(refusalOf(await ledger.reverse(transactionId, { transactionId: 'back' }))[0]).toBe(409);
    });

    test('of a transaction that is pending or void is refused', async () => {
      const { body } = await ledger.authorise('world', 'alice', '10');
      expect(refusalOf(await ledger.reverse(body.transactionId))).toEqual([409, 'not-reversible']);
      await ledger.voidTransaction(body.transactionId);
      expect(refusalOf(await ledger.reverse(body.transactionId))).toEqual([409, 'not-reversible']);
    });

    test('is refused when the money is gone, and when the reversal’s id is taken', async () => {
      const { body } = await ledger.transfer('world', 'alice', '10', { transactionId: 'first' });
      expect(refusalOf(await ledger.reverse(body.transactionId, { transactionId: 'first' }))).toEqual([409, 'transaction-exists']);
      await ledger.transfer('alice', 'bob', '10');
      expect(refusalOf(await ledger.reverse(body.transactionId))).toEqual([409, 'insufficient-funds']);
    });

    test('attempted twice at once for every transaction succeeds exactly once for each', async () => {
      const transfers = await Promise.all(Array.from({ length: 40 }, () => ledger.transfer('world', 'alice', '3')));
      const attempts = transfers.flatMap(({ body }) => [body.transactionId, body.transactionId]);
      const answers = await Promise.all(attempts.map((id: string) => ledger.reverse(id)));
      for (let i = 0; i < attempts.length; i += 2) {
        const pair = [answers[i]!, answers[i + 1]!];
        expect(pair.map(({ status }) => status).sort()).toEqual([200, 409]);
        expect(pair.find(({ status }) => status === 409)!.body.code).toBe('already-reversed');
      }
      expect(await aliceAfter(...answers.filter(({ status }) => status === 200))).toEqual({ balance: '0', available: '0' });
    });
  });

  describe('Many transactions in one request', () => {
    const items = [
      { transactionId: 'b1', postings: [{ source: 'world', destination: 'alice', amount: '10' }] },
      { transactionId: 'b2', postings: [{ source: 'alice', destination: 'bob', amount: '11' }] },
      { transactionId: 'b3', postings: [{ source: 'alice', destination: 'bob', amount: '4' }] },
      { transactionId: 'b4', pending: true, postings: [{ source: 'alice', destination: 'bob', amount: '6' }] },
      { transactionId: 'b5', postings: [{ source: 'alice', destination: 'nobody', amount: '1' }] },
    ];
    const eachOnItsOwn = [
      { transactionId: 'b1', status: 'posted' },
      { transactionId: 'b2', status: 'refused', code: 'insufficient-funds', detail: expect.any(String) },
      { transactionId: 'b3', status: 'posted' },
      { transactionId: 'b4', status: 'pending' },
      { transactionId: 'b5', status: 'refused', code: 'account-not-found', detail: expect.any(String) },
    ];

    test('are each on their own, in order', async () => {
      const bulk = await ledger.bulk(items);
      expect([bulk.status, bulk.body.results]).toEqual([200, eachOnItsOwn]);
      expect(await aliceAfter(bulk)).toEqual({ balance: '6', available: '0' });
    });

    test('may come as lines', async () => {
      const lines = items.map((item) => JSON.stringify(item)).join('\r\n');
      const bulk = await ledger.bulkLines(`\n${lines}\n\n`);
      expect([bulk.status, bulk.body.results]).toEqual([200, eachOnItsOwn]);
    });

    test('are all or none when they are asked to be', async () => {
      const refused = await ledger.bulk(items, '?atomic=true');
      expect(refusalOf(refused)).toEqual([409, 'insufficient-funds']);
      expect(refused.body.detail).toContain('item 1');
      expect((await ledger.account('alice', '', after(await ledger.openAccount('carol')))).body.version).toBe(1);
      const done = await ledger.bulk([items[0], items[2]], '?atomic=true');
      expect(done.body.results.map(({ status }: { status: string }) => status)).toEqual(['posted', 'posted']);
    });

    test('with a line that does not match are none', async () => {
      const before = await events();
      const lines = [...items.map((item) => JSON.stringify(item)), '{"postings":[]}'].join('\n');
      const refused = await ledger.bulkLines(lines);
      expect(refusalOf(refused)).toEqual([400, 'validation-failed']);
      expect(refused.body.errors[0].path).toBe('/5/postings');
      expect(refusalOf(await ledger.bulkLines('{"postings":'))).toEqual([400, 'malformed-json']);
      expect(refusalOf(await ledger.bulkLines(''))).toEqual([400, 'validation-failed']);
      expect(refusalOf(await ledger.bulk([]))).toEqual([400, 'validation-failed']);
      expect(refusalOf(await ledger.bulk({}))).toEqual([400, 'validation-failed']);
      expect(await events()).toBe(before);
    });

    test('may be ten thousand, and are done once for a key', async () => {
      const many = Array.from({ length: 10_000 }, (_, index) => ({
        postings: [{ source: 'world', destination: 'alice', amount: '1' }],
        reference: `item ${index}`,
      }));
      const headers = { 'idempotency-key': 'ten-thousand' };
      const lines = many.map((item) => JSON.stringify(item)).join('\n');
      const bulk = await ledger.bulkLines(lines, '', headers);
      expect(bulk.status).toBe(200);
      expect(bulk.body.results).toHaveLength(10_000);
      expect(new Set(bulk.body.results.map(({ status }: { status: string }) => status))).toEqual(new Set(['posted']));
      const again = await ledger.bulkLines(lines, '', headers);
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(again.text).toBe(bulk.text);
      expect(await aliceAfter(bulk)).toEqual({ balance: '10000', available: '10000' });
      expect(refusalOf(await ledger.bulk([...many, many[0]]))).toEqual([400, 'validation-failed']);
    });

    test('may name one transaction twice: the second finds the first', async () => {
      const bulk = await ledger.bulk([items[0], items[0], { ...items[0], reference: 'other' }]);
      expect(bulk.body.results.map(({ status, code }: { status: string; code?: string }) => code ?? status)).toEqual([
        'posted',
        'posted',
        'transaction-exists',
      ]);
      expect(await aliceAfter(bulk)).toEqual({ balance: '10', available: '10' });
    });
  });

  describe('An Idempotency-Key', () => {
    test('gives a repeated request the same status and body, and says so', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const first = await ledger.transfer('world', 'alice', '10', { headers });
      const again = await ledger.transfer('world', 'alice', '10', { headers });
      expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
      expect([first.headers['idempotency-replayed'], again.headers['idempotency-replayed']]).toEqual([undefined, 'true']);
      expect(again.headers['content-type']).toBe(first.headers['content-type']);
      expect(again.headers['consistency-token']).toBe(first.headers['consistency-token']);
      expect(await aliceAfter(again)).toEqual({ balance: '10', available: '10' });
    });

    test('keeps a refusal too, also when it would be none any more', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const refused = await ledger.transfer('alice', 'bob', '10', { headers });
      await ledger.transfer('world', 'alice', '10');
      const again = await ledger.transfer('alice', 'bob', '10', { headers });
      expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([409, refused.text, 'true']);
      expect((await ledger.transfer('alice', 'bob', '10', { headers: { 'idempotency-key': randomUUID() } })).status).toBe(201);
    });

    test('does not mind in which order a body’s fields come', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const first = await ledger.post({ reference: 'x', postings: [{ source: 'world', destination: 'alice', amount: '1' }] }, headers);
      const again = await ledger.post({ postings: [{ amount: '1', destination: 'alice', source: 'world' }], reference: 'x' }, headers);
      expect([again.status, again.text]).toEqual([201, first.text]);
    });

    test('is refused for another request', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      await ledger.transfer('world', 'alice', '10', { headers });
      const before = await events();
      expect(refusalOf(await ledger.transfer('world', 'alice', '11', { headers }))).toEqual([422, 'idempotency-key-reused']);
      expect(refusalOf(await ledger.transfer('world', 'alice', '11', { headers: { ...headers, prefer: 'respond-async' } }))).toEqual([422, 'idempotency-key-reused']);
      expect(await events()).toBe(before);
    });

    test('means something else in another place', async () => {
      const headers = { 'idempotency-key': 'the-same' };
      const other = new LedgerClient(http, `${ledger.ledger}-other`);
      await other.openSource('world');
      await other.openAccount('alice');
      const one = await ledger.transfer('world', 'alice', '10', { headers });
      const two = await other.transfer('world', 'alice', '20', { headers });
      const three = await ledger.reverse(one.body.transactionId, undefined, headers);
      expect([one.status, two.status, three.status]).toEqual([201, 201, 200]);
    });

    test('counts once for a path, however it is escaped, and whatever empty query follows', async () => {
      const scoped = new LedgerClient(http, `${ledger.ledger}:a`);
      await scoped.openSource('world');
      await scoped.openAccount('alice');
      const path = (suffix: string, name = scoped.ledger) => `/v1/ledgers/${name}/transactions${suffix}`;
      const body = { postings: [{ source: 'world', destination: 'alice', amount: '10' }] };
      const headers = { 'idempotency-key': randomUUID() };
      const first = await http.post(path(''), body, headers);
      const escaped = `%6c${scoped.ledger.slice(1).replace(':', '%3A')}`;
      for (const same of [path('?'), path('', scoped.ledger.replace(':', '%3a')), path('', escaped), path('?', escaped)]) {
        const again = await http.post(same, body, headers);
        expect([same, again.status, again.text, again.headers['idempotency-replayed']]).toEqual([same, 201, first.text, 'true']);
      }
      expect((await http.post(path('?x=1'), body, headers)).status).not.toBe(201);
      expect((await scoped.account('alice', '', after(first))).body.balance).toBe('10');
    });

    test('with another query is of another request', async () => {
      const path = (query: string) => `/v1/ledgers/${ledger.ledger}/transactions/bulk${query}`;
      const item = { postings: [{ source: 'world', destination: 'alice', amount: '10' }] };
      for (const options of [{ body: [item] }, { body: JSON.stringify(item), contentType: 'application/x-ndjson' }]) {
        const request = { ...options, headers: { 'idempotency-key': randomUUID() } };
        const first = await http.request('POST', path(''), request);
        expect(first.status).toBe(200);
        for (const query of ['?atomic=true', '?atomic=false']) {
          expect(refusalOf(await http.request('POST', path(query), request))).toEqual([422, 'idempotency-key-reused']);
        }
        expect((await http.request('POST', path('?'), request)).headers['idempotency-replayed']).toBe('true');
        const atomic = { ...options, headers: { 'idempotency-key': randomUUID() } };
        const whole = await http.request('POST', path('?atomic=true'), atomic);
        const again = await http.request('POST', path('?%61tomic=tr%75e'), atomic);
        expect([whole.status, again.text, again.headers['idempotency-replayed']]).toEqual([200, whole.text, 'true']);
        expect(refusalOf(await http.request('POST', path(''), atomic))).toEqual([422, 'idempotency-key-reused']);
      }
    });

    test('of twenty requests at once takes effect once, and all of them get its answer', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const answers = await Promise.all(Array.from({ length: 20 }, () => ledger.transfer('world', 'alice', '10', { headers })));
      expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
      expect(answers[0]!.status).toBe(201);
      expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(19);
      expect(await aliceAfter(answers[0]!)).toEqual({ balance: '10', available: '10' });
    });

    test('of different requests at once takes effect for one of them', async () => {
      const headers = { 'idempotency-key': randomUUID() };
      const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => ledger.transfer('world', 'alice', `${i + 1}`, { headers })));
      expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(9).fill(422)]);
    });

    test.each(['', ' ', 'a b', 'a'.repeat(256)])('like %p is none', async (key) => {
      expect(refusalOf(await ledger.transfer('world', 'alice', '10', { headers: { 'idempotency-key': key } }))).toEqual([400, 'validation-failed']);
    });

    test('given twice is none', async () => {
      const headers = { 'idempotency-key': ['a', 'b'] };
      const answer = await http.request('POST', ledger.path('accounts'), { body: { accountId: 'x', currency: 'EUR' }, headers });
      expect(refusalOf(answer)).toEqual([400, 'validation-failed']);
    });
  });

  describe('A command accepted for later', () => {
    const later = { prefer: 'respond-async' };
    const outcomeOf = (accepted: Answer) =>
      eventually(() => http.get(String(accepted.headers.location)), ({ body }) => !['accepted'].includes(body.status));

    test('is answered with 202 and where to ask, and is run', async () => {
      const accepted = await ledger.transfer('world', 'alice', '10', { headers: later });
      expect(accepted.status).toBe(202);
      expect(accepted.headers.location).toBe(`/v1/commands/${encodeURIComponent(accepted.body.commandId)}`);
      expect(accepted.body).toEqual({ commandId: accepted.body.commandId, status: 'accepted' });
      const { body } = await outcomeOf(accepted);
      expect(body).toMatchObject({
        commandId: accepted.body.commandId,
        type: 'ledger.post-transaction',
        status: 'executed',
        attempts: 1,
        result: { status: 'posted', balances: { alice: { balance: '10' } } },
      });
      expect(Date.parse(body.completedAt)).toBeGreaterThanOrEqual(Date.parse(body.acceptedAt));
    });

    test('may be refused, and says why', async () => {
      const { body } = await outcomeOf(await ledger.transfer('alice', 'bob', '10', { headers: later }));
      expect(body).toMatchObject({ status: 'refused', problem: { code: 'insufficient-funds', status: 409 } });
    });

    test('is accepted once for a key, and its answer is what a later direct request gets', async () => {
      const headers = { ...later, 'idempotency-key': randomUUID() };
      const [first, second] = await Promise.all([
        ledger.transfer('world', 'alice', '10', { headers }),
        ledger.transfer('world', 'alice', '10', { headers }),
      ]);
      expect([first!.status, second!.status]).toEqual([202, 202]);
      expect(second!.body.commandId).toBe(first!.body.commandId);
      expect([first!, second!].filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(1);
      const outcome = await outcomeOf(first!);
      const direct = await ledger.transfer('world', 'alice', '10', { headers: { 'idempotency-key': headers['idempotency-key'] } });
      expect([direct.status, direct.headers['idempotency-replayed']]).toEqual([201, 'true']);
      expect(direct.body).toEqual(outcome.body.result);
      expect(await aliceAfter(direct)).toEqual({ balance: '10', available: '10' });
    });

    test('works for every write', async () => {
      const pending = await ledger.authorise('world', 'alice', '10');
      const writes = [
        await ledger.openAccount('carol', {}, later),
        await ledger.closeAccount('bob', later),
        await ledger.capture(pending.body.transactionId, undefined, later),
        await ledger.bulk([{ postings: [{ source: 'world', destination: 'alice', amount: '5' }] }], '', later),
      ];
      for (const write of writes) {
        expect(write.status).toBe(202);
        expect((await outcomeOf(write)).body.status).toBe('executed');
      }
      const reversed = await ledger.reverse(pending.body.transactionId, undefined, later);
      expect((await outcomeOf(reversed)).body.result).toMatchObject({ reverses: pending.body.transactionId });
    });

    test('that is not valid is refused at once', async () => {
      expect(refusalOf(await ledger.transfer('world', 'alice', '-1', { headers: later }))).toEqual([400, 'validation-failed']);
    });

    test('is redriven only when it has failed', async () => {
      const accepted = await ledger.transfer('world', 'alice', '10', { headers: later });
      await outcomeOf(accepted);
      const redrive = (id: string) => http.post(`/v1/commands/${encodeURIComponent(id)}/redrive`);
      expect(refusalOf(await redrive(accepted.body.commandId))).toEqual([409, 'not-failed']);
      expect(refusalOf(await redrive('3.nothing'))).toEqual([404, 'command-not-found']);
      expect(refusalOf(await redrive('nonsense'))).toEqual([404, 'command-not-found']);
      expect(refusalOf(await http.get('/v1/commands/3.nothing'))).toEqual([404, 'command-not-found']);
      expect(refusalOf(await http.get('/v1/commands/999.nothing'))).toEqual([404, 'command-not-found']);
    });

    test('is redriven with the rules of a write', async () => {
      const accepted = await ledger.transfer('world', 'alice', '10', { headers: later });
      await outcomeOf(accepted);
      const redrive = (body?: unknown, headers?: Record<string, string>, query = '') =>
        http.post(`/v1/commands/${encodeURIComponent(accepted.body.commandId)}/redrive${query}`, body, headers);
      const unknown = await redrive({ foo: 1 });
      expect([refusalOf(unknown), unknown.body.errors]).toEqual([[400, 'validation-failed'], [{ path: '/foo', message: 'is unknown' }]]);
      expect(refusalOf(await redrive([]))).toEqual([400, 'validation-failed']);
      expect(refusalOf(await redrive({}, { 'idempotency-key': 'x'.repeat(256) }))).toEqual([400, 'validation-failed']);
      expect(refusalOf(await redrive({}, {}, '?x=1'))).toEqual([400, 'validation-failed']);
      for (const headers of [{ 'idempotency-key': 'a-key' }, later]) expect(refusalOf(await redrive({}, headers))).toEqual([409, 'not-failed']);
    });

    test('is read with a Consistency-Token like anything else', async () => {
      const accepted = await ledger.transfer('world', 'alice', '10', { headers: later });
      const path = `/v1/commands/${accepted.body.commandId}`;
      const token = String((await ledger.transfer('world', 'alice', '10')).headers['consistency-token']);
      for (const read of [path, '/v1/commands?status=failed']) {
        expect((await http.get(read, { 'consistency-token': token })).status).toBe(200);
        for (const bad of ['nonsense', '999@1']) {
          expect(refusalOf(await http.get(read, { 'consistency-token': bad }))).toEqual([400, 'bad-consistency-token']);
        }
      }
    });

    test('is listed while it waits', async () => {
      const pending = await ledger.authorise('world', 'alice', '10', { expiresInSeconds: 3_600 });
      const all: { type: string; dueAt: string }[] = [];
      let cursor = '';
      do {
        const page = await http.get(`/v1/commands?status=scheduled&limit=2${cursor}`);
        all.push(...page.body.items);
        cursor = page.body.nextCursor ? `&cursor=${page.body.nextCursor}` : '';
      } while (cursor);
      expect(all).toContainEqual(expect.objectContaining({ type: 'ledger.expire-transaction', dueAt: pending.body.expiresAt }));
      expect(refusalOf(await http.get('/v1/commands?status=executed'))).toEqual([400, 'validation-failed']);
    });
  });

  describe('A statement', () => {
    test('shows what moved, newest first, page by page, without a gap or a repetition', async () => {
      const posting = { source: 'world', destination: 'alice', amount: '1' };
      await ledger.post({ postings: [posting, posting, posting], reference: 'three at once' });
      const items = Array.from({ length: 20 }, (_, index) => ({ postings: [{ ...posting, amount: String(index + 1) }], reference: `no ${index}` }));
      const bulk = await ledger.bulk(items);
      const back = await ledger.transfer('alice', 'bob', '50', { reference: 'last' });
      const whole = await ledger.statement('alice', '', after(bulk, back));
      expect(whole.body.nextCursor).toBeNull();
      expect(whole.body.items).toHaveLength(24);
      expect(whole.body.items[0]).toEqual({
        transactionId: back.body.transactionId,
        amount: '-50',
        balanceAfter: '163',
        counterparty: 'bob',
        reference: 'last',
        recordedAt: back.body.recordedAt,
      });
      let balance = 163n;
      for (const entry of whole.body.items) {
        expect(entry.balanceAfter).toBe(String(balance));
        balance -= BigInt(entry.amount);
      }
      expect(balance).toBe(0n);
      for (const limit of [1, 5, 7, 24]) {
        const paged: unknown[] = [];
        let query = `?limit=${limit}`;
        for (;;) {
          const { body } = await ledger.statement('alice', query);
          paged.push(...body.items);
          expect(body.items.length).toBeLessThanOrEqual(limit);
          if (body.nextCursor === null) break;
          query = `?limit=${limit}&cursor=${body.nextCursor}`;
        }
        expect(paged).toEqual(whole.body.items);
      }
    });

    test('shows a time from when, included, to when, not included', async () => {
      const times: string[] = [];
      for (const amount of ['1', '2', '3']) {
        const transfer = await ledger.transfer('world', 'alice', amount);
        times.push(transfer.body.recordedAt);
        await eventually(async () => Date.now(), (now) => now > Date.parse(times.at(-1)!) + 2);
      }
      const last = await ledger.transfer('world', 'bob', '1');
      const amounts = async (query: string) =>
        (await ledger.statement('alice', query, after(last))).body.items.map(({ amount }: { amount: string }) => amount);
      expect(await amounts(`?from=${times[1]}`)).toEqual(['3', '2']);
      expect(await amounts(`?to=${times[1]}`)).toEqual(['1']);
      expect(await amounts(`?from=${times[1]}&to=${times[2]}`)).toEqual(['2']);
      expect(await amounts(`?from=${encodeURIComponent(times[1]!.replace('Z', '+00:00'))}`)).toEqual(['3', '2']);
      expect(await amounts(`?from=${times[2]}&to=${times[1]}`)).toEqual([]);
      const { body: page } = await ledger.statement('alice', `?from=${times[0]}&limit=1`);
      expect(refusalOf(await ledger.statement('alice', `?limit=1&cursor=${page.nextCursor}`))).toEqual([400, 'bad-cursor']);
    });

    test('is empty for an account that nothing happened to', async () => {
      expect((await ledger.statement('bob', '', after(await ledger.openAccount('carol')))).body).toEqual({ items: [], nextCursor: null });
    });

    test('does not show what is pending or was voided', async () => {
      const pending = await ledger.authorise('world', 'alice', '5');
      expect((await ledger.statement('alice', '', after(pending))).body.items).toEqual([]);
      const captured = await ledger.capture(pending.body.transactionId, '2');
      expect((await ledger.statement('alice', '', after(captured))).body.items).toMatchObject([{ amount: '2', balanceAfter: '2' }]);
    });

    test('shows each posting of an account that is on both sides of several', async () => {
      const first = { source: 'world', destination: 'alice', amount: '10' };
      const there = { source: 'alice', destination: 'bob', amount: '4' };
      const back = { source: 'bob', destination: 'alice', amount: '1' };
      const { body, headers } = await ledger.post({ postings: [first, there, back, there], reference: 'to and fro' });
      const token = { 'consistency-token': String(headers['consistency-token']) };
      const entries: { amount: string; balanceAfter: string; transactionId: string }[] = [];
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await ledger.statement('alice', `?limit=1${cursor && `&cursor=${cursor}`}`, token);
        entries.push(...page.body.items);
        cursor = page.body.nextCursor;
      }
      expect(entries.map(({ amount, balanceAfter }) => [amount, balanceAfter])).toEqual([['-4', '3'], ['1', '7'], ['-4', '6'], ['10', '10']]);
      expect(new Set(entries.map(({ transactionId }) => transactionId))).toEqual(new Set([body.transactionId]));
    });

    test('goes on behind what was only set aside, however much that is', async () => {
      await ledger.transfer('world', 'alice', '9');
      const pending = Array.from({ length: 110 }, (_, index) => ({
        transactionId: `p${index}`,
        postings: [{ source: 'world', destination: 'alice', amount: '1' }],
        pending: true,
      }));
      await ledger.bulk(pending);
      await Promise.all(pending.map(({ transactionId }) => ledger.voidTransaction(transactionId)));
      const last = await ledger.authorise('alice', 'bob', '2');
      const { body } = await ledger.statement('alice', '?limit=1', after(last));
      expect(body).toMatchObject({ items: [{ amount: '9', balanceAfter: '9' }], nextCursor: null });
      expect((await ledger.account('alice', `?at=${last.body.recordedAt}`, after(last))).body.balance).toBe('9');
    });
  });

  describe('A balance as of a time', () => {
    test('is what it was then', async () => {
      const opened = (await ledger.account('alice', '', after(await ledger.openAccount('carol')))).body.openedAt as string;
      const moments: [string, string][] = [[opened, '0']];
      let balance = 0;
      let last!: Answer;
      for (const amount of [5, 7, 11]) {
        await eventually(async () => Date.now(), (now) => now > Date.parse(moments.at(-1)![0]) + 2);
        last = await ledger.transfer('world', 'alice', amount);
        balance += amount;
        moments.push([last.body.recordedAt, String(balance)]);
      }
      for (const [time, then] of moments) {
        const { body } = await ledger.account('alice', `?at=${time}`, after(last));
        expect(body).toMatchObject({ accountId: 'alice', balance: then, at: time });
      }
      expect((await ledger.account('alice', '?at=2100-01-01T00:00:00Z')).body.balance).toBe('23');
      expect(refusalOf(await ledger.account('alice', '?at=2001-01-01T00:00:00Z'))).toEqual([404, 'account-not-found']);
      expect(refusalOf(await ledger.account('alice', '?at=yesterday'))).toEqual([400, 'validation-failed']);
    });
  });

  describe('The list of accounts', () => {
    test('is in the order of ids, by prefix and currency, page by page', async () => {
      let last!: Answer;
      for (const id of ['shop:b', 'shop:a', 'shop:C', 'shop', 'shoq', 'shop.x']) {
        last = await ledger.openAccount(id, { currency: id === 'shop:b' ? 'USD' : 'EUR' });
      }
      const ids = async (query: string) => (await ledger.accounts(query, after(last))).body.items.map(({ accountId }: { accountId: string }) => accountId);
      expect(await ids('')).toEqual(['alice', 'bob', 'shop', 'shop.x', 'shop:C', 'shop:a', 'shop:b', 'shoq', 'world']);
      expect(await ids('?prefix=shop:')).toEqual(['shop:C', 'shop:a', 'shop:b']);
      expect(await ids('?prefix=shop:&currency=EUR')).toEqual(['shop:C', 'shop:a']);
      expect(await ids('?currency=USD')).toEqual(['shop:b']);
      expect(await ids('?prefix=nothing')).toEqual([]);
      const first = await ledger.accounts('?prefix=shop&limit=2');
      const second = await ledger.accounts(`?prefix=shop&limit=2&cursor=${first.body.nextCursor}`);
      expect(second.body.items[0].accountId).toBe('shop:C');
      for (const query of [`?cursor=${first.body.nextCursor}`, '?cursor=x', '?cursor=', `?prefix=shop&cursor=A${first.body.nextCursor}`]) {
        expect(refusalOf(await ledger.accounts(query))).toEqual([400, 'bad-cursor']);
      }
      const statement = await ledger.statement('world', '?limit=1');
      expect(statement.body.nextCursor).toBeNull();
    });

    test.each(['limit=0', 'limit=501', 'limit=-1', 'limit=1.5', 'limit=x', 'limit=', 'limit=1&limit=2', 'limt=1', 'currency=EURO', 'currency=XXZ'])(
      'does not take ?%s',
      async (query) => {
        expect(refusalOf(await ledger.accounts(`?${query}`))).toEqual([400, 'validation-failed']);
      },
    );
  });

  test('The trial balance is net 0 in every currency', async () => {
    await ledger.openSource('us', 'USD');
    await ledger.openAccount('carol', { currency: 'USD' });
    await ledger.transfer('world', 'alice', '30');
    await ledger.transfer('alice', 'bob', '10');
    await ledger.authorise('alice', 'bob', '5');
    const last = await ledger.transfer('us', 'carol', '7');
    expect((await ledger.trialBalance(after(last))).body).toEqual({
      ledger: ledger.ledger,
      currencies: {
        EUR: { debits: '30', credits: '30', net: '0', accounts: 3 },
        USD: { debits: '7', credits: '7', net: '0', accounts: 2 },
      },
    });
  });

  test('The trial balance follows accounts from below zero to above and back', async () => {
    await ledger.openAccount('left', { overdraft: 'unlimited' });
    await ledger.openAccount('right', { overdraft: 'unlimited' });
    const balances = { left: 0, right: 0, world: 0 };
    // Each from or to zero, through it, or beside it; the last digits of balance and amount tell the cases apart.
    const moves = [['world', 'left', 5], ['left', 'right', 12], ['right', 'left', 12], ['right', 'left', 9], ['left', 'right', 14], ['left', 'world', 5], ['right', 'left', 10]] as const;
    for (const [source, destination, amount] of moves) {
      const write = await ledger.transfer(source, destination, amount);
      balances[source] -= amount;
      balances[destination] += amount;
      const credits = Object.values(balances).reduce((sum, balance) => sum + Math.max(balance, 0), 0);
      const { EUR } = (await ledger.trialBalance(after(write))).body.currencies;
      expect([amount, EUR]).toEqual([amount, { debits: String(credits), credits: String(credits), net: '0', accounts: 5 }]);
    }
  });

  describe('A consistency token', () => {
    test('is never answered with something older, whoever writes meanwhile', async () => {
      let stop = false;
      const noise = Promise.all(Array.from({ length: 4 }, async () => {
        while (!stop) await ledger.transfer('world', 'bob', '1');
      }));
      await Promise.all(Array.from({ length: 8 }, async (_, reader) => {
        const account = `reader-${reader}`;
        await ledger.openAccount(account);
        for (let i = 1; i <= 25; i++) {
          const write = await ledger.transfer('world', account, '1');
          const [single, statement] = await Promise.all([ledger.account(account, '', after(write)), ledger.statement(account, '?limit=1', after(write))]);
          expect(single.body.balance).toBe(String(i));
          expect(statement.body.items[0].balanceAfter).toBe(String(i));
        }
      }));
      stop = true;
      await noise;
    });

    test('may be of several writes', async () => {
      const other = new LedgerClient(http, `${ledger.ledger}-b`);
      const writes = [await ledger.transfer('world', 'alice', '1'), await other.openSource('world')];
      expect((await other.account('world', '', after(...writes))).status).toBe(200);
    });

    test.each(['', '7', '@', '7@', '@7', '7@x', '7@-1', '16@1', '1000@1', '7@1,', '7@1;8@1', '7@99999999999999999999', '1e1@1'])(
      'like %p is none',
      async (token) => {
        expect(refusalOf(await ledger.account('alice', '', { 'consistency-token': token }))).toEqual([400, 'bad-consistency-token']);
      },
    );

    test('of the future is waited for, and then the client is asked to come again', async () => {
      const impatient = await startRialto(database.url, { ROLE: 'query', CONSISTENCY_WAIT_MS: '500' });
      const path = `/v1/ledgers/${ledger.ledger}/accounts/alice`;
      const answer = await new HttpClient(impatient).get(path, { 'consistency-token': '3@999999999' });
      await impatient.stop();
      expect(refusalOf(answer)).toEqual([503, 'projection-behind']);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    });
  });

  describe('An ETag', () => {
    test('saves a client what it has', async () => {
      const write = await ledger.transfer('world', 'alice', '1', { transactionId: 'tx' });
      const reads = [
        (headers: Record<string, string>) => ledger.account('alice', '', headers),
        (headers: Record<string, string>) => ledger.transaction('tx', headers),
        (headers: Record<string, string>) => ledger.trialBalance(headers),
        (headers: Record<string, string>) => ledger.account('alice', '?at=2100-01-01T00:00:00Z', headers),
      ];
      const etags: string[] = [];
      for (const read of reads) {
        const first = await read(after(write));
        const etag = String(first.headers.etag);
        etags.push(etag);
        expect(etag).toMatch(/^"[^"]+"$/);
        for (const condition of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
          const again = await read({ 'if-none-match': condition });
          expect([again.status, again.text, again.headers.etag]).toEqual([304, '', etag]);
        }
        expect((await read({ 'if-none-match': '"x"' })).status).toBe(200);
      }
      const next = await ledger.reverse('tx');
      for (const [index, read] of reads.entries()) {
        const changed = await read({ ...after(next), 'if-none-match': etags[index]! });
        expect(changed.status).toBe(200);
      }
    });
  });

  describe('The protocol', () => {
    test('says which methods a route takes', async () => {
      const wrong = await http.request('DELETE', ledger.path('accounts'));
      expect(refusalOf(wrong)).toEqual([405, 'method-not-allowed']);
      expect(String(wrong.headers.allow).split(', ')).toEqual(expect.arrayContaining(['GET', 'POST']));
      for (const [method, path] of [['PUT', ledger.path('transactions')], ['GET', ledger.path('transactions/bulk/x/y')], ['PATCH', '/health/live']] as const) {
        expect((await http.request(method, path)).status).toBe(path.includes('/x/y') ? 404 : 405);
      }
    });

    test.each(['/', '/v1', '/v2/ledgers', '/v1/ledgers/main', '/v1/ledgers//accounts/x/y', '/V1/ledgers/main/accounts', '/health', '/.env'])(
      'does not know %s',
      async (path) => {
        expect(refusalOf(await http.get(path))).toEqual([404, 'not-found']);
      },
    );

    test('refuses a body that is too large, of another type, or compressed', async () => {
      const path = ledger.path('accounts');
      const send = (options: object) => http.request('POST', path, options);
      expect(refusalOf(await send({ body: `"${'x'.repeat(1_100_000)}"` }))).toEqual([413, 'body-too-large']);
      expect(refusalOf(await send({ body: 'accountId=x', contentType: 'application/x-www-form-urlencoded' }))).toEqual([415, 'unsupported-media-type']);
      expect(refusalOf(await send({ body: '{}', contentType: null }))).toEqual([415, 'unsupported-media-type']);
      expect(refusalOf(await send({ body: '{}', contentType: 'application/x-ndjson' }))).toEqual([415, 'unsupported-media-type']);
      expect(refusalOf(await send({ body: '{}', headers: { 'content-encoding': 'gzip' } }))).toEqual([415, 'unsupported-media-type']);
      expect(refusalOf(await send({ body: '{' }))).toEqual([400, 'malformed-json']);
      expect(refusalOf(await send({}))).toEqual([400, 'validation-failed']);
      expect((await send({ body: '{"accountId":"typed","currency":"EUR"}', contentType: 'application/json; charset=utf-8' })).status).toBe(201);
    });

    test('answers HEAD like GET without the body, and OPTIONS with what there is', async () => {
      const head = await http.request('HEAD', ledger.path('accounts/alice'));
      const get = await ledger.account('alice');
      expect([head.status, head.text, head.headers.etag]).toEqual([200, '', get.headers.etag]);
      const options = await http.request('OPTIONS', ledger.path('accounts'));
      expect(options.status).toBeLessThan(500);
      expect(options.headers.allow).toContain('POST');
    });

    test('names the request, and says that answers are not for keeping', async () => {
      const { headers } = await http.get(ledger.path('accounts/alice'), { 'request-id': 'mine-1' });
      expect(headers['request-id']).toBe('mine-1');
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect((await http.get('/nowhere')).headers['request-id']).toBeDefined();
    });

    test('keeps where a write came from with its events', async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const transfer = await ledger.transfer('world', 'alice', '1', { headers: { 'request-id': 'checkout-7', traceparent } });
      const { rows } = await database.pool.query('SELECT metadata FROM events WHERE stream = $1', [`transaction/${ledger.ledger}/${transfer.body.transactionId}`]);
      expect(rows[0].metadata).toMatchObject({ correlationId: 'checkout-7', traceparent });
    });

    test('is described, measured and healthy', async () => {
      const openapi = await http.get('/openapi.json');
      expect(openapi.body.openapi).toMatch(/^3\.1/);
      expect(Object.keys(openapi.body.paths)).toContain('/v1/ledgers/{ledger}/accounts/{accountId}/entries');
      expect((await http.get('/docs')).status).toBe(200);
      const metrics = await http.get('/metrics');
      expect(metrics.headers['content-type']).toContain('text/plain');
      for (const name of ['rialto_writer_batch_commands', 'rialto_consumer_lag_events', 'rialto_http_request_seconds', 'rialto_inbox_commands', 'process_cpu']) {
        expect(metrics.text).toContain(name);
      }
      for (const path of ['/health/live', '/health/startup', '/health/ready']) expect((await http.get(path)).status).toBe(200);
    });
  });

  test('Nothing in all this was an error of the server’s', () => {
    expect(server.log).not.toMatch(/"level":(50|60)/);
  });
});
