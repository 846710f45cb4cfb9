import { Cluster, Redis, type RedisOptions } from 'ioredis';

const maxUnanswered = 100;

/** Redis pub/sub: told once, to whoever is connected then. */
export class RedisChannel {
  /** Messages that were not sent, because Redis was away or slow. */
  dropped = 0;
  private readonly publisher: Redis | Cluster;
  private readonly subscriber: Redis | Cluster | undefined;
  private unanswered = 0;

  constructor(
    urls: readonly string[],
    private readonly channel: string,
    private readonly on: { message(text: string): void; connected(): void; lost(error: unknown): void },
    listens: boolean,
  ) {
    this.publisher = connect(urls);
    this.publisher.on('error', on.lost);
    if (!listens) return;
    const subscriber = (this.subscriber = connect(urls));
    subscriber.on('error', on.lost);
    subscriber.on('message', (_channel: string, text: string) => on.message(text));
    subscriber.on('ready', () => void this.subscribe(subscriber));
  }

  start(): void {
    for (const client of [this.publisher, this.subscriber]) client?.connect().catch(this.on.lost);
  }

  /** Nobody waits for it, and Redis decides nothing: what is not told is found out by asking the database. */
  publish(messages: readonly string[]): void {
    if (this.publisher.status !== 'ready' || this.unanswered >= maxUnanswered) {
      this.dropped += messages.length;
      return;
    }
    for (const message of messages) {
      this.unanswered++;
      this.publisher.publish(this.channel, message).then(
        () => this.unanswered--,
        (error: unknown) => {
          this.unanswered--;
          this.dropped++;
          this.on.lost(error);
        },
      );
    }
  }

  restart(): void {
    this.subscriber?.disconnect(true);
  }

  stop(): void {
    for (const client of [this.publisher, this.subscriber]) client?.disconnect();
  }

  private async subscribe(subscriber: Redis | Cluster): Promise<void> {
    try {
      await subscriber.subscribe(this.channel);
      this.on.connected();
    } catch (error) {
      this.on.lost(error);
    }
  }
}

function connect(urls: readonly string[]): Redis | Cluster {
  const options: RedisOptions = {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    connectTimeout: 3_000,
    retryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
  };
  if (urls.length === 1) return new Redis(urls[0]!, options);
  const { username, password } = new URL(urls[0]!);
  return new Cluster([...urls], {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
    redisOptions: {
      ...options,
      ...(username && { username: decodeURIComponent(username) }),
      ...(password && { password: decodeURIComponent(password) }),
      ...(urls[0]!.startsWith('rediss:') && { tls: {} }),
    },
  });
}
