import { OverloadedError } from '../../../platform/errors.js';
import type { LogWriter, Outcome } from '../../../platform/log/writer.js';
import { PostTransactions, PostTransactionsHandler, type PostTransactionsInput } from './post-transactions.js';

const outcome: Outcome = { partition: 0, position: 1, replayed: false, status: 'executed', created: false, answer: '{"results":[]}' };
const postings = [{ source: 'a', destination: 'b', amount: 1n }];
const longest = Array.from({ length: 10_000 }, () => ({ postings }));
/** 16 MB of it. */
const wordiest = Array.from({ length: 1_000 }, () => ({ postings, metadata: { note: 'x'.repeat(16_000) } }));

/** A process whose writer takes its time: what it was given waits to be settled. */
function start() {
  const writes: ((result: Outcome | Error) => void)[] = [];
  const execute = () =>
    new Promise<Outcome>((resolve, reject) => writes.push((result) => (result instanceof Error ? reject(result) : resolve(result))));
  const handler = new PostTransactionsHandler({ execute } as unknown as LogWriter);
  const post = (items: object[]) => {
    const input = { ledger: 'l', atomic: true, items } as unknown as PostTransactionsInput;
    return handler.execute(new PostTransactions(input, { commandId: 'c', metadata: {} } as never));
  };
  return { post, writes };
}

describe('many lists of transactions at once', () => {
  test('are taken on while there is memory for them, and one more is told to come again', async () => {
    const { post, writes } = start();
    const taken = Array.from({ length: 30 }, () => post(longest));
    await expect(post(longest)).rejects.toBeInstanceOf(OverloadedError);
    expect(writes).toHaveLength(30);

    writes[0]!(outcome);
    writes[1]!(new Error('the decision threw'));
    await expect(taken[0]).resolves.toBe(outcome);
    await expect(taken[1]).rejects.toThrow('the decision threw');
    for (let n = 0; n < 2; n++) void post(longest);
    await expect(post(longest)).rejects.toBeInstanceOf(OverloadedError);
    expect(writes).toHaveLength(32);
  });

  test('count what they say besides, too', async () => {
    const { post, writes } = start();
    void post(wordiest);
    await expect(post(wordiest)).rejects.toBeInstanceOf(OverloadedError);
    void post(longest);
    expect(writes).toHaveLength(2);
  });

  test('do not keep out one that is larger than all of them may be, when it comes alone', async () => {
    const { post, writes } = start();
    void post([...wordiest, ...wordiest]);
    expect(writes).toHaveLength(1);
    await expect(post(longest)).rejects.toBeInstanceOf(OverloadedError);
  });
});
