/** What there is to know about a sale when it is over. The verdict is a pure function of it. */
export interface SaleFacts {
  readonly units: number;
  readonly buyers: number;
  /** Of one unit, and what every buyer brought, in minor units. */
  readonly price: bigint;
  readonly funds: bigint;
  /** What the buyers were told: one answer each, two for those who asked twice at the same time. */
  readonly told: ReadonlyMap<string, readonly Told[]>;
  /** What the server has on record. */
  readonly orders: readonly Order[];
  readonly stock: { readonly onHand: number; readonly reserved: number; readonly available: number };
  readonly merchant: Account;
  readonly accounts: ReadonlyMap<string, Account>;
  /** Of the whole ledger. */
  readonly net: bigint;
  readonly audit: 'clean' | 'broken' | 'skipped';
}

export interface Told {
  readonly status: 'confirmed' | 'rejected';
  readonly orderId?: string;
  readonly code?: string;
}

export interface Order {
  readonly orderId: string;
  readonly customerId: string;
  readonly status: string;
  readonly refusal?: { readonly code: string };
}

export interface Account {
  readonly balance: bigint;
  readonly pendingIn: bigint;
  readonly pendingOut: bigint;
}

export interface Verdict {
  /** Orders that were confirmed, each of one unit. */
  readonly sold: number;
  /** Why orders were rejected, and how many. */
  readonly rejected: ReadonlyMap<string, number>;
  readonly ordersPerBuyerMax: number;
  readonly pendingOfBuyers: bigint;
  /** Everything that is wrong, a line each; nothing when all is right. */
  readonly wrongs: readonly string[];
}

const examplesMax = 3;

export function judge(facts: SaleFacts): Verdict {
  const { units, buyers, price, funds, told, orders, stock, merchant, accounts, net, audit } = facts;
  const byBuyer = new Map<string, Order[]>();
  for (const order of orders) byBuyer.set(order.customerId, [...(byBuyer.get(order.customerId) ?? []), order]);
  const confirmed = orders.filter(({ status }) => status === 'confirmed');
  const rejected = orders.filter(({ status }) => status === 'rejected');
  const sold = confirmed.length;
  const revenue = BigInt(sold) * price;
  const pendingOfBuyers = sumOf(accounts, ({ pendingOut }) => pendingOut);

  const wrongs: string[] = [];
  const check = (isRight: boolean, wrong: string) => {
    if (!isRight) wrongs.push(wrong);
  };
  const checkAll = (offenders: readonly string[], what: string) => {
    const examples = offenders.slice(0, examplesMax).join(', ');
    check(offenders.length === 0, `${what}: ${offenders.length}, such as ${examples}`);
  };

  // A checkout that ran out of time could not pay, and may have held a unit while the last of the others were refused.
  const timedOut = rejected.filter(({ refusal }) => refusal?.code === 'payment-timeout').length;
  const most = Math.min(units, buyers - timedOut);
  check(sold <= most && sold >= most - timedOut, `${sold} units were sold, not ${most}`);
  const unfinished = orders.filter(({ status }) => status !== 'confirmed' && status !== 'rejected');
  checkAll(unfinished.map(({ orderId, status }) => `${orderId} (${status})`), 'orders without a final status');

  check(told.size === buyers, `${told.size} of ${buyers} buyers were answered`);
  const manyOrders = [...byBuyer].filter(([, own]) => own.length > 1).map(([buyer]) => buyer);
  checkAll(manyOrders, 'buyers with more than one order for one key');
  checkAll([...told.keys()].filter((buyer) => !byBuyer.has(buyer)), 'buyers without an order on record');
  checkAll([...byBuyer.keys()].filter((buyer) => !told.has(buyer)), 'orders of somebody who did not ask');
  const misled = [...told].filter(([buyer, answers]) => !answers.every((answer) => agrees(answer, byBuyer.get(buyer)?.[0])));
  checkAll(misled.map(([buyer]) => buyer), 'buyers who were told something else than is on record');

  check(stock.onHand === units, `${stock.onHand} units are on hand, not the ${units} that were received`);
  check(stock.reserved === sold, `${stock.reserved} units are reserved, not the ${sold} that were sold`);
  check(stock.available === stock.onHand - stock.reserved, `${stock.available} units are available, not ${stock.onHand - stock.reserved}`);

  check(merchant.pendingIn === revenue, `the merchant has ${merchant.pendingIn} pending, not ${revenue}`);
  check(merchant.balance === 0n, `the merchant has a balance of ${merchant.balance}; nothing was captured`);
  check(pendingOfBuyers === revenue, `buyers have ${pendingOfBuyers} set aside, not ${revenue}`);
  check(net === 0n, `all balances add up to ${net}, not to 0`);
  check(accounts.size === buyers, `${accounts.size} accounts of buyers are there, not ${buyers}`);
  const paying = new Set(confirmed.map(({ customerId }) => customerId));
  const wronged = [...accounts].filter(
    ([buyer, { balance, pendingOut }]) => balance !== funds || pendingOut !== (paying.has(buyer) ? price : 0n),
  );
  checkAll(wronged.map(([buyer]) => buyer), 'buyers with more or less money than they should have');

  check(audit !== 'broken', 'the audit found a broken invariant');
  return {
    sold,
    rejected: countBy(rejected, ({ refusal }) => refusal?.code ?? 'no reason'),
    ordersPerBuyerMax: Math.max(0, ...[...byBuyer.values()].map(({ length }) => length)),
    pendingOfBuyers,
    wrongs,
  };
}

/** A refusal names no order, only the reason. */
function agrees(answer: Told, order: Order | undefined): boolean {
  if (answer.status === 'rejected') return order?.status === 'rejected' && order.refusal?.code === answer.code;
  return order?.status === 'confirmed' && order.orderId === answer.orderId;
}

function sumOf(accounts: ReadonlyMap<string, Account>, amount: (account: Account) => bigint): bigint {
  return [...accounts.values()].reduce((sum, account) => sum + amount(account), 0n);
}

function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
