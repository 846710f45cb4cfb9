import { nothing, refused } from '../../../../test/support/given.js';
import { authorised, booked, closed, closing, given, opened, opening, posted, posting, released } from '../../../../test/support/ledger-words.js';
import { availableOf, limitOf } from './account.js';
import { maxAmount } from '../../../shared/amount.js';

describe('opening an account', () => {
  it('opens it, empty', () => {
    given()
      .at('2026-01-31T12:00:00.000Z')
      .when(opening('alice', { metadata: { tier: 'gold' } }))
      .then(opened('alice', { metadata: { tier: 'gold' } }))
      .creating(true)
      .answering({
        accountId: 'alice',
        ledger: 'main',
        currency: 'EUR',
        overdraft: 'none',
        balance: '0',
        pendingIn: '0',
        pendingOut: '0',
        available: '0',
        version: 1,
        openedAt: '2026-01-31T12:00:00.000Z',
        metadata: { tier: 'gold' },
      });
  });

  it('says what may be overdrawn as available', () => {
    given().when(opening('alice', { overdraft: { limit: '500' } })).answering(expect.objectContaining({ available: '500' }));
    given()
      .when(opening('world', { overdraft: 'unlimited' }))
      .answering(expect.objectContaining({ available: maxAmount.toString() }));
  });

  it('changes nothing when it is open with the same terms, and answers with what it has become', () => {
    given(opened('world', { overdraft: 'unlimited' }), opened('alice'), posted('t1', booked('world', 'alice', '1050')))
      .when(opening('alice'))
      .then(nothing)
      .creating(false)
      .answering(expect.objectContaining({ balance: '1050', version: 2, openedAt: '2026-01-01T00:00:00.000Z' }));
  });

  it('takes the same metadata in another order, or none and an empty one, for the same terms', () => {
    given(opened('alice', { metadata: { a: 1, b: { c: 2, d: 3 } } }))
      .when(opening('alice', { metadata: { b: { d: 3, c: 2 }, a: 1 } }))
      .then(nothing);
    given(opened('alice')).when(opening('alice', { metadata: {} })).then(nothing);
  });

  it.each([
    ['currency', { currency: 'USD' }],
    ['overdraft', { overdraft: { limit: '1' } }],
    ['metadata', { metadata: { tier: 'gold' } }],
  ] as const)('is refused when it is open with another %s', (_what, terms) => {
    given(opened('alice')).when(opening('alice', terms)).then(refused('account-exists', 'account alice exists with other content'));
  });

  it('does not open a closed account again', () => {
    given(opened('alice'), closed('alice'))
      .when(opening('alice'))
      .then(nothing)
      .answering(expect.objectContaining({ closedAt: '2026-01-01T00:00:00.000Z' }));
  });
});

describe('closing an account', () => {
  it('closes an empty one', () => {
    given(opened('alice'))
      .at('2026-02-01T00:00:00.000Z')
      .when(closing('alice'))
      .then(closed('alice'))
      .answering(expect.objectContaining({ version: 2, closedAt: '2026-02-01T00:00:00.000Z' }));
  });

  it('changes nothing when it is closed', () => {
    given(opened('alice'), closed('alice'))
      .when(closing('alice'))
      .then(nothing)
      .answering(expect.objectContaining({ closedAt: '2026-01-01T00:00:00.000Z' }));
  });

  it('is refused when there is no such account', () => {
    given().when(closing('alice')).then(refused('account-not-found', 'there is no account alice in this ledger'));
  });

  const moneyMoved = [opened('world', { overdraft: 'unlimited' }), opened('alice')];

  it('is refused while it holds money, or owes it', () => {
    given(...moneyMoved, posted('t1', booked('world', 'alice', '1')))
      .when(closing('alice'))
      .then(refused('account-not-empty', 'account alice has a balance of 1, 0 coming in and 0 going out'));
    given(...moneyMoved, posted('t1', booked('world', 'alice', '1')))
      .when(closing('world'))
      .then(refused('account-not-empty', /a balance of -1,/));
  });

  it('is refused while something is pending, on either side', () => {
    const pending = authorised('t1', posting('world', 'alice', '7'));
    given(...moneyMoved, pending).when(closing('alice')).then(refused('account-not-empty', /0, 7 coming in and 0 going/));
    given(...moneyMoved, pending).when(closing('world')).then(refused('account-not-empty', /0, 0 coming in and 7 going/));
  });

  it('is possible again when nothing is pending any more', () => {
    const pending = posting('world', 'alice', '7');
    given(...moneyMoved, authorised('t1', pending), released('t1', 'voided', pending))
      .when(closing('alice'))
      .then(closed('alice'));
  });
});

describe('what is available', () => {
  it('is the balance, less what is going out, plus what may be overdrawn', () => {
    expect(availableOf({ balance: 100n, pendingOut: 30n, overdraftLimit: 50n })).toBe(120n);
    expect(availableOf({ balance: -40n, pendingOut: 10n, overdraftLimit: 50n })).toBe(0n);
  });

  it('is never more than the largest amount', () => {
    expect(availableOf({ balance: 5n, pendingOut: 0n, overdraftLimit: limitOf('unlimited') })).toBe(maxAmount);
    expect(availableOf({ balance: -5n, pendingOut: 0n, overdraftLimit: limitOf('unlimited') })).toBe(maxAmount - 5n);
  });
});
