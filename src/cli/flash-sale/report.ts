import { percentile } from './display.js';
import type { SaleFacts, Verdict } from './verdict.js';

/** How the sale went, besides what came of it. */
export interface Run {
  readonly seconds: number;
  readonly waitedMs: readonly number[];
  readonly retries: number;
  readonly kills?: number;
}

/** The table at the end, and the verdict. */
export function report(facts: SaleFacts, { sold, rejected, ordersPerBuyerMax, pendingOfBuyers, wrongs }: Verdict, run: Run): string {
  const { units, buyers, stock, merchant, orders, told, audit } = facts;
  const { seconds, waitedMs, retries, kills } = run;
  const twice = [...told.values()].filter(({ length }) => length > 1).length;
  const reasons = [...rejected].map(([code, count]) => `, ${count} rejected (${code})`).join('');
  const rows: [string, string][] = [
    ['units sold', `${sold} of ${units}, to ${buyers} buyers`],
    ['units left', `${stock.available} (${stock.onHand} on hand, ${stock.reserved} reserved)`],
    ['orders', `${orders.length}: ${sold} confirmed${reasons}`],
    ['money', `merchant ${euros(merchant.pendingIn)} pending, ${euros(merchant.balance)} booked; buyers ${euros(pendingOfBuyers)} set aside`],
    ['sent twice', `${twice} buyers; orders per key: ${ordersPerBuyerMax} at most`],
    ['sent again', `${retries} times, after 502 to 504, no answer, or a lost connection`],
    ...(kills === undefined ? [] : [['server killed', `${kills} times`] as [string, string]]),
    ['waited', `p50 ${percentile(waitedMs, 0.5)} ms, p99 ${percentile(waitedMs, 0.99)} ms, from everybody's first click to the verdict`],
    ['orders/s', `${Math.round(orders.length / seconds)} (${waitedMs.length} answers in ${seconds.toFixed(1)} s)`],
    ['audit', audit === 'skipped' ? 'skipped: set DATABASE_URL to the server\'s database to have it' : audit],
  ];
  const table = rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`).join('\n');
  const verdict = wrongs.length === 0 ? 'RIGHT: sold what there was, once, and not a cent is missing.' : `WRONG:\n${wrongs.map((wrong) => `  ${wrong}`).join('\n')}`;
  return `${table}\n\n${verdict}`;
}

function euros(cents: bigint): string {
  return `${cents / 100n}.${String(cents % 100n).padStart(2, '0')} EUR`;
}
