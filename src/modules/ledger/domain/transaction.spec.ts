import { nothing, refused } from '../../../../test/support/given.js';
import {
  authorised,
  authorises,
  booked,
  captured,
  captures,
  closed,
  expires,
  given,
  opened,
  post,
  posted,
  posting,
  posts,
  postsMany,
  released,
  reverses,
  voids,
} from '../../../../test/support/ledger-words.js';
import { maxAmount } from '../../../shared/amount.js';

const world = opened('world', { overdraft: 'unlimited' });
const aliceHas = (amount: string) => [world, opened('alice'), opened('bob'), posted('t0', booked('world', 'alice', amount))];
const max = maxAmount.toString();
const balance = (amount: string, available = amount) => ({ balance: amount, available });

describe('posting a transaction', () => {
  it('moves the money and says what it left behind', () => {
    given(...aliceHas('1050'))
      .at('2026-01-31T12:00:00.000Z')
      .when(posts('t1', posting('alice', 'bob', '50'), { reference: 'lunch', metadata: { table: 7 } }))
      .then(posted('t1', booked('alice', 'bob', '50', ['1000', '50']), { reference: 'lunch', metadata: { table: 7 } }))
      .creating(true)
      .answering({
        transactionId: 't1',
        status: 'posted',
        postings: [posting('alice', 'bob', '50')],
        balances: { alice: balance('1000'), bob: balance('50') },
        recordedAt: '2026-01-31T12:00:00.000Z',
      });
  });

  it('lets a posting spend what the one before it brought', () => {
    given(...aliceHas('10'), opened('carol'))
      .when(posts('t1', [posting('alice', 'bob', '10'), posting('bob', 'carol', '10')]))
      .then(posted('t1', [booked('alice', 'bob', '10', ['0', '10']), booked('bob', 'carol', '10', ['0', '10'])]));
  });

  it('does not let a posting spend what one after it will bring', () => {
    given(...aliceHas('10'), opened('carol'))
      .when(posts('t1', [posting('bob', 'carol', '10'), posting('alice', 'bob', '10')]))
      .then(refused('insufficient-funds', 'account bob has 0 available, 10 is needed'));
  });

  it('spends down to the overdraft limit, and not one further', () => {
    const accounts = [opened('alice', { overdraft: { limit: '100' } }), opened('bob')];
    given(...accounts).when(posts('t1', posting('alice', 'bob', '100'))).then(posted('t1', booked('alice', 'bob', '100', ['-100', '100'])));
    given(...accounts).when(posts('t1', posting('alice', 'bob', '101'))).then(refused('insufficient-funds'));
  });

  it('does not spend what is set aside, nor what is only announced', () => {
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4')))
      .when(posts('t2', posting('alice', 'bob', '7')))
      .then(refused('insufficient-funds', 'account alice has 6 available, 7 is needed'));
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4')))
      .when(posts('t2', posting('bob', 'alice', '1')))
      .then(refused('insufficient-funds', 'account bob has 0 available, 1 is needed'));
  });

  it('moves no amount that somebody else has set in another currency', () => {
    given(...aliceHas('10')).when(posts('t1', posting('alice', 'bob', '4'), { currency: 'EUR' })).then(posted('t1', booked('alice', 'bob', '4', ['6', '4'])));
    given(...aliceHas('10'))
      .when(posts('t1', posting('alice', 'bob', '4'), { currency: 'GBP' }))
      .then(refused('currency-mismatch', 'account alice is in EUR, the amount in GBP'));
  });

  it('changes nothing when the same request was posted before, and answers with the balances as they are', () => {
    given(...aliceHas('10'), posted('t1', booked('alice', 'bob', '4')), posted('t2', booked('bob', 'alice', '1')))
      .when(posts('t1', posting('alice', 'bob', '4')))
      .then(nothing)
      .creating(false)
      .answering({
        transactionId: 't1',
        status: 'posted',
        postings: [posting('alice', 'bob', '4')],
        balances: { alice: balance('7'), bob: balance('3') },
        recordedAt: '2026-01-01T00:00:00.000Z',
      });
  });

  it('answers a repeated request even when its account has been closed since', () => {
    given(...aliceHas('10'), posted('t1', booked('alice', 'bob', '10')), closed('alice'))
      .when(posts('t1', posting('alice', 'bob', '10')))
      .then(nothing);
  });

  it.each([
    ['amount', posts('t1', posting('alice', 'bob', '5'))],
    ['account', posts('t1', posting('alice', 'world', '4'))],
    ['reference', posts('t1', posting('alice', 'bob', '4'), { reference: 'x' })],
    ['metadata', posts('t1', posting('alice', 'bob', '4'), { metadata: {} })],
    ['kind', authorises('t1', posting('alice', 'bob', '4'))],
  ])('is refused when the id was used with another %s', (_what, request) => {
    given(...aliceHas('10'), posted('t1', booked('alice', 'bob', '4')))
      .when(request)
      .then(refused('transaction-exists', 'transaction t1 exists with other content'));
  });

  it('knows an account that is called like what every object has', () => {
    given(...aliceHas('10'), opened('__proto__'), opened('constructor'))
      .when(posts('t1', [posting('alice', '__proto__', '3'), posting('alice', 'constructor', '2')]))
      .then(posted('t1', [booked('alice', '__proto__', '3', ['7', '3']), booked('alice', 'constructor', '2', ['5', '2'])]));
  });
});

/**
 * The order of the checks is part of the contract: a request that is wrong in several ways gets the first refusal
 * of this list, in whatever order its postings come.
 */
describe('the order of refusals', () => {
  const ledger = [
    ...aliceHas('10'),
    opened('closed'),
    closed('closed'),
    opened('dollars', { currency: 'USD', overdraft: 'unlimited' }),
    opened('poor'),
    opened('source', { overdraft: 'unlimited' }),
    opened('full'),
    posted('t1', booked('world', 'full', (maxAmount - 10n).toString())),
    opened('mint', { overdraft: 'unlimited' }),
    posted('t2', booked('mint', 'full', '10')),
  ];
  const defects = [
    ['transaction-exists', undefined],
    ['account-not-found', posting('alice', 'nobody', '1')],
    ['account-closed', posting('alice', 'closed', '1')],
    ['currency-mismatch', posting('alice', 'dollars', '1')],
    ['same-account', posting('alice', 'alice', '1')],
    ['amount-out-of-range', posting('source', 'full', '1')],
    ['insufficient-funds', posting('poor', 'bob', '1')],
  ] as const;

  it.each(defects.map(([code], first) => ({ code, first })))('$code comes before all that follow', ({ code, first }) => {
    const postings = defects.slice(first).flatMap(([, defect]) => defect ?? []);
    const id = code === 'transaction-exists' ? 't1' : 'new';
    for (const inSomeOrder of [postings, postings.toReversed()]) {
      given(...ledger).when(posts(id, inSomeOrder)).then(refused(code));
      given(...ledger).when(authorises(id, inSomeOrder)).then(refused(code));
    }
  });

  it('does each of them alone', () => {
    for (const [code, defect] of defects) {
      if (defect) given(...ledger).when(posts('new', [posting('alice', 'bob', '1'), defect])).then(refused(code));
    }
  });
});

describe('a balance of 64 bits', () => {
  const full = [world, opened('mint', { overdraft: 'unlimited' }), opened('full'), posted('t0', booked('world', 'full', max))];

  it('may be the largest amount, and is refused beyond', () => {
    given(world, opened('full'))
      .when(posts('t1', posting('world', 'full', max)))
      .then(posted('t1', booked('world', 'full', max, [`-${max}`, max])));
    given(...full)
      .when(posts('t1', posting('mint', 'full', '1')))
      .then(refused('amount-out-of-range', 'the balance of account full would leave 64 bits'));
  });

  it('counts what is pending in full', () => {
    given(world, opened('mint', { overdraft: 'unlimited' }), opened('full'), authorised('t1', posting('world', 'full', max)))
      .when(authorises('t2', posting('mint', 'full', '1')))
      .then(refused('amount-out-of-range'));
  });

  it('refuses an unlimited overdraft that goes below it', () => {
    given(...full).when(posts('t1', posting('world', 'full', '2'))).then(refused('amount-out-of-range'));
  });
});

describe('setting money aside', () => {
  it('keeps it for the destination without moving it', () => {
    given(...aliceHas('10'))
      .at('2026-01-31T12:00:00.000Z')
      .when(authorises('t1', posting('alice', 'bob', '4')))
      .then(authorised('t1', posting('alice', 'bob', '4')))
      .creating(true)
      .scheduling()
      .answering({
        transactionId: 't1',
        status: 'pending',
        postings: [posting('alice', 'bob', '4')],
        balances: { alice: balance('10', '6'), bob: balance('0') },
        recordedAt: '2026-01-31T12:00:00.000Z',
      });
  });

  it('does not make it available to the postings that follow', () => {
    given(...aliceHas('10'))
      .when(authorises('t1', [posting('alice', 'bob', '4'), posting('bob', 'world', '1')]))
      .then(refused('insufficient-funds', 'account bob has 0 available, 1 is needed'));
  });

  it('with a deadline, schedules the end of it', () => {
    const deadline = { expiresInSeconds: 90, expiresAt: '2026-01-31T12:01:30.000Z' };
    given(...aliceHas('10'))
      .at('2026-01-31T12:00:00.000Z')
      .when(authorises('t1', posting('alice', 'bob', '4'), { expiresInSeconds: 90 }))
      .then(authorised('t1', posting('alice', 'bob', '4'), deadline))
      .scheduling({
        key: 'expire/main/t1',
        type: 'ledger.expire-transaction',
        payload: { ledger: 'main', transactionId: 't1' },
        dueAt: '2026-01-31T12:01:30.000Z',
      })
      .answering(expect.objectContaining({ expiresAt: '2026-01-31T12:01:30.000Z' }));
  });

  it('changes nothing when it is asked for again, whatever has become of it', () => {
    const pending = authorised('t1', posting('alice', 'bob', '4'));
    given(...aliceHas('10'), pending)
      .when(authorises('t1', posting('alice', 'bob', '4')))
      .then(nothing)
      .answering(expect.objectContaining({ status: 'pending' }));
    given(...aliceHas('10'), pending, captured('t1', { ...booked('alice', 'bob', '3'), authorised: '4' }))
      .when(authorises('t1', posting('alice', 'bob', '4')))
      .then(nothing)
      .answering(expect.objectContaining({ status: 'posted', postings: [posting('alice', 'bob', '3')] }));
    given(...aliceHas('10'), pending, released('t1', 'voided', posting('alice', 'bob', '4')))
      .when(authorises('t1', posting('alice', 'bob', '4')))
      .then(nothing)
      .answering(expect.objectContaining({ status: 'voided' }));
  });

  it('says again until when, when it is asked for again', () => {
    const deadline = { expiresInSeconds: 90, expiresAt: '2027-01-01T00:00:00.000Z' };
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4'), deadline))
      .when(authorises('t1', posting('alice', 'bob', '4'), { expiresInSeconds: 90 }))
      .then(nothing)
      .answering(expect.objectContaining({ expiresAt: '2027-01-01T00:00:00.000Z' }));
  });

  it('is refused when the id was used with another deadline', () => {
    const deadline = { expiresInSeconds: 90, expiresAt: '2027-01-01T00:00:00.000Z' };
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4'), deadline))
      .when(authorises('t1', posting('alice', 'bob', '4'), { expiresInSeconds: 91 }))
      .then(refused('transaction-exists'));
  });
});

describe('capturing a pending transaction', () => {
  const pending = [...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4'))];

  it('moves what was set aside', () => {
    given(...pending)
      .at('2026-01-31T12:00:00.000Z')
      .when(captures('t1'))
      .then(captured('t1', { ...booked('alice', 'bob', '4', ['6', '4']), authorised: '4' }))
      .creating(false)
      .answering({
        transactionId: 't1',
        status: 'posted',
        postings: [posting('alice', 'bob', '4')],
        balances: { alice: balance('6'), bob: balance('4') },
        recordedAt: '2026-01-31T12:00:00.000Z',
      });
  });

  it('in part, gives the rest back', () => {
    given(...pending)
      .when(captures('t1', '1'))
      .then(captured('t1', { ...booked('alice', 'bob', '1', ['9', '1']), authorised: '4' }))
      .answering(expect.objectContaining({ balances: { alice: balance('9'), bob: balance('1') } }));
  });

  it('of several postings, moves them all', () => {
    const postings = [posting('alice', 'bob', '4'), posting('alice', 'world', '5')];
    given(...aliceHas('10'), authorised('t1', postings))
      .when(captures('t1'))
      .then(
        captured(
          't1',
          { ...booked('alice', 'bob', '4', ['6', '4']), authorised: '4' },
          { ...booked('alice', 'world', '5', ['1', '-5']), authorised: '5' },
        ),
      );
  });

  it('is refused when there is no such transaction', () => {
    given(...pending).when(captures('t9')).then(refused('transaction-not-found', 'there is no transaction t9 in this ledger'));
  });

  it.each([
    ['posted', posted('t2', booked('alice', 'bob', '1'))],
    ['voided', released('t1', 'voided', posting('alice', 'bob', '4'))],
    ['expired', released('t1', 'expired', posting('alice', 'bob', '4'))],
    ['posted', captured('t1', { ...booked('alice', 'bob', '4'), authorised: '4' })],
  ])('is refused when it is %s', (status, event) => {
    const id = event.data.transactionId;
    given(...pending, event).when(captures(id)).then(refused('not-pending', `transaction ${id} is ${status}`));
    given(...pending, event).when(voids(id)).then(refused('not-pending', `transaction ${id} is ${status}`));
  });

  it('is refused from the moment of its deadline on, whether or not it has been released yet', () => {
    const deadline = { expiresInSeconds: 90, expiresAt: '2026-01-31T12:00:00.000Z' };
    const expiring = [...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4'), deadline)];
    const late = refused('not-pending', 'transaction t1 expired at 2026-01-31T12:00:00.000Z');
    given(...expiring).at('2026-01-31T12:00:00.000Z').when(captures('t1')).then(late);
    given(...expiring).at('2026-01-31T12:00:00.000Z').when(voids('t1')).then(late);
    given(...expiring)
      .at('2026-01-31T11:59:59.999Z')
      .when(captures('t1'))
      .then(captured('t1', { ...booked('alice', 'bob', '4', ['6', '4']), authorised: '4' }));
  });

  it('is refused for more than is pending', () => {
    given(...pending).when(captures('t1', '5')).then(refused('capture-exceeds-pending', '5 is more than the 4 pending'));
    given(...pending).when(captures('t1', max)).then(refused('capture-exceeds-pending'));
  });

  it('is refused in part when there are several postings, also for all of one', () => {
    const postings = [posting('alice', 'bob', '4'), posting('alice', 'world', '5')];
    for (const part of ['4', '5', '8']) {
      given(...aliceHas('10'), authorised('t1', postings)).when(captures('t1', part)).then(refused('partial-capture-not-supported'));
    }
    given(...aliceHas('10'), authorised('t1', postings)).when(captures('t1', '10')).then(refused('capture-exceeds-pending', '10 is more than the 9 pending'));
  });

  it('of several postings may name all that is pending, unless that is of several currencies', () => {
    const postings = [posting('alice', 'bob', '4'), posting('alice', 'bob', '5')];
    const all = [
      { ...booked('alice', 'bob', '4', ['6', '4']), authorised: '4' },
      { ...booked('alice', 'bob', '5', ['1', '9']), authorised: '5' },
    ];
    given(...aliceHas('10'), authorised('t1', postings)).when(captures('t1', '9')).then(captured('t1', ...all));
    const dollars = [opened('ann', { currency: 'USD', overdraft: 'unlimited' }), opened('ben', { currency: 'USD' })];
    given(...aliceHas('10'), ...dollars, authorised('t1', [posting('alice', 'bob', '4'), posting('ann', 'ben', '5')]))
      .when(captures('t1', '9'))
      .then(refused('partial-capture-not-supported'));
  });
});

describe('voiding a pending transaction', () => {
  it('gives back what was set aside', () => {
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4')))
      .when(voids('t1'))
      .then(released('t1', 'voided', posting('alice', 'bob', '4')))
      .answering(expect.objectContaining({ status: 'voided', balances: { alice: balance('10'), bob: balance('0') } }));
  });

  it('is refused when there is no such transaction', () => {
    given().when(voids('t1')).then(refused('transaction-not-found'));
  });
});

describe('the deadline of a pending transaction', () => {
  it('gives back what was set aside', () => {
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4')))
      .when(expires('t1'))
      .then(released('t1', 'expired', posting('alice', 'bob', '4')))
      .answering(expect.objectContaining({ status: 'expired' }));
  });

  it('leaves alone what is no longer pending, or was never there', () => {
    given(...aliceHas('10')).when(expires('t0')).then(nothing).answering(null);
    given().when(expires('t1')).then(nothing).answering(null);
  });
});

describe('reversing a transaction', () => {
  it('moves the money back by a new one, the last posting first', () => {
    given(...aliceHas('10'), posted('t1', [booked('alice', 'bob', '4'), booked('bob', 'world', '3')]))
      .at('2026-01-31T12:00:00.000Z')
      .when(reverses('t1', 'r1', { reference: 'sorry' }))
      .then(
        posted('r1', [booked('world', 'bob', '3', ['-10', '4']), booked('bob', 'alice', '4', ['0', '10'])], {
          reverses: 't1',
          reference: 'sorry',
        }),
      )
      .answering({
        transactionId: 'r1',
        status: 'posted',
        postings: [posting('world', 'bob', '3'), posting('bob', 'alice', '4')],
        balances: { world: balance('-10', (maxAmount - 10n).toString()), bob: balance('0'), alice: balance('10') },
        recordedAt: '2026-01-31T12:00:00.000Z',
        reverses: 't1',
      });
  });

  it('moves back what was captured, not what was set aside', () => {
    const capturedInPart = captured('t1', { ...booked('alice', 'bob', '3'), authorised: '4' });
    given(...aliceHas('10'), authorised('t1', posting('alice', 'bob', '4')), capturedInPart)
      .when(reverses('t1', 'r1'))
      .then(posted('r1', booked('bob', 'alice', '3', ['0', '10']), { reverses: 't1' }));
  });

  const reversed = [
    ...aliceHas('10'),
    posted('t1', booked('alice', 'bob', '4')),
    posted('r1', booked('bob', 'alice', '4'), { reverses: 't1' }),
  ];

  it('changes nothing when that reversal was made before', () => {
    given(...reversed)
      .when(reverses('t1', 'r1'))
      .then(nothing)
      .answering(expect.objectContaining({ transactionId: 'r1', status: 'posted', reverses: 't1' }));
  });

  it('is refused when that reversal was made with another reference', () => {
    given(...reversed)
      .when(reverses('t1', 'r1', { reference: 'sorry' }))
      .then(refused('transaction-exists', 'transaction r1 exists with other content'));
  });

  it('is refused when another reversal was made before', () => {
    given(...reversed).when(reverses('t1', 'r2')).then(refused('already-reversed', 'transaction t1 was reversed by r1'));
  });

  it('is refused when there is no such transaction', () => {
    given().when(reverses('t1', 'r1')).then(refused('transaction-not-found'));
  });

  it('is refused for a reversal, and for whatever moved no money', () => {
    const pending = authorised('t2', posting('alice', 'bob', '4'));
    const voided = released('t2', 'voided', posting('alice', 'bob', '4'));
    given(...reversed).when(reverses('r1', 'r2')).then(refused('not-reversible', 'transaction r1 is a reversal itself'));
    given(...reversed, pending).when(reverses('t2', 'r2')).then(refused('not-reversible', 'transaction t2 is pending'));
    given(...reversed, pending, voided).when(reverses('t2', 'r2')).then(refused('not-reversible', 'transaction t2 is voided'));
  });

  it('is refused when the id it is to have is taken', () => {
    given(...aliceHas('10'), posted('t1', booked('alice', 'bob', '4'))).when(reverses('t1', 't0')).then(refused('transaction-exists'));
    given(...aliceHas('10'), posted('t1', booked('alice', 'bob', '4'))).when(reverses('t1', 't1')).then(refused('transaction-exists'));
  });

  it('is refused like any posting when the money is gone or the account closed', () => {
    const spent = [posted('t1', booked('alice', 'bob', '4')), posted('t2', booked('bob', 'world', '4'))];
    given(...aliceHas('10'), ...spent).when(reverses('t1', 'r1')).then(refused('insufficient-funds'));
    given(...aliceHas('10'), ...spent, closed('bob')).when(reverses('t1', 'r1')).then(refused('account-closed'));
  });

  it('keeps its id from being used for a posting', () => {
    given(...reversed).when(posts('r1', posting('bob', 'alice', '4'))).then(refused('transaction-exists'));
  });
});

describe('posting many transactions', () => {
  const items = [
    post('t1', posting('alice', 'bob', '6')),
    post('t2', posting('alice', 'bob', '6')),
    post('t3', posting('bob', 'alice', '2')),
  ];

  it('each on its own, refuses those that can not be, on what the ones before them left', () => {
    given(...aliceHas('10'))
      .when(postsMany('each', ...items))
      .then([posted('t1', booked('alice', 'bob', '6', ['4', '6'])), posted('t3', booked('bob', 'alice', '2', ['4', '6']))])
      .answering({
        results: [
          { transactionId: 't1', status: 'posted' },
          {
            transactionId: 't2',
            status: 'refused',
            code: 'insufficient-funds',
            detail: 'account alice has 4 available, 6 is needed',
          },
          { transactionId: 't3', status: 'posted' },
        ],
      });
  });

  it('all or none, refuses them all and says which one it was', () => {
    given(...aliceHas('10'))
      .when(postsMany('all', ...items))
      .then(refused('insufficient-funds', 'item 1: account alice has 4 available, 6 is needed'));
    given(...aliceHas('12')).when(postsMany('all', ...items)).then([
      posted('t1', booked('alice', 'bob', '6', ['6', '6'])),
      posted('t2', booked('alice', 'bob', '6', ['0', '12'])),
      posted('t3', booked('bob', 'alice', '2', ['10', '2'])),
    ]);
  });

  it('takes the same item twice for once', () => {
    given(...aliceHas('10'))
      .when(postsMany('each', items[0]!, items[0]!))
      .then([posted('t1', booked('alice', 'bob', '6', ['4', '6']))])
      .answering({ results: [{ transactionId: 't1', status: 'posted' }, { transactionId: 't1', status: 'posted' }] });
  });

  it('schedules the deadlines of all of them', () => {
    const pending = { pending: true, expiresInSeconds: 1 };
    given(...aliceHas('10'))
      .at('2026-01-31T12:00:00.000Z')
      .when(postsMany('each', post('t1', posting('alice', 'bob', '1'), pending), post('t2', posting('alice', 'bob', '1'), pending)))
      .scheduling(expect.objectContaining({ key: 'expire/main/t1' }), expect.objectContaining({ key: 'expire/main/t2' }));
  });
});
