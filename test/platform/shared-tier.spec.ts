import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { AnswerCache, type Answer, type SharedAnswer } from '../../src/platform/cache/answer-cache.js';
import { clusterOf, SharedTier } from '../../src/platform/cache/shared-tier.js';

/** A store that takes connections, hears everything, and says nothing. */
class SilentServer {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor() {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined).resume();
    });
  }

  static async start(): Promise<SilentServer> {
    const silent = new SilentServer();
    silent.server.listen(0, '127.0.0.1');
    await once(silent.server, 'listening');
    return silent;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Somebody has connected. That takes time, which no test says when it passes. */
  async isConnected(): Promise<void> {
    while (this.sockets.size === 0) await turn();
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

/** The event loop has gone round a few times: what needs no time is done. */
async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await turn();
}

describe.each(['redis', 'memcached'])('The shared tier on a %s that is silent', (scheme) => {
  let silent: SilentServer;
  let tier: SharedTier<SharedAnswer>;
  /** When it was said to be left alone. */
  let openedMs: number[];

  beforeEach(async () => {
    silent = await SilentServer.start();
    // Time passes when the test says so; what the sockets do comes as ever.
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask', 'Date'] });
    openedMs = [];
    tier = new SharedTier<SharedAnswer>([`${scheme}://${silent.address}`], () => openedMs.push(performance.now()));
  });

  afterEach(async () => {
    jest.useRealTimers();
    await tier.close();
    silent.stop();
  });

  /** Whether it has been answered by now. */
  function asked() {
    const state = { isAnswered: false, answer: undefined as unknown };
    void tier.get('something').then((answer) => Object.assign(state, { isAnswered: true, answer }));
    return state;
  }

  async function pass(ms: number): Promise<void> {
    await silent.isConnected();
    await settle();
    jest.advanceTimersByTime(ms);
    await settle();
  }

  test('is waited for 50 ms, and then there is nothing', async () => {
    const get = asked();
    await pass(49);
    expect(get).toEqual({ isAnswered: false, answer: undefined });
    await pass(1);
    expect(get).toEqual({ isAnswered: true, answer: undefined });
    expect([tier.failures, tier.skipped, tier.isOpen]).toEqual([1, 0, false]);
  });

  test('has failed once when it was waited for once, however long the client itself waits', async () => {
    asked();
    await pass(50);
    // No fake clock reaches the client's own timers.
    const untilMs = Date.now() + 300;
    while (Date.now() < untilMs) await turn();
    expect([tier.failures, tier.isOpen]).toEqual([1, false]);
  });

  test('is left alone for a second after three in a row, and after the next one again', async () => {
    for (let n = 1; n <= 3; n++) {
      expect(tier.isOpen).toBe(false);
      asked();
      await pass(50);
    }
    expect([tier.failures, tier.isOpen, openedMs.length]).toEqual([3, true, 1]);

    const skipped = asked();
    await settle();
    expect([skipped.isAnswered, tier.skipped, tier.failures]).toEqual([true, 1, 3]);
    await pass(openedMs[0]! + 999 - performance.now());
    expect(tier.isOpen).toBe(true);
    await pass(1);
    expect(tier.isOpen).toBe(false);

    const again = asked();
    await pass(50);
    expect([again.isAnswered, tier.skipped, tier.failures, tier.isOpen]).toEqual([true, 1, 4, true]);
  });
});

test('answers that were loaded together do not expire together: a fifth of their time lies between them', async () => {
  const cacheTtlMs = 10_000;
  const stored: number[] = [];
  const shared = { failures: 0, skipped: 0, isOpen: false, get: async () => undefined, set: async (_: string, __: SharedAnswer, ttlMs: number) => void stored.push(ttlMs), close: async () => undefined };
  const cache = new AnswerCache({ partitions: 1, cacheBytes: 10_000_000, cacheTtlMs }, shared, () => 0);
  cache.feed.look([{ view: 'things', tableId: '1', partition: 0, position: 0 }], 0, true);
  const load = (key: string): Answer => ({ text: key, etag: '"1"', sources: [{ view: 'things', key, partition: 0, asOf: 0 }] });
  const urls = Array.from({ length: 500 }, (_, n) => `/${n}`);
  await Promise.all(urls.map((url) => cache.find({ url, route: '/:n', views: [{ name: 'things' }], positions: [], load: async () => load(url) })));

  const expiries = urls.map((url) => cache.recall(url, [])!.expiresAtMs);
  for (const times of [expiries, stored]) {
    expect(times).toHaveLength(500);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0.9 * cacheTtlMs);
    expect(Math.max(...times)).toBeLessThanOrEqual(1.1 * cacheTtlMs);
    // Of 500, 25 are in each hundredth of the time to live: 75 would be ten deviations more.
    const perHundredth = new Map<number, number>();
    for (const ms of times) perHundredth.set(Math.floor(ms / 100), (perHundredth.get(Math.floor(ms / 100)) ?? 0) + 1);
    expect(Math.max(...perHundredth.values())).toBeLessThan(75);
  }
});

test('nodes that a cluster tells of are spoken to as the first URL says: by TLS, and with its name and password', () => {
  const urls = ['rediss://shop:p%40ss@one.example:6379', 'rediss://two.example:6379'];
  const { rootNodes, defaults } = clusterOf(urls);
  expect(rootNodes).toEqual(urls.map((url) => ({ url })));
  expect(defaults).toEqual({ disableOfflineQueue: true, username: 'shop', password: 'p@ss', socket: { tls: true } });
  expect(clusterOf(['redis://one.example', 'redis://two.example']).defaults).toEqual({ disableOfflineQueue: true });
});
