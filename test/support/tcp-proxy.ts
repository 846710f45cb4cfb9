import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** Which message of which connection the proxy waits for, and what is lost when it comes. */
export interface Cut {
  /** Part of what the client says when it connects, e.g. its application_name. */
  readonly connection: string;
  /** Part of the message. */
  readonly sent: string;
  /** An answer is known by its first bytes, as with HTTP, where all is decided by then; otherwise by PostgreSQL's end of it. */
  readonly isAnsweredAtOnce?: true;
  /**
   * `answer`: the server gets the message and answers it, and the client never hears of it. `fate`: the server gets
   * the message, and the client is cut off at once, before anything came of it. `message`: nobody gets it.
   */
  readonly lost: 'answer' | 'fate' | 'message';
}

/** What PostgreSQL ends every answer with: ReadyForQuery, and a byte for the state of the transaction. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5]);

/** What a transaction whose client is gone has locked stays so until its server notices. */
const unnoticedMs = 100;

/** Stands between a process and who it talks to, and does what networks do. */
export class TcpProxy {
  /** How long each of the server's answers is held back. */
  delayMs = 0;
  private readonly server: Server;
  private readonly pairs = new Map<Socket, Socket>();
  private refusing = false;
  private swallowing: ((said: string) => boolean) | undefined;
  private cut: (Cut & { done(): void }) | undefined;

  private constructor(private readonly target: { host: string; port: number }) {
    this.server = createServer((client) => this.pass(client));
  }

  static async to(databaseUrl: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(databaseUrl);
    const proxy = new TcpProxy({ host: hostname, port: Number(port || 5432) });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The server's address through this proxy. */
  urlOf(databaseUrl: string): string {
    const url = new URL(databaseUrl);
    url.port = String(this.port);
    url.hostname = '127.0.0.1';
    return url.href;
  }

  /** Breaks every connection and lets no new one in, until `allow`. */
  refuse(): void {
    this.refusing = true;
    this.cutAll();
  }

  allow(): void {
    this.refusing = false;
  }

  /**
   * From now on nothing comes back on the connections on which such a thing was said (all of them, when nothing is
   * given), and nobody is told: the worst that a network does.
   */
  swallow(said = ''): void {
    this.swallowing = (all) => all.includes(said);
  }

  /** For new connections. Those that were silent stay so: whoever waits on them has to notice. */
  carry(): void {
    this.swallowing = undefined;
  }

  cutAll(): void {
    for (const [client, server] of this.pairs) breakBoth(client, server);
  }

  /** Resolves when such a message has come by and its connection was cut. */
  async cutOnce(cut: Cut): Promise<void> {
    await new Promise<void>((done) => (this.cut = { ...cut, done }));
  }

  /** Waits for no message any more. */
  cutNothing(): void {
    this.cut = undefined;
  }

  async close(): Promise<void> {
    this.server.close();
    this.cutAll();
    await once(this.server, 'close');
  }

  private pass(client: Socket): void {
    if (this.refusing) return void reset(client);
    const server = connect(this.target);
    this.pairs.set(client, server);
    let greeting: string | undefined;
    let said = '';
    let isSilent = false;
    let cutting: Cut & { done(): void } | undefined;
    client.on('data', (data) => {
      greeting ??= data.toString('latin1');
      if (said.length < 20_000) said += data.toString('latin1');
      const { cut } = this;
      if (cut && greeting.includes(cut.connection) && data.includes(cut.sent)) {
        this.cut = undefined;
        cutting = cut;
        if (cut.lost !== 'message') server.write(data);
        if (cut.lost !== 'answer') this.finish(cut, client, server);
        return;
      }
      server.write(data);
    });
    server.on('data', (data) => {
      isSilent ||= this.swallowing?.(said) ?? false;
      if (isSilent) return;
      if (cutting?.lost === 'answer') {
        if (cutting.isAnsweredAtOnce || data.subarray(-6, -1).equals(readyForQuery)) this.finish(cutting, client, server);
      } else if (!cutting) {
        if (this.delayMs === 0) client.write(data);
        else setTimeout(() => client.write(data), this.delayMs);
      }
    });
    for (const socket of [client, server]) socket.on('error', () => undefined);
    client.on('close', () => {
      // One that was cut on purpose is ended later (`finish`).
      if (!cutting) server.destroy();
    });
    server.on('close', () => {
      this.pairs.delete(client);
      client.destroy();
    });
  }

  private finish(cut: Cut & { done(): void }, client: Socket, server: Socket): void {
    reset(client);
    // What is still to be sent is sent: the server has the message, whoever asked for it is gone.
    setTimeout(() => server.end(), unnoticedMs);
    cut.done();
  }
}

function breakBoth(client: Socket, server: Socket): void {
  reset(client);
  reset(server);
}

/**
 * Node can not reset a socket whose shutdown is still under way: libuv refuses (EINVAL), the connection stays
 * open for good, and the process never comes to its end (seen with Node 20.20).
 */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
