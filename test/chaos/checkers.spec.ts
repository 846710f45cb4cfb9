import type { Operation } from '../support/history.js';
import {
  answersThatDiffer,
  commandsDoneTwice,
  effectsGoneWrong,
  gapsInPositions,
  gapsInVersions,
  moneyGoneWrong,
  readTablesGoneWrong,
  timesGoingBack,
} from './checkers.js';
import type { LogContents, LoggedEvent, ReadTables } from './log-contents.js';

const opened = (accountId: string, overdraft: unknown = 'none') => ({
  stream: `account/main/${accountId}`,
  version: 1,
  type: 'ledger.account-opened.v1',
  data: { ledger: 'main', accountId, currency: 'EUR', overdraft },
});
const posted = (transactionId: string, amount: string, worldBalance: string, aliceBalance: string) => ({
  stream: `transaction/main/${transactionId}`,
  version: 1,
  type: 'ledger.transaction-posted.v1',
  data: {
    ledger: 'main',
    transactionId,
    reference: `ref-${transactionId}`,
    postings: [
      { source: 'world', destination: 'alice', amount, sourceBalance: worldBalance, destinationBalance: aliceBalance },
    ],
  },
});

/** Two accounts, and two transfers from one to the other. */
function history(): LogContents {
  const events = [opened('world', 'unlimited'), opened('alice'), posted('t1', '10', '-10', '10'), posted('t2', '5', '-15', '15')];
  return {
    partitions: [{ partition: 0, head: 4 }, { partition: 1, head: 0 }],
    events: events.map((event, index) => ({
      ...event,
      partition: 0,
      position: index + 1,
      commandId: `0.c${index}`,
      recordedAt: `2026-01-01 00:00:0${index}+00`,
    })),
    links: [3, 4].flatMap((position) =>
      ['world', 'alice'].map((name) => ({ partition: 0, stream: `account/main/${name}`, version: position - 1, position })),
    ),
    commands: [{ partition: 0, commandId: '0.c2', status: 'executed', firstPosition: 3, lastPosition: 3 }],
  };
}

function tables(): ReadTables {
  const account = (accountId: string, balance: string) => ({
    ledger: 'main', accountId, currency: 'EUR', balance, pendingIn: '0', pendingOut: '0', version: 3, closed: false,
  });
  return {
    accounts: [account('world', '-15'), account('alice', '15')],
    trialBalances: [{ ledger: 'main', currency: 'EUR', accounts: '2', debits: '15', credits: '15' }],
  };
}

const operation = (transactionId: string, attempts: Operation['attempts']): Operation => ({
  key: `key-${transactionId}`,
  ledger: 'main',
  references: [`ref-${transactionId}`],
  attempts,
});
const acknowledged = (transactionId: string) =>
  ({ fate: 'acknowledged', status: 201, text: JSON.stringify({ transactionId }) }) as const;
const refused = { fate: 'refused', status: 409, text: '{"code":"insufficient-funds"}' } as const;

function logWith<Key extends keyof LogContents>(key: Key, change: (items: LogContents[Key]) => LogContents[Key]): LogContents {
  const log = history();
  return { ...log, [key]: change(log[key]) };
}
const change = (position: number, what: Partial<LoggedEvent>) =>
  logWith('events', (events) => events.map((event) => (event.position === position ? { ...event, ...what } : event)));

describe('The checkers', () => {
  test('find nothing wrong with a history that is right', () => {
    const log = history();
    expect(gapsInPositions(log)).toEqual([]);
    expect(gapsInVersions(log)).toEqual([]);
    expect(timesGoingBack(log)).toEqual([]);
    expect(commandsDoneTwice(log)).toEqual([]);
    expect(moneyGoneWrong(log)).toEqual([]);
    expect(readTablesGoneWrong(log, tables())).toEqual([]);
    const operations = [
      operation('t1', [{ fate: 'unknown' }, acknowledged('t1'), acknowledged('t1')]),
      operation('t2', [{ fate: 'unknown' }]),
      operation('t3', [{ fate: 'turned away', status: 503 }, refused]),
      operation('t4', [{ fate: 'unknown' }]),
    ];
    expect(effectsGoneWrong(operations, log)).toEqual([]);
    expect(answersThatDiffer(operations)).toEqual([]);
  });

  test('see a position that was left out', () => {
    expect(gapsInPositions(change(4, { position: 5 }))).toEqual(['partition 0 has 5 where 4 should be']);
  });

  test('see a head that is ahead of its events', () => {
    const log = logWith('partitions', () => [{ partition: 0, head: 5 }]);
    expect(gapsInPositions(log)).toEqual(['partition 0 has 4 events and its head is 5']);
  });

  test('see a version that was left out, in a link too', () => {
    expect(gapsInVersions(change(3, { version: 2 }))).toHaveLength(1);
    expect(gapsInVersions(logWith('links', (links) => links.slice(1)))).toEqual([
      '0/account/main/world has version 3 at 4 where 2 should be',
    ]);
  });

  test('see a link to an event that is not there', () => {
    const log = logWith('links', (links) => [...links, { partition: 0, stream: 'account/main/world', version: 4, position: 9 }]);
    expect(gapsInVersions(log)).toEqual(['account/main/world is linked to 0@9, which is not there']);
  });

  test('see time run backwards', () => {
    expect(timesGoingBack(change(4, { recordedAt: '2025-12-31 23:59:59+00' }))).toHaveLength(1);
  });

  test('see a command that was done twice', () => {
    expect(commandsDoneTwice(change(4, { commandId: '0.c1' }))).toEqual([
      'command 0.c1 left events in more than one place',
    ]);
    expect(commandsDoneTwice(change(4, { commandId: '0.c2' }))).toEqual([
      'command 0.c2 recorded 1 events and left 2',
    ]);
  });

  test('see a refused command that left events', () => {
    const log = logWith('commands', ([command]) => [{ ...command!, status: 'refused' }]);
    expect(commandsDoneTwice(log)).toEqual(['command 0.c2 is refused and left events']);
  });

  test('see an update that was lost', () => {
    const log = change(4, posted('t2', '5', '-5', '5'));
    expect(moneyGoneWrong(log)).toEqual(['t2 was booked on balances that the postings before it do not add up to']);
  });

  test('see an account below its floor', () => {
    const log = change(1, opened('world', { limit: '14' }));
    expect(moneyGoneWrong(log)).toEqual(['t2 took world below its floor']);
  });

  test('see an acknowledged transfer that is missing', () => {
    const missing = operation('t3', [acknowledged('t3')]);
    expect(effectsGoneWrong([missing], history())).toEqual(['ref-t3 was acknowledged and is not there']);
  });

  test('see a transfer that is there twice', () => {
    const log = change(4, { data: { ...posted('t2', '5', '-15', '15').data, reference: 'ref-t1' } });
    expect(effectsGoneWrong([operation('t1', [{ fate: 'unknown' }])], log)).toEqual(['ref-t1 is there 2 times, and 1 is right']);
  });

  test('see a refused transfer that happened', () => {
    expect(effectsGoneWrong([operation('t1', [refused])], history())).toEqual(['ref-t1 is there 1 times, and 0 is right']);
  });

  test('see a transfer that happened though it was turned away', () => {
    const turnedAway = operation('t1', [{ fate: 'turned away', status: 503 }]);
    expect(effectsGoneWrong([turnedAway], history())).toEqual(['ref-t1 is there 1 times, and 0 is right']);
  });

  test('see an answer with another id than the one in the log', () => {
    expect(effectsGoneWrong([operation('t1', [acknowledged('t9')])], history())).toEqual(['ref-t1 was answered with t9 and is t1']);
  });

  test('see an item of several that is missing', () => {
    const text = JSON.stringify({ results: [{ transactionId: 't1', status: 'posted' }, { transactionId: 't3', status: 'posted' }] });
    const several = { ...operation('t1', [{ fate: 'acknowledged', status: 200, text }]), references: ['ref-t1', 'ref-t3'] };
    expect(effectsGoneWrong([several as Operation], history())).toEqual(['ref-t3 was acknowledged and is not there']);
  });

  test('see two answers to one key', () => {
    expect(answersThatDiffer([operation('t1', [acknowledged('t1'), acknowledged('t9')])])).toHaveLength(1);
    expect(answersThatDiffer([operation('t1', [acknowledged('t1'), refused])])).toHaveLength(1);
  });

  test('see an answer that nobody should get', () => {
    const broken = operation('t1', [{ fate: 'unexpected', status: 500, text: 'oh' }]);
    expect(answersThatDiffer([broken])).toEqual(['key-t1 was answered with 500 oh']);
  });

  test.each(['accounts', 'trialBalances'] as const)('see a row of %s that is missing', (table) => {
    const right = tables();
    expect(readTablesGoneWrong(history(), { ...right, [table]: right[table].slice(1) })).toHaveLength(1);
  });

  test('see a balance in a read table that its events do not add up to', () => {
    const right = tables();
    const accounts = right.accounts.map((row) => ({ ...row, balance: '16' }));
    expect(readTablesGoneWrong(history(), { ...right, accounts })).toHaveLength(2);
  });
});
