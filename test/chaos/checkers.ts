import type { Operation } from '../support/history.js';
import type { LogContents, LoggedEvent, ReadTables } from './log-contents.js';

/**
 * What must be true of every history, whatever happened on the way. Each checker looks at what was recorded and
 * returns what is wrong with it, in words; nothing is what it should return. They fold the events themselves, so
 * that a mistake in the product's own folding does not hide itself.
 */

/** Offsets of a partition are 1…head with no gap. */
export function gapsInPositions({ partitions, events }: LogContents): string[] {
  const wrong: string[] = [];
  const positions = groupBy(events, ({ partition }) => partition);
  for (const { partition, head } of partitions) {
    const own = (positions.get(partition) ?? []).map(({ position }) => position).sort((a, b) => a - b);
    if (own.length !== head) wrong.push(`partition ${partition} has ${own.length} events and its head is ${head}`);
    own.forEach((position, index) => {
      if (position !== index + 1) wrong.push(`partition ${partition} has ${position} where ${index + 1} should be`);
    });
  }
  return some(wrong);
}

/** Versions of a stream are 1…n with no gap, in the order of positions, over its own events and those linked to it. */
export function gapsInVersions({ events, links }: LogContents): string[] {
  const wrong: string[] = [];
  for (const [name, members] of groupBy([...events, ...links], ({ partition, stream }) => `${partition}/${stream}`)) {
    members.sort((a, b) => a.position - b.position);
    members.forEach(({ version, position }, index) => {
      if (version !== index + 1) wrong.push(`${name} has version ${version} at ${position} where ${index + 1} should be`);
      if (index > 0 && members[index - 1]!.position === position) wrong.push(`${name} has ${position} twice`);
    });
  }
  const positions = new Set(events.map(({ partition, position }) => `${partition}@${position}`));
  for (const { partition, position, stream } of links) {
    if (!positions.has(`${partition}@${position}`)) wrong.push(`${stream} is linked to ${partition}@${position}, which is not there`);
  }
  return some(wrong);
}

/** Time does not run backwards in a partition. */
export function timesGoingBack({ events }: LogContents): string[] {
  const last = new Map<number, LoggedEvent>();
  const wrong: string[] = [];
  for (const event of [...events].sort((a, b) => a.position - b.position)) {
    const before = last.get(event.partition);
    if (before && Date.parse(before.recordedAt) > Date.parse(event.recordedAt)) {
      wrong.push(`${event.partition}@${event.position} was recorded before the event in front of it`);
    }
    last.set(event.partition, event);
  }
  return some(wrong);
}

/** No command left two sets of events, and each one's record names the events it left. */
export function commandsDoneTwice({ events, commands }: LogContents): string[] {
  const wrong: string[] = [];
  const byCommand = groupBy(events, ({ commandId }) => commandId);
  for (const [name, own] of byCommand) {
    const positions = own.map(({ position }) => position).sort((a, b) => a - b);
    const span = positions.at(-1)! - positions[0]! + 1;
    const isInOne = own.every(({ partition }) => partition === own[0]!.partition);
    if (span !== positions.length || !isInOne) wrong.push(`command ${name} left events in more than one place`);
  }
  for (const { commandId, status, firstPosition, lastPosition } of commands) {
    const own = byCommand.get(commandId) ?? [];
    if (status !== 'executed' && own.length > 0) wrong.push(`command ${commandId} is ${status} and left events`);
    if (status !== 'executed') continue;
    const recorded = firstPosition === null ? 0 : lastPosition! - firstPosition + 1;
    if (recorded !== own.length) wrong.push(`command ${commandId} recorded ${recorded} events and left ${own.length}`);
  }
  return some(wrong);
}

/**
 * Money is neither made nor lost: what a posting says it left behind is what the postings before it add up to, all
 * balances of a ledger and currency add up to 0, and no account is further below zero than it may be.
 */
export function moneyGoneWrong({ events }: LogContents): string[] {
  const wrong: string[] = [];
  const books = foldBooks(events, wrong);
  const sums = new Map<string, bigint>();
  for (const { ledger, currency, balance } of books.values()) {
    sums.set(`${ledger} ${currency}`, (sums.get(`${ledger} ${currency}`) ?? 0n) + balance);
  }
  for (const [name, sum] of sums) if (sum !== 0n) wrong.push(`the balances of ${name} add up to ${sum}`);
  return some(wrong);
}

/** Acknowledged operations are there exactly once and as answered; refused ones are not; unknown ones at most once. */
export function effectsGoneWrong(operations: readonly Operation[], { events }: LogContents): string[] {
  const wrong: string[] = [];
  const made = new Map<string, string[]>();
  for (const { data } of events) {
    if (data.reference === undefined) continue;
    const name = `${data.ledger}/${data.reference}`;
    made.set(name, [...(made.get(name) ?? []), data.transactionId]);
  }
  for (const operation of operations) {
    const promised = promisesOf(operation);
    operation.references.forEach((reference, index) => {
      const there = made.get(`${operation.ledger}/${reference}`) ?? [];
      const [least, most] = boundsOf(operation, promised?.[index]);
      if (there.length < least) wrong.push(`${reference} was acknowledged and is not there`);
      if (there.length > most) wrong.push(`${reference} is there ${there.length} times, and ${most} is right`);
      const promise = promised?.[index];
      if (promise && there.length === 1 && there[0] !== promise) wrong.push(`${reference} was answered with ${promise} and is ${there[0]}`);
    });
  }
  return some(wrong);
}

/** Whoever asks again with the same key gets the same answer. */
export function answersThatDiffer(operations: readonly Operation[]): string[] {
  const wrong: string[] = [];
  for (const { key, attempts } of operations) {
    for (const { fate, status, text } of attempts) {
      if (fate === 'unexpected') wrong.push(`${key} was answered with ${status} ${text}`);
    }
    const settled = attempts.filter(({ fate }) => fate === 'acknowledged' || fate === 'refused');
    const answers = new Set(settled.map(({ status, text }) => `${status} ${text}`));
    if (answers.size > 1) wrong.push(`${key} was answered with ${[...answers].join(' and with ')}`);
  }
  return some(wrong);
}

/** A read table is what its events add up to. */
export function readTablesGoneWrong({ events }: LogContents, tables: ReadTables): string[] {
  const books = foldBooks(events, []);
  const sums = new Map<string, { accounts: bigint; debits: bigint; credits: bigint }>();
  for (const { ledger, currency, balance } of books.values()) {
    const sum = sums.get(`${ledger} ${currency}`) ?? { accounts: 0n, debits: 0n, credits: 0n };
    sums.set(`${ledger} ${currency}`, sum);
    sum.accounts++;
    if (balance < 0n) sum.debits -= balance;
    else sum.credits += balance;
  }
  return some([
    ...differences(
      'ledger_accounts',
      [...books].map(([name, a]) => [
        name,
        `${a.currency} ${a.balance} ${a.pendingIn} ${a.pendingOut} v${a.version} ${a.closed ? 'closed' : 'open'}`,
      ]),
      tables.accounts.map((row) => [
        `${row.ledger}/${row.accountId}`,
        `${row.currency} ${row.balance} ${row.pendingIn} ${row.pendingOut} v${row.version} ${row.closed ? 'closed' : 'open'}`,
      ]),
    ),
    ...differences(
      'ledger_trial_balances',
      [...sums].map(([name, { accounts, debits, credits }]) => [name, `${accounts} ${debits} ${credits}`]),
      tables.trialBalances.map((row) => [`${row.ledger} ${row.currency}`, `${row.accounts} ${row.debits} ${row.credits}`]),
    ),
  ]);
}

// ---- The books, from the events

interface AccountBook {
  readonly ledger: string;
  readonly currency: string;
  readonly floor: bigint;
  balance: bigint;
  pendingIn: bigint;
  pendingOut: bigint;
  version: number;
  closed: boolean;
}

type Books = Map<string, AccountBook>;

const unlimited = 2n ** 63n;

function foldBooks(events: readonly LoggedEvent[], wrong: string[]): Books {
  const books: Books = new Map();
  for (const event of [...events].sort((a, b) => a.partition - b.partition || a.position - b.position)) {
    if (event.type.startsWith('ledger.')) foldOne(event, books, wrong);
  }
  return books;
}

function foldOne({ type, data }: LoggedEvent, accounts: Books, wrong: string[]): void {
  const { ledger } = data;
  if (type === 'ledger.account-opened.v1') {
    const { overdraft } = data;
    const floor = overdraft === 'none' ? 0n : overdraft === 'unlimited' ? unlimited : BigInt(overdraft.limit);
    const nothing = { balance: 0n, pendingIn: 0n, pendingOut: 0n, version: 1, closed: false };
    accounts.set(`${ledger}/${data.accountId}`, { ledger, currency: data.currency, floor: -floor, ...nothing });
    return;
  }
  if (type === 'ledger.account-closed.v1') {
    const account = accounts.get(`${ledger}/${data.accountId}`)!;
    account.closed = true;
    account.version++;
    return;
  }
  const touched = new Set<AccountBook>();
  data.postings.forEach((posting: Record<string, string>) => {
    const source = accounts.get(`${ledger}/${posting.source}`);
    const destination = accounts.get(`${ledger}/${posting.destination}`);
    if (!source || !destination) return void wrong.push(`${data.transactionId} moves money of an account that is not there`);
    touched.add(source).add(destination);
    const amount = BigInt(posting.amount!);
    if (type === 'ledger.transaction-authorised.v1' || type === 'ledger.transaction-released.v1') {
      const sign = type === 'ledger.transaction-authorised.v1' ? 1n : -1n;
      source.pendingOut += sign * amount;
      destination.pendingIn += sign * amount;
    } else {
      source.pendingOut -= BigInt(posting.authorised ?? 0);
      destination.pendingIn -= BigInt(posting.authorised ?? 0);
      source.balance -= amount;
      destination.balance += amount;
      if (posting.sourceBalance !== String(source.balance) || posting.destinationBalance !== String(destination.balance)) {
        wrong.push(`${data.transactionId} was booked on balances that the postings before it do not add up to`);
      }
    }
    if (source.balance - source.pendingOut < source.floor) wrong.push(`${data.transactionId} took ${posting.source} below its floor`);
  });
  for (const account of touched) account.version++;
}

// ---- What an operation was promised

/** The ids its transactions were answered with, null where one was refused; undefined when nothing was promised. */
function promisesOf({ attempts, references }: Operation): (string | null)[] | undefined {
  const settled = attempts.find(({ fate }) => fate === 'acknowledged' || fate === 'refused');
  if (!settled) return undefined;
  if (settled.fate === 'refused') return references.map(() => null);
  const answer = JSON.parse(settled.text!) as {
    transactionId?: string;
    results?: { transactionId: string; status: string }[];
  };
  if (!answer.results) return [answer.transactionId!];
  return answer.results.map(({ transactionId, status }) => (status === 'refused' ? null : transactionId));
}

function boundsOf({ attempts }: Operation, promise: string | null | undefined): [least: number, most: number] {
  if (promise !== undefined) return promise === null ? [0, 0] : [1, 1];
  return attempts.some(({ fate }) => fate === 'unknown') ? [0, 1] : [0, 0];
}

// ---- Helpers

export type Named = readonly (readonly [name: string, value: string])[];

/** Of a table's rows, by name: what is missing, too much, or otherwise. */
export function differences(table: string, expected: Named, actual: Named): string[] {
  const wrong: string[] = [];
  const there = new Map(actual);
  if (there.size !== actual.length) wrong.push(`${table} has ${actual.length - there.size} rows twice`);
  for (const [name, value] of expected) {
    const found = there.get(name);
    if (found !== value) wrong.push(`${table}: ${name} is ${found ?? 'missing'} and should be ${value}`);
    there.delete(name);
  }
  for (const name of there.keys()) wrong.push(`${table}: ${name} should not be there`);
  return wrong;
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** The first ones say it; nobody reads thousands. */
function some(wrong: string[]): string[] {
  return wrong.length <= 10 ? wrong : [...wrong.slice(0, 10), `and ${wrong.length - 10} more`];
}
