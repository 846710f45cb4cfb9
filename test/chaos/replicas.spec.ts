import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, type Answer, HttpClient, LedgerClient } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { type ReplicaServer, type ReplicatedPostgres, startReplicatedPostgres } from '../support/replica.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { scale } from './load.js';

jest.setTimeout(180_000 * Math.max(1, scale));

describe('Views that are read from streaming replicas', () => {
  let postgres: ReplicatedPostgres;
  let first: ReplicaServer;
  let second: ReplicaServer;
  /** Writes and projects, and knows of no replica. */
  let writer: RialtoServer;
  let ledger: LedgerClient;
  const readers: Reader[] = [];

  beforeAll(async () => {
    postgres = await startReplicatedPostgres(2);
    [first, second] = postgres.replicas as [ReplicaServer, ReplicaServer];
    writer = await startRialto(postgres.primary.url);
    ledger = new LedgerClient(new HttpClient(writer), 'main');
    await ledger.openSource('world');
    await ledger.openAccount('alice');
  });

  afterEach(async () => {
    for (const reader of readers.splice(0)) await reader.close();
  });

  afterAll(async () => {
    ledger?.http.close();
    await writer?.kill();
    await postgres?.stop();
  });

  /** A process that answers reads, from these replicas. */
  async function readerOf(replicas: readonly ReplicaServer[], env: Record<string, string> = {}): Promise<Reader> {
    const READ_DATABASE_URLS = replicas.map(({ url }) => url).join();
    const server = await startRialto(postgres.primary.url, { RUN_WORKERS: 'false', READ_DATABASE_URLS, ...env });
    const reader = new Reader(server);
    readers.push(reader);
    return reader;
  }

  const pay = async (amount = '1') => {
    const transfer = await ledger.transfer('world', 'alice', amount);
    expect(transfer.status).toBe(201);
    return { token: after(transfer), balance: BigInt(transfer.body.balances.alice.balance) };
  };

  const balanceOf = ({ status, body }: Answer) => {
    expect([status, body.code]).toEqual([200, undefined]);
    return BigInt(body.balance);
  };

  test('are asked nothing but reads of views and how far they are', async () => {
    const server = await startRialto(postgres.primary.url, { READ_DATABASE_URLS: first.url });
    const all = new Reader(server);
    readers.push(all);
    await all.reads(first);
    for (let i = 0; i < 20; i++) {
      const transfer = await all.ledger.transfer('world', 'alice', '1', { headers: i % 2 ? {} : { prefer: 'respond-async' } });
      expect([201, 202]).toContain(transfer.status);
    }
    const { token, balance } = await pay();
    expect(balanceOf(await all.account(token))).toBeGreaterThanOrEqual(balance);
    expect((await all.http.get('/v1/products')).status).toBe(200);

    const statements = (await first.statements()).filter(({ application }) => application !== 'the test');
    const reads = statements.filter(({ application }) => application === 'rialto replica queries');
    const looks = statements.filter(({ application }) => application === 'rialto replica looks');
    expect(reads.some(({ text }) => text.includes('ledger_accounts'))).toBe(true);
    expect(reads.some(({ text }) => text.includes('catalog_products'))).toBe(true);
    expect(reads.length + looks.length).toBe(statements.length);
    // How far a view is, it says itself: its checkpoint is read in the same statement.
    expect(reads.filter(({ text }) => /\b(events|commands|snapshots|partitions|for update)\b/i.test(text))).toEqual([]);
    expect(looks.filter(({ text }) => /\b(events|commands|snapshots|partitions|for update)\b/i.test(text))).toEqual([]);
  });

  test('make a read with a token wait while the replay is paused, and are read as soon as it goes on', async () => {
    const reader = await readerOf([first], { REPLICA_MAX_LAG_MS: '600000', CONSISTENCY_WAIT_MS: '60000' });
    const before = await pay();
    expect(balanceOf(await reader.account(before.token))).toBeGreaterThanOrEqual(before.balance);
    await reader.reads(first);
    await first.pauseReplay();
    const { token, balance } = await pay('7');
    let answered = false;
    const read = () => reader.account(token).finally(() => (answered = true));
    const waiting = [read()];
    await eventually(() => reader.lag(first), (positions) => positions > 0);
    // By now the process has heard of the change from the primary, so the cache has nothing for this one.
    waiting.push(read());
    // Whoever asks for nothing in particular is answered, with what the replica has.
    expect(balanceOf(await reader.account())).toBeLessThan(balance);
    expect(answered).toBe(false);

    await first.resumeReplay();
    for (const answer of await Promise.all(waiting)) expect(balanceOf(answer)).toBe(balance);
    expect((await reader.replica(first)).inUse).toBe(true);
  });

  test('let a read with a token go after its time, when being behind is no reason to leave a replica', async () => {
    const reader = await readerOf([first], { REPLICA_MAX_LAG_MS: '600000', CONSISTENCY_WAIT_MS: '300' });
    await reader.reads(first);
    await first.pauseReplay();
    const { token } = await pay();
    const behind = await reader.account(token);
    expect([behind.status, behind.body.code]).toEqual([503, 'projection-behind']);
    expect(behind.headers['retry-after']).toBeDefined();
    await first.resumeReplay();
    expect((await eventually(() => reader.account(token), ({ status }) => status !== 503)).status).toBe(200);
  });

  test('leave a read with a token to the primary when the replica stays behind, and are read again when it has caught up', async () => {
    const reader = await readerOf([first], { REPLICA_MAX_LAG_MS: '300', CONSISTENCY_WAIT_MS: '30000' });
    await reader.reads(first);
    await first.pauseReplay();
    const { token, balance } = await pay();
    expect(balanceOf(await reader.account(token))).toBe(balance);
    expect(await reader.replica(first)).toMatchObject({ inUse: false, trouble: expect.stringMatching(/ms behind$/) });
    expect(await reader.metric(`rialto_replica_departures_total{replica="${first.name}",cause="lagging"}`)).toBe(1);
    expect((await reader.http.get('/health/ready')).status).toBe(200);

    await first.resumeReplay();
    await reader.reads(first);
    expect(balanceOf(await reader.account(token))).toBe(balance);
  });

  test('answer every read while a replica is killed, and are read there again when it is back', async () => {
    const reader = await readerOf([first]);
    await reader.reads(first);
    const load = reader.load();
    await load.progress(200);
    await first.kill();
    await load.progress(200);
    expect(await reader.replica(first)).toMatchObject({ inUse: false, trouble: expect.any(String) });
    expect((await reader.http.get('/health/ready')).status).toBe(200);
    await first.start();
    await reader.reads(first);
    await load.progress(200);
    expect(await load.end()).toEqual([]);
  });

  test('answer every read while one of two replicas is frozen, and are read from the other', async () => {
    const reader = await readerOf([first, second]);
    const preferred = await reader.preferredOf([first, second]);
    const other = preferred === first ? second : first;
    await reader.reads(preferred);
    const load = reader.load();
    await load.progress(200);
    await preferred.freeze();
    await reader.reads(other);
    const { token, balance } = await pay();
    expect(balanceOf(await reader.account(token))).toBe(balance);
    await load.progress(200);
    await preferred.thaw();
    await reader.reads(preferred);
    await load.progress(200);
    expect(await load.end()).toEqual([]);
  });

  test('do not keep a process from stopping that reads a frozen replica', async () => {
    const reader = await readerOf([first]);
    await reader.reads(first);
    await first.freeze();
    expect(await reader.stop()).toBe(0);
    await first.thaw();
  });

  test('are read while the primary is away', async () => {
    const reader = await readerOf([first]);
    const { token, balance } = await pay();
    await reader.reads(first);
    expect(balanceOf(await reader.account(token))).toBe(balance);
    const load = reader.load();
    await load.progress(100);
    await postgres.primary.crash();
    await load.progress(300);
    expect(balanceOf(await reader.account(token))).toBe(balance);
    await postgres.primary.start();
    await eventually(() => reader.http.get('/health/ready'), ({ status }) => status === 200);
    const later = await pay();
    // A replica takes up to five seconds to call again (wal_retrieve_retry_interval), longer than a read waits for it.
    const caughtUp = await eventually(() => reader.account(later.token), ({ status }) => status !== 503);
    expect(balanceOf(caughtUp)).toBe(later.balance);
    await load.progress(100);
    expect(await load.end()).toEqual([]);
  });

  test('are read from the primary while an address is not that of a replica', async () => {
    const server = await startRialto(postgres.primary.url, { RUN_WORKERS: 'false', READ_DATABASE_URLS: postgres.primary.url });
    const reader = new Reader(server);
    readers.push(reader);
    const status = await eventually(() => reader.replicas(), ([one]) => one?.trouble !== undefined);
    expect(status).toEqual([expect.objectContaining({ inUse: false, trouble: 'it is no replica (any more)' })]);
    const { token, balance } = await pay();
    expect(balanceOf(await reader.account(token))).toBe(balance);
  });

  test('show with a token never less than the token says, whatever becomes of the replicas', async () => {
    const reader = await readerOf([first, second], { REPLICA_MAX_LAG_MS: '200', CONSISTENCY_WAIT_MS: '30000' });
    await reader.readsOneOf([first, second]);
    let done = false;
    let seen = 0;
    const writesAndReads = Array.from({ length: 6 }, async () => {
      while (!done) {
        const { token, balance } = await pay();
        expect(balanceOf(await reader.account(token))).toBeGreaterThanOrEqual(balance);
        seen++;
      }
    });
    const progress = async (reads: number) => {
      const goal = seen + reads;
      await Promise.race([eventually(async () => seen, (now) => now >= goal), Promise.all(writesAndReads)]);
    };
    const troubles = [
      async (replica: ReplicaServer) => {
        await replica.pauseReplay();
        await progress(20);
        await sleep(randomInt(600));
        await replica.resumeReplay();
      },
      async (replica: ReplicaServer) => {
        await replica.freeze();
        await progress(10);
        await replica.thaw();
      },
      async (replica: ReplicaServer) => {
        await replica.kill();
        await progress(20);
        await replica.start();
      },
    ];
    // A trouble is no reason to leave a replica that was just left for a better one, or that is well again in time.
    const departures = () => reader.metric('rialto_replica_departures_total');
    for (let round = 0; round < 6 * scale || (await departures()) < 4 * scale; round++) {
      const inUse = await reader.readsOneOf([first, second]);
      await troubles[round % troubles.length]!(inUse);
      await progress(20);
    }
    done = true;
    await Promise.all(writesAndReads);
    expect(await departures()).toBeGreaterThanOrEqual(4 * scale);
  });
});

interface ReplicaHealth {
  readonly replica: string;
  readonly inUse: boolean;
  readonly trouble?: string;
}

/** A process of Rialto, as those who read see it. */
class Reader {
  readonly http: HttpClient;
  readonly ledger: LedgerClient;
  private closed = false;

  constructor(private readonly server: RialtoServer) {
    this.http = new HttpClient(server);
    this.ledger = new LedgerClient(this.http, 'main');
  }

  account(token?: Record<string, string>): Promise<Answer> {
    return this.ledger.account('alice', '', token);
  }

  async replicas(): Promise<ReplicaHealth[]> {
    const { body } = await this.http.get('/health/ready');
    return body.details.replicas.replicas as ReplicaHealth[];
  }

  async replica({ name }: ReplicaServer): Promise<ReplicaHealth> {
    return (await this.replicas()).find(({ replica }) => replica === name)!;
  }

  async reads(replica: ReplicaServer): Promise<void> {
    await eventually(() => this.replica(replica), ({ inUse }) => inUse);
  }

  async readsOneOf(replicas: readonly ReplicaServer[]): Promise<ReplicaServer> {
    const all = await eventually(() => this.replicas(), (list) => list.some(({ inUse }) => inUse));
    const { replica } = all.find(({ inUse }) => inUse)!;
    return replicas.find(({ name }) => name === replica)!;
  }

  /** Which it reads when both are well: its own order, by lot, is the order of its health. */
  async preferredOf(replicas: readonly ReplicaServer[]): Promise<ReplicaServer> {
    const [preferred] = await this.replicas();
    return replicas.find(({ name }) => name === preferred!.replica)!;
  }

  /** In positions. */
  lag({ name }: ReplicaServer): Promise<number> {
    return this.metric(`rialto_replica_lag_positions{replica="${name}"}`);
  }

  /** The sum over whatever begins like this. */
  async metric(beginning: string): Promise<number> {
    const { text } = await this.http.get('/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith(beginning));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** Clients that read all the time. `end` returns every answer that was none. */
  load() {
    let done = false;
    let answers = 0;
    const failures: unknown[] = [];
    const clients = Array.from({ length: 8 }, async (_, client) => {
      while (!done && !this.closed) {
        try {
          const { status, body } = await (client % 2 ? this.account() : this.ledger.statement('alice'));
          if (status !== 200) failures.push({ status, body });
        } catch (error) {
          failures.push(error);
        }
        answers++;
        await sleep(1);
      }
    });
    return {
      async progress(reads: number) {
        const goal = answers + reads;
        await eventually(async () => answers, (now) => now >= goal);
      },
      async end() {
        done = true;
        await Promise.all(clients);
        return failures;
      },
    };
  }

  stop(): Promise<number | null> {
    this.closed = true;
    this.http.close();
    return this.server.stop();
  }

  async close(): Promise<void> {
    expect(await this.stop()).toBe(0);
  }
}
