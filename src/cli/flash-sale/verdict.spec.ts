import { judge, type Order, type SaleFacts, type Told } from './verdict.js';

const price = 1_999n;
const funds = 2n * price;

/** Two units for three buyers, the second of whom asked twice; nothing is wrong. */
function rightFacts(): Facts {
  const confirmed = { status: 'confirmed' } as const;
  const refused = { status: 'rejected', code: 'insufficient-stock' } as const;
  return {
    units: 2,
    buyers: 3,
    price,
    funds,
    told: new Map<string, Told[]>([
      ['ann', [{ ...confirmed, orderId: 'a' }]],
      ['bob', [{ ...confirmed, orderId: 'b' }, { ...confirmed, orderId: 'b' }]],
      ['cid', [refused]],
    ]),
    orders: [
      { orderId: 'a', customerId: 'ann', ...confirmed },
      { orderId: 'b', customerId: 'bob', ...confirmed },
      { orderId: 'c', customerId: 'cid', status: 'rejected', refusal: { code: 'insufficient-stock' } },
    ],
    stock: { onHand: 2, reserved: 2, available: 0 },
    merchant: { balance: 0n, pendingIn: 2n * price, pendingOut: 0n },
    accounts: new Map([
      ['ann', { balance: funds, pendingIn: 0n, pendingOut: price }],
      ['bob', { balance: funds, pendingIn: 0n, pendingOut: price }],
      ['cid', { balance: funds, pendingIn: 0n, pendingOut: 0n }],
    ]),
    net: 0n,
    audit: 'clean',
  };
}

type Facts = Omit<SaleFacts, 'told' | 'orders' | 'accounts'> & {
  told: Map<string, Told[]>;
  orders: Order[];
  accounts: Map<string, SaleFacts['merchant']>;
};

describe('the verdict on a sale', () => {
  it('is that all is right when it is, with an audit or without', () => {
    expect(judge(rightFacts())).toEqual({
      sold: 2,
      rejected: new Map([['insufficient-stock', 1]]),
      ordersPerBuyerMax: 1,
      pendingOfBuyers: 2n * price,
      wrongs: [],
    });
    expect(judge({ ...rightFacts(), audit: 'skipped' }).wrongs).toEqual([]);
  });

  const reject = (facts: Facts, index: number, code: string) =>
    (facts.orders[index] = { ...facts.orders[index]!, status: 'rejected', refusal: { code } });

  it.each<[string, RegExp, (facts: Facts) => Partial<SaleFacts> | void]>([
    ['too little was sold', /1 units were sold, not 2/, (facts) => void reject(facts, 1, 'insufficient-stock')],
    ['too much was sold', /2 units were sold, not 1/, () => ({ units: 1 })],
    ['an order is not final', /without a final status: 1, such as c \(placed\)/, (facts) => void (facts.orders[2] = { ...facts.orders[2]!, status: 'placed' })],
    ['a buyer was not answered', /2 of 3 buyers were answered/, (facts) => void facts.told.delete('cid')],
    ['a key made two orders', /more than one order for one key: 1, such as cid/, (facts) => void facts.orders.push({ ...facts.orders[2]!, orderId: 'd' })],
    ['an order is lost', /without an order on record: 1, such as cid/, (facts) => void facts.orders.pop()],
    ['somebody ordered who did not ask', /did not ask: 1, such as eve/, (facts) => void facts.orders.push({ ...facts.orders[2]!, customerId: 'eve' })],
    ['the same key was told two orders', /something else than is on record: 1, such as bob/, (facts) => void (facts.told.get('bob')![1] = { status: 'confirmed', orderId: 'x' })],
    ['the same key was told two verdicts', /something else/, (facts) => void (facts.told.get('bob')![1] = { status: 'rejected', code: 'insufficient-stock' })],
    ['a wrong reason was told', /something else .* cid/, (facts) => void (facts.told.get('cid')![0] = { status: 'rejected', code: 'insufficient-funds' })],
    ['there was stock before', /7 units are on hand, not the 2/, () => ({ stock: { onHand: 7, reserved: 2, available: 5 } })],
    ['stock is still held', /3 units are reserved, not the 2/, () => ({ stock: { onHand: 2, reserved: 3, available: -1 } })],
    ['stock does not add up', /1 units are available, not 0/, () => ({ stock: { onHand: 2, reserved: 2, available: 1 } })],
    ['the merchant gets too much', /the merchant has 5997 pending, not 3998/, () => ({ merchant: { balance: 0n, pendingIn: 3n * price, pendingOut: 0n } })],
    ['the merchant was paid', /balance of 1;/, ({ merchant }) => ({ merchant: { ...merchant, balance: 1n } })],
    ['a buyer pays twice', /more or less money .*: 1, such as ann/, (facts) => void facts.accounts.set('ann', { balance: funds, pendingIn: 0n, pendingOut: 2n * price })],
    ['the wrong buyer pays', /more or less money .*: 2, such as ann, cid/, (facts) => {
      const [ann, cid] = [facts.accounts.get('ann')!, facts.accounts.get('cid')!];
      facts.accounts.set('ann', cid).set('cid', ann);
    }],
    ['a buyer has lost money', /more or less money .*: 1, such as cid/, (facts) => void facts.accounts.set('cid', { balance: funds - 1n, pendingIn: 0n, pendingOut: 0n })],
    ['an account is missing', /2 accounts of buyers are there, not 3/, (facts) => void facts.accounts.delete('cid')],
    ['money appeared', /add up to 1/, () => ({ net: 1n })],
    ['the audit says so', /the audit found a broken invariant/, () => ({ audit: 'broken' })],
  ])('is that something is wrong when %s', (_what, wrong, damage) => {
    const facts = rightFacts();
    expect(judge({ ...facts, ...damage(facts) }).wrongs).toContainEqual(expect.stringMatching(wrong));
  });

  it('takes into account who ran out of time to pay, and holds a unit for nobody else then', () => {
    const facts = rightFacts();
    reject(facts, 1, 'payment-timeout');
    facts.told.set('bob', [{ status: 'rejected', code: 'payment-timeout' }]);
    facts.accounts.set('bob', { balance: funds, pendingIn: 0n, pendingOut: 0n });
    const rest = { stock: { onHand: 2, reserved: 1, available: 1 }, merchant: { balance: 0n, pendingIn: price, pendingOut: 0n } };
    expect(judge({ ...facts, ...rest }).wrongs).toEqual([]);
  });
});
