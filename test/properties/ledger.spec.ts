import fc from 'fast-check';
import { accountStream, accountType, type AccountState } from '../../src/modules/ledger/domain/account.js';
import { ledgerEvents } from '../../src/modules/ledger/domain/events.js';
import { transactionStream, transactionType, type TransactionState } from '../../src/modules/ledger/domain/transaction.js';
import { Rejection, type Decision } from '../../src/platform/log/decision.js';
import { stateFromJson, stateToJson } from '../../src/platform/log/states.js';
import type { Event } from '../../src/platform/log/stream.js';
import { maxAmount } from '../../src/shared/amount.js';
import { StreamsInMemory, type Decider } from '../support/given.js';
import * as words from '../support/ledger-words.js';
import { LedgerModel, type Movement } from './ledger-model.js';

/**
 * Whatever anybody asks of a ledger, in whatever order: it does what a simple model of a ledger does, and no money
 * is made or lost. Few accounts, ids and amounts, so that requests meet each other; some amounts at the edge of the
 * range. The seed is fixed: a failure is the same for everybody. LEDGER_SEED and LEDGER_RUNS look further.
 */
const seed = Number(process.env.LEDGER_SEED ?? 20_260_131);
const numRuns = Number(process.env.LEDGER_RUNS ?? 800);

type Wish =
  | { readonly kind: 'open'; readonly account: string; readonly currency: string; readonly limit: bigint | undefined }
  | { readonly kind: 'close'; readonly account: string }
  | {
      readonly kind: 'post';
      readonly id: string;
      readonly movements: readonly Movement[];
      readonly pending: boolean;
      readonly seconds: number | undefined;
    }
  | { readonly kind: 'capture'; readonly id: string; readonly part: bigint | undefined }
  | { readonly kind: 'void' | 'expire'; readonly id: string }
  | { readonly kind: 'reverse'; readonly id: string; readonly reversalId: string }
  | { readonly kind: 'wait'; readonly seconds: number };

const account = fc.constantFrom('world', 'alice', 'bob', 'carol', '__proto__');
const id = fc.constantFrom('t1', 't2', 't3', 't4', 't5', 't6', 't7', 't8');
const amount = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt({ min: 1n, max: 12n }) },
  { weight: 1, arbitrary: fc.constantFrom(maxAmount, maxAmount - 1n, maxAmount / 2n, maxAmount / 2n + 1n, 2n ** 53n) },
);
const movement = fc.record({ from: account, to: account, amount });
const limit = fc.oneof(fc.constant(0n), fc.constant(undefined), amount);
const seconds = fc.constantFrom(1, 5, 60);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('open' as const),
      account,
      currency: fc.constantFrom('EUR', 'EUR', 'EUR', 'EUR', 'USD'),
      limit,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), account }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('post' as const),
      id,
      movements: fc.array(movement, { minLength: 1, maxLength: 4 }),
      pending: fc.constant(false),
      seconds: fc.constant(undefined),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('post' as const),
      id,
      movements: fc.array(movement, { minLength: 1, maxLength: 2 }),
      pending: fc.constant(true),
      seconds: fc.option(seconds, { nil: undefined }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('capture' as const), id, part: fc.option(amount, { nil: undefined }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('void' as const, 'expire' as const), id }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('reverse' as const), id, reversalId: id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds }) },
);

/** Mostly a ledger that is open for business; sometimes one where nothing is. */
const start: fc.Arbitrary<readonly Wish[]> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constant<readonly Wish[]>([
      { kind: 'open', account: 'world', currency: 'EUR', limit: undefined },
      { kind: 'open', account: 'alice', currency: 'EUR', limit: 0n },
      { kind: 'open', account: 'bob', currency: 'EUR', limit: 20n },
      { kind: 'open', account: 'carol', currency: 'EUR', limit: undefined },
      { kind: 'post', id: 't0', movements: [{ from: 'world', to: 'alice', amount: 30n }], pending: false, seconds: undefined },
    ]),
  },
  { weight: 1, arbitrary: fc.constant<readonly Wish[]>([]) },
);

const history = fc
  .tuple(start, fc.array(wish, { minLength: 1, maxLength: 40, size: 'max' }))
  .map(([first, others]) => [...first, ...others]);

const epochMs = Date.parse('2026-01-01T00:00:00.000Z');

/** The same wishes put to the ledger and to the model. */
class Ledger {
  readonly streams = new StreamsInMemory(ledgerEvents, [accountType, transactionType]);
  readonly model = new LedgerModel();
  readonly log: { readonly event: Event; readonly recordedAt: string }[] = [];
  readonly refusals: string[] = [];
  private nowMs = epochMs;

  wish(wish: Wish): void {
    if (wish.kind === 'wait') {
      this.nowMs += wish.seconds * 1_000;
      return;
    }
    const expected = this.ofModel(wish);
    const before = expected === 'done' ? undefined : this.states();
    const got = this.ofLedger(wish);
    if (got !== expected) expect({ wish, result: got }).toEqual({ wish, result: expected });
    if (before !== undefined && this.states() !== before) expect(this.states()).toBe(before);
    if (got !== 'done' && got !== 'same') this.refusals.push(got);
  }

  states(): string {
    return this.streams.all().map(({ stream, state }) => `${stream.name} ${stateToJson(state)}`).sort().join('\n');
  }

  account(accountId: string): AccountState {
    return this.streams.of(accountStream(words.ledger, accountId));
  }

  private ofModel(wish: Exclude<Wish, { kind: 'wait' }>): string {
    const { model, nowMs } = this;
    switch (wish.kind) {
      case 'open':
        return model.open(wish.account, wish.currency, wish.limit);
      case 'close':
        return model.close(wish.account);
      case 'post':
        return model.post(wish.id, wish.movements, wish.pending, wish.seconds, nowMs);
      case 'capture':
        return model.capture(wish.id, wish.part, nowMs);
      case 'void':
        return model.void(wish.id, nowMs);
      case 'expire':
        return model.expire(wish.id);
      case 'reverse':
        return model.reverse(wish.id, wish.reversalId);
    }
  }

  private ofLedger(wish: Exclude<Wish, { kind: 'wait' }>): string {
    const recordedAt = new Date(this.nowMs).toISOString();
    try {
      const { events } = this.streams.run(deciderOf(wish), recordedAt) as Decision;
      for (const event of events) this.log.push({ event, recordedAt });
      return events.length > 0 ? 'done' : 'same';
    } catch (error) {
      if (error instanceof Rejection) return error.code;
      throw error;
    }
  }
}

function deciderOf(wish: Exclude<Wish, { kind: 'wait' }>): Decider<unknown> {
  switch (wish.kind) {
    case 'open': {
      // What the largest limit allows is what an unlimited one does; to the model they are one.
      const unlimited = wish.limit === undefined || wish.limit === maxAmount;
      const overdraft = unlimited ? 'unlimited' : wish.limit === 0n ? 'none' : { limit: wish.limit!.toString() };
      return words.opening(wish.account, { currency: wish.currency, overdraft });
    }
    case 'close':
      return words.closing(wish.account);
    case 'post': {
      const postings = wish.movements.map(({ from, to, amount }) => words.posting(from, to, amount.toString()));
      const { pending, seconds } = wish;
      return words.posts(wish.id, postings, { pending, ...(seconds !== undefined && { expiresInSeconds: seconds }) });
    }
    case 'capture':
      return words.captures(wish.id, wish.part?.toString());
    case 'void':
      return words.voids(wish.id);
    case 'expire':
      return words.expires(wish.id);
    case 'reverse':
      return words.reverses(wish.id, wish.reversalId);
  }
}

function after(wishes: readonly Wish[]): Ledger {
  const ledger = new Ledger();
  for (const one of wishes) ledger.wish(one);
  return ledger;
}

/** How often each refusal came up over all runs: a property that never meets a case proves nothing of it. */
const met = new Map<string, number>();

describe('any history of a ledger', () => {
  const holds = (property: (ledger: Ledger) => void, runs = numRuns / 2) =>
    fc.assert(fc.property(history, (wishes) => property(after(wishes))), { seed, numRuns: runs });

  it('is the one of a simple model: the same refusals, balances, pending amounts and versions', () => {
    holds((ledger) => {
      for (const code of ledger.refusals) met.set(code, (met.get(code) ?? 0) + 1);
      for (const [accountId, expected] of ledger.model.accounts) {
        const { balance, pendingIn, pendingOut, version, status, currency } = ledger.account(accountId);
        const got = { balance, pendingIn, pendingOut, version, closed: status === 'closed', currency };
        const { limit: _limit, ...wanted } = expected;
        expect(got).toEqual(wanted);
        expect(version).toBe(ledger.streams.versionOf(accountStream(words.ledger, accountId)));
      }
      for (const [transactionId, { status, reversedBy }] of ledger.model.transactions) {
        const state: TransactionState = ledger.streams.of(transactionStream(words.ledger, transactionId));
        expect({ status: state.status, reversedBy: state.reversedBy }).toEqual({ status, reversedBy });
      }
    }, numRuns);
  });

  it('comes by every refusal there is', () => {
    const codes = [
      'transaction-exists',
      'account-not-found',
      'account-closed',
      'currency-mismatch',
      'same-account',
      'amount-out-of-range',
      'insufficient-funds',
      'account-exists',
      'account-not-empty',
      'transaction-not-found',
      'not-pending',
      'capture-exceeds-pending',
      'partial-capture-not-supported',
      'already-reversed',
      'not-reversible',
    ];
    expect([...met.keys()].sort()).toEqual(codes.sort());
  });

  it('neither makes money nor loses it, and leaves no account below its floor', () => {
    holds((ledger) => {
      const sums = new Map<string, bigint>();
      let [pendingIn, pendingOut] = [0n, 0n];
      for (const accountId of ledger.model.accounts.keys()) {
        const state = ledger.account(accountId);
        sums.set(state.currency, (sums.get(state.currency) ?? 0n) + state.balance);
        pendingIn += state.pendingIn;
        pendingOut += state.pendingOut;
        expect(state.pendingIn >= 0n && state.pendingOut >= 0n).toBe(true);
        expect(state.balance - state.pendingOut + state.overdraftLimit >= 0n).toBe(true);
        expect(state.balance + state.pendingIn <= maxAmount).toBe(true);
      }
      for (const sum of sums.values()) expect(sum).toBe(0n);
      expect(pendingIn).toBe(pendingOut);
    });
  });

  it('says in each booked posting what it left behind', () => {
    holds((ledger) => {
      const balances = new Map<string, bigint>();
      for (const { event } of ledger.log) {
        if (!/posted|captured/.test(event.type)) continue;
        const { postings } = event.data as ReturnType<typeof words.posted>['data'];
        for (const { source, destination, amount, sourceBalance, destinationBalance } of postings) {
          balances.set(source, (balances.get(source) ?? 0n) - BigInt(amount));
          balances.set(destination, (balances.get(destination) ?? 0n) + BigInt(amount));
          expect([balances.get(source), balances.get(destination)]).toEqual([BigInt(sourceBalance), BigInt(destinationBalance)]);
        }
      }
    });
  });

  it('can be told again from its stored events', () => {
    holds((ledger) => {
      const again = new StreamsInMemory(ledgerEvents, [accountType, transactionType]);
      for (const { event, recordedAt } of ledger.log) again.record(JSON.parse(JSON.stringify(event)) as Event, recordedAt);
      for (const { stream, state, version } of ledger.streams.all()) {
        if (version === 0) continue;
        expect(stateToJson(again.of(stream))).toBe(stateToJson(state));
        expect(again.versionOf(stream)).toBe(version);
      }
    });
  });

  it('goes on from snapshots as if there were none', () => {
    holds((ledger) => {
      for (const { state } of ledger.streams.all()) expect(stateFromJson(stateToJson(state))).toEqual(state);
    });
  });
});

describe('a snapshot', () => {
  it('brings back any state, whatever a client put into its metadata', () => {
    const key = fc.oneof(fc.string(), fc.constantFrom('$bigint', '$', 'toJSON', 'constructor'));
    const text = fc.oneof(fc.string(), fc.constantFrom('$bigint', '5', '$n5', '$$', '$'));
    const { json } = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('json'), { maxLength: 3 }),
        fc.dictionary(key, tie('json'), { maxKeys: 3, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.bigInt(), json, (balance, metadata) => {
        const state = { balance, metadata, nested: [{ balance }] };
        expect(stateFromJson(stateToJson(state))).toEqual(state);
      }),
      { seed, numRuns: 1_000 },
    );
  });
});
