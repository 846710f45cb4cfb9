import pg from 'pg';

/** PostgreSQL refuses a payload of 8,000 bytes and more. */
export const maxPayloadBytes = 7_900;

/** In the transaction that makes the news: they are heard in this order if it commits, and not at all otherwise. */
export function notifyStatement(channel: string, messages: readonly string[]) {
  const text = 'SELECT pg_notify($1, message) FROM unnest($2::text[]) WITH ORDINALITY AS m(message, n) ORDER BY n';
  return { name: 'notify', text, values: [channel, [...messages]] };
}

const retryMs = 500;

/** Listens on a connection of its own, which must lead to the server itself: a pooler in between forgets who listens. */
export class PostgresChannel {
  private client: pg.Client | undefined;
  private retry: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly channel: string,
    private readonly on: { message(text: string): void; connected(): void; lost(error: unknown): void },
  ) {}

  start(): void {
    const client = new pg.Client({
      connectionString: this.url,
      application_name: 'rialto news',
      keepAlive: true,
      connectionTimeoutMillis: 3_000,
    });
    this.client = client;
    const lost = (error: unknown) => {
      if (this.client !== client) return;
      this.client = undefined;
      destroy(client);
      if (this.stopped) return;
      this.on.lost(error);
      this.retry = setTimeout(() => this.start(), retryMs);
    };
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection has ended')));
    client.on('notification', ({ payload }) => this.on.message(payload!));
    client
      .connect()
      .then(() => client.query(`LISTEN ${pg.escapeIdentifier(this.channel)}`))
      .then(() => this.client === client && this.on.connected(), lost);
  }

  /** Takes a new connection in the place of one that says nothing although there was something to say. */
  restart(): void {
    this.close();
    if (!this.stopped) this.start();
  }

  stop(): void {
    this.stopped = true;
    this.close();
  }

  private close(): void {
    clearTimeout(this.retry);
    const { client } = this;
    this.client = undefined;
    if (client) destroy(client);
  }
}

/** `end()` says goodbye and waits for the answer; from a silent server there is none. */
function destroy(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
