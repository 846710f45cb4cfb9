import KeyvMemcache from '@keyv/memcache';
import KeyvRedis, { createKeyvNonBlocking, type RedisClusterOptions } from '@keyv/redis';
import { createCache, type Cache } from 'cache-manager';
import { hash } from 'node:crypto';
import { Keyv } from 'keyv';

const patienceMs = 50;
const failuresToOpen = 3;
const openMs = 1_000;

/**
 * The tier that nodes share: cache-manager over Keyv, on Redis or memcached. It may lose anything, keep anything and
 * answer late: whoever reads it judges by itself whether what it finds may be given, and nobody waits for it longer
 * than 50 ms. After three failures in a row it is left alone for a second.
 */
export class SharedTier<Value extends object> {
  skipped = 0;
  failures = 0;
  private readonly cache: Cache;
  private readonly keyv: Keyv;
  private failuresInARow = 0;
  private openUntilMs = -Infinity;

  constructor(
    urls: readonly string[],
    private readonly onError: (error: unknown) => void,
  ) {
    this.keyv = keyvOf(urls);
    // A client that can not connect says so here each time it tries; unheard it would end the process.
    this.keyv.on('error', (error: unknown) => this.fail(error));
    this.cache = createCache({ stores: [this.keyv] });
    this.cache.on('set', ({ error }) => error && this.fail(error));
  }

  get isOpen(): boolean {
    return performance.now() < this.openUntilMs;
  }

  /** What was stored under the name, or undefined: there is nothing, or no answer in time. */
  get(name: string): Promise<Value | undefined> {
    return this.inTime(() => this.cache.get<Value>(this.keyOf(name)));
  }

  async set(name: string, value: Value, ttlMs: number): Promise<void> {
    await this.inTime(() => this.cache.set(this.keyOf(name), value, ttlMs));
  }

  async close(): Promise<void> {
    // A server that does not answer must not hold up the end of the process.
    const { store } = this.keyv as { store: KeyvRedis<unknown> | KeyvMemcache };
    if (store instanceof KeyvRedis) await store.disconnect(true);
    else store.client.close();
  }

  /** Of one length, whatever is asked for: memcached takes no key beyond 250 bytes. */
  private keyOf(name: string): string {
    return `rialto:cache:${hash('sha256', name, 'base64url')}`;
  }

  private async inTime<T>(ask: () => Promise<T>): Promise<T | undefined> {
    if (this.isOpen) {
      this.skipped++;
      return undefined;
    }
    const failuresBefore = this.failures;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs} ms`)), patienceMs);
    });
    try {
      const answer = await Promise.race([ask(), late]);
      if (this.failures === failuresBefore) this.failuresInARow = 0;
      return answer;
    } catch (error) {
      this.fail(error);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  private fail(error: unknown): void {
    this.failures++;
    // What fails while it is left alone was asked before: that makes the pause no longer.
    if (++this.failuresInARow < failuresToOpen || this.isOpen) return;
    this.onError(error);
    // The count stays: one more failure after the pause, and it is left alone again.
    this.openUntilMs = performance.now() + openMs;
  }
}

function keyvOf(urls: readonly string[]): Keyv {
  const [first] = urls;
  const { protocol, host } = new URL(first!);
  if (protocol === 'memcached:') {
    const servers = urls.map((url) => new URL(url).host).join();
    // It would write to standard output, between lines of JSON, what is counted here and told once.
    const logger = { log: () => undefined };
    // After that a silent server is connected to anew. With our own patience here, one late request were two failures.
    const timeout = openMs / 1_000;
    return new Keyv({ store: new KeyvMemcache(servers || host, { timeout, retries: 0, logger }), useKeyPrefix: false });
  }
  if (urls.length === 1) {
    const keyv = createKeyvNonBlocking(first);
    keyv.useKeyPrefix = false;
    return keyv;
  }
  const store = new KeyvRedis(clusterOf(urls), { throwOnConnectError: false, throwOnErrors: false });
  return new Keyv({ store, useKeyPrefix: false });
}

/**
 * The cluster tells of its nodes by host and port alone: how to speak to those that are not among the URLs is what the
 * first one says, as for the queues.
 */
export function clusterOf(urls: readonly string[]): RedisClusterOptions {
  const { username, password, protocol } = new URL(urls[0]!);
  return {
    rootNodes: urls.map((url) => ({ url })),
    defaults: {
      disableOfflineQueue: true,
      ...(username && { username: decodeURIComponent(username) }),
      ...(password && { password: decodeURIComponent(password) }),
      ...(protocol === 'rediss:' && { socket: { tls: true } }),
    },
  };
}
