import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { findNginx } from '../../src/cli/topology/edge.js';
import type { NodeProcess } from '../../src/cli/topology/node-process.js';
import { Topology } from '../../src/cli/topology/topology.js';
import { HttpClient, LedgerClient } from '../support/client.js';
import { createTestPool } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { describeWith } from '../support/installed.js';
import { isSettled } from '../support/history.js';
import { tool } from '../support/tool.js';
import { Load, nothing, scale } from './load.js';

const rounds = Math.max(1, Math.round(10 * scale));

jest.setTimeout(900_000 * Math.max(1, scale));

/** Two command nodes and two query nodes as processes, one PostgreSQL, nginx with docker/nginx.conf before them. */
describeWith({ nginx: findNginx() }, 'Behind the load balancer, under load', () => {
  let topology: Topology;
  let pool: pg.Pool;
  let load: Load;
  let readers: Readers;

  beforeAll(async () => {
    // As a deployment does: a node that stops says so on every connection before it closes them.
    topology = await Topology.start({ command: 2, query: 2, env: { SHUTDOWN_DRAIN_MS: '500' } });
    pool = createTestPool(topology.databaseUrl);
    load = new Load([topology.edge!]);
    await load.openAccounts();
    readers = new Readers(topology.edge!);
  });

  beforeEach(() => {
    load.begin(8);
    readers.begin(4);
  });

  afterEach(async () => {
    await load.end();
    await readers.end();
  });

  afterAll(async () => {
    load?.close();
    await pool?.end();
    await topology?.stop();
  });

  /** Every write had its answer at the first try, every read was answered, and all that was done was done once. */
  const nothingWentWrong = async () => {
    await load.end();
    await readers.end();
    expect(load.operations.flatMap(({ attempts }) => attempts.filter((attempt) => !isSettled(attempt) || attempt.fate === 'unexpected'))).toEqual([]);
    expect(readers.failures).toEqual([]);
    expect(await load.wrongs(pool)).toEqual(nothing);
    expect(await tool({ url: topology.databaseUrl }, 'audit').ended).toMatchObject({ code: 0 });
  };

  test('no request fails and no command is lost or repeated when nodes are killed', async () => {
    for (const victim of oneOfEach(topology)) {
      await load.progress(100);
      await victim.kill();
      await Promise.all([load.progress(200), readers.progress(50)]);
      await victim.start();
      await load.progress(50);
    }
    await nothingWentWrong();
  });

  test('nor when nodes are frozen, and go on with what they were at when they are thawed', async () => {
    for (const victim of oneOfEach(topology)) {
      await load.progress(50);
      victim.freeze();
      try {
        await Promise.all([load.progress(200), readers.progress(50)]);
      } finally {
        victim.thaw();
      }
      await load.progress(50);
    }
    await nothingWentWrong();
  });

  test(`nor when all nodes are restarted, one of each role after the other, ${rounds} times`, async () => {
    const restart = async (node: NodeProcess) => {
      expect([node.name, await node.stop()]).toEqual([node.name, 0]);
      await node.start();
    };
    for (let round = 0; round < rounds; round++) {
      for (const [index, command] of topology.ofRole('command').entries()) {
        await Promise.all([load.progress(20), readers.progress(10)]);
        await Promise.all([command, topology.ofRole('query')[index]!].map(restart));
      }
    }
    await nothingWentWrong();
  });

  test('a ledger is written to by one node, and what is written can be read from all of them', async () => {
    const client = new HttpClient(topology.edge!);
    for (const name of ['red', 'green', 'blue']) {
      const ledger = new LedgerClient(client, name);
      await ledger.openSource('world');
      await ledger.openAccount('shop');
      // Alone: what the others write must not count.
      await load.end();
      const before = await Promise.all(topology.ofRole('command').map(postsOf));
      for (let n = 0; n < 10; n++) await ledger.transfer('world', 'shop', '1');
      const after = await Promise.all(topology.ofRole('command').map(postsOf));
      expect(after.map((count, index) => count - before[index]!).sort((a, b) => a - b)).toEqual([0, 10]);
      const token = (await ledger.transfer('world', 'shop', '1')).headers['consistency-token'] as string;
      for (let n = 0; n < 4; n++) {
        expect((await ledger.account('shop', '', { 'consistency-token': token })).body.balance).toBe('11');
      }
      load.begin(8);
    }
    client.close();
    await nothingWentWrong();
  });
});

const oneOfEach = (topology: Topology): NodeProcess[] => [topology.ofRole('command')[0]!, topology.ofRole('query')[0]!];

/** How many transfers a node has been asked for. */
async function postsOf({ url }: NodeProcess): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = /^rialto_http_request_seconds_count\{method="POST",route="\/v1\/ledgers\/:ledger\/transactions",status="201"\} (\d+)$/m.exec(text);
  return Number(line?.[1] ?? 0);
}

/** Clients that read what the load's accounts hold, again and again, and take no failure for granted. */
class Readers {
  readonly failures: unknown[] = [];
  private readonly client: HttpClient;
  private answered = 0;
  private stopping = false;
  private running: Promise<unknown> | undefined;

  constructor(server: { readonly url: string }) {
    this.client = new HttpClient(server);
  }

  begin(readers: number): void {
    this.stopping = false;
    this.running = Promise.all(Array.from({ length: readers }, () => this.read()));
  }

  async end(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  async progress(reads: number): Promise<void> {
    const goal = this.answered + reads;
    await eventually(async () => this.answered, (answered) => answered >= goal || this.stopping);
  }

  private async read(): Promise<void> {
    const ledger = new LedgerClient(this.client, 'north');
    while (!this.stopping) {
      try {
        const { status, text } = await ledger.account('account-1');
        if (status !== 200) this.failures.push({ status, text });
      } catch (error) {
        this.failures.push(error);
      }
      this.answered++;
      await sleep(5);
    }
  }
}
