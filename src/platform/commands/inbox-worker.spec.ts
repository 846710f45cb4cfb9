import type { ClaimedCommand, Inbox } from './inbox.js';
import { InboxWorker } from './inbox-worker.js';

const command = { command_id: '0.a', type: 'count', payload: {}, metadata: {}, fingerprint: null } as unknown as ClaimedCommand;

describe('A worker of the inbox', () => {
  const tookMs = 40;

  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  /** After how many milliseconds one who has taken so many commands, which take 40 ms, looks for the next. */
  async function looksAgainAfterMs(taken: number, accepting: number): Promise<number> {
    const inbox = { accepting, claim: () => Promise.resolve(Array.from({ length: taken }, () => command)) };
    const bus = { execute: () => new Promise((done) => setTimeout(done, tookMs)) };
    const metrics = { executed: { inc: () => undefined } };
    const registry = { find: () => class {} };
    const worker = new InboxWorker(inbox as unknown as Inbox, registry as never, bus as never, {} as never, metrics as never, {} as never);
    const beganMs = performance.now();
    let endedMs: number | undefined;
    void worker.run().then(() => (endedMs = performance.now()));
    while (endedMs === undefined) await jest.advanceTimersByTimeAsync(1);
    await jest.advanceTimersByTimeAsync(tookMs);
    await worker.idle();
    return endedMs - beganMs;
  }

  test('takes the next lot as soon as little is left of the last one', async () => {
    expect(await looksAgainAfterMs(64, 0)).toBe(tookMs);
  });

  test('rests for as long as a lot took while many wait to be accepted', async () => {
    expect(await looksAgainAfterMs(64, 31)).toBe(tookMs);
    expect(await looksAgainAfterMs(64, 32)).toBe(2 * tookMs);
  });

  test('does not rest when it has taken all that waited', async () => {
    expect(await looksAgainAfterMs(63, 1_000)).toBe(0);
  });
});
