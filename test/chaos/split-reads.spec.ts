import type pg from 'pg';
import { after, type Answer, HttpClient, LedgerClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';

const waitMs = 6_000;

describe('A process that writes and two that read, while nothing moves the views', () => {
  let database: TestDatabase;
  let servers: RialtoServer[];
  let clients: HttpClient[];
  let writer: LedgerClient;
  let readers: LedgerClient[];
  let paused: pg.PoolClient | undefined;

  beforeAll(async () => {
    database = await createTestDatabase();
    const env = { CONSISTENCY_WAIT_MS: String(waitMs), SWEEP_INTERVAL_MS: '50' };
    servers = await Promise.all(['command', 'query', 'query'].map((ROLE) => startRialto(database.url, { ROLE, ...env })));
    clients = servers.map((server) => new HttpClient(server));
    [writer, ...readers] = clients.map((http) => new LedgerClient(http, 'split')) as [LedgerClient, ...LedgerClient[]];
    await writer.openSource('world');
    await writer.openAccount('ann');
  });

  afterAll(async () => {
    await resume();
    for (const http of clients ?? []) http.close();
    await Promise.all((servers ?? []).map((server) => server.kill()));
    await database?.drop();
  });

  /** Whoever feeds views passes over checkpoints that another process holds. */
  async function pause(): Promise<void> {
    paused = await database.pool.connect();
    await paused.query('BEGIN');
    await paused.query('SELECT FROM checkpoints ORDER BY consumer, partition FOR UPDATE');
  }

  async function resume(): Promise<void> {
    await paused?.query('ROLLBACK');
    paused?.release();
    paused = undefined;
  }

  const positionOf = ({ headers }: Answer) => Number(String(headers['consistency-token']).split('@')[1]);

  /** One client, whose reads go to the nodes in turn, each with the token of the answer before. */
  class Client {
    readonly balances: number[] = [];
    readonly positions: number[] = [];
    private last: Answer;
    private turn = 0;
    private loop: Promise<void> | undefined;
    private isOver = false;

    constructor(first: Answer) {
      this.last = first;
    }

    begin(): this {
      this.loop = (async () => {
        while (!this.isOver) await this.read();
      })();
      // Whoever ends it hears of it.
      this.loop.catch(() => undefined);
      return this;
    }

    async end(): Promise<void> {
      this.isOver = true;
      await this.loop;
    }

    private async read(): Promise<void> {
      const answer = await readers[this.turn++ % readers.length]!.account('ann', '', after(this.last));
      expect(answer.status).toBe(200);
      this.last = answer;
      this.balances.push(Number(answer.body.balance));
      this.positions.push(positionOf(answer));
    }
  }

  const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);

  test('never go back for a client that passes tokens on; say 503 for what they do not have, and have it once it moves', async () => {
    const written = await writer.transfer('world', 'ann', 1);
    const first = await eventually(() => readers[0]!.account('ann', '', after(written)), ({ status }) => status === 200);
    const clientsInTurn = [0, 1].map(() => new Client(first).begin());
    for (let round = 1; round <= 3; round++) {
      const seen = await readers[round % 2]!.account('ann', '', after(await writer.transfer('world', 'ann', 1)));
      expect(seen.body.balance).toBe(String(2 * round));
      await pause();
      const written = await writer.transfer('world', 'ann', 1);
      const began = performance.now();
      const behind = await Promise.all(readers.map((reader) => reader.account('ann', '', after(written))));
      const tookMs = performance.now() - began;
      expect(behind.map(({ status, body }) => [status, body.code])).toEqual(readers.map(() => [503, 'projection-behind']));
      expect(tookMs).toBeGreaterThan(0.9 * waitMs);
      expect(tookMs).toBeLessThan(waitMs + 3_000);
      // What they have, they go on saying, with and without the token of what was seen.
      for (const reader of readers) {
        for (const token of [after(seen), {}]) expect((await reader.account('ann', '', token)).body.balance).toBe(String(2 * round));
      }
      await resume();
      const caughtUp = await Promise.all(readers.map((reader) => reader.account('ann', '', after(written))));
      expect(caughtUp.map(({ status, body }) => [status, body.balance])).toEqual(readers.map(() => [200, String(2 * round + 1)]));
    }
    for (const client of clientsInTurn) {
      await client.end();
      expect(client.balances.length).toBeGreaterThan(20);
      expect(client.balances).toEqual(sorted(client.balances));
      expect(client.positions).toEqual(sorted(client.positions));
      // At each end of a pause, too.
      expect(new Set(client.balances).size).toBeGreaterThanOrEqual(3);
    }
  });
});
