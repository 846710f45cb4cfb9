import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { HttpClient, LedgerClient } from '../support/client.js';
import { attempt, isSettled, type Operation } from '../support/history.js';
import {
  answersThatDiffer,
  commandsDoneTwice,
  effectsGoneWrong,
  gapsInPositions,
  gapsInVersions,
  moneyGoneWrong,
  readTablesGoneWrong,
  timesGoingBack,
} from './checkers.js';
import { projectionsHaveCaughtUp, readLog, readTables } from './log-contents.js';

const accountsPerLedger = 8;
/** Between two requests of a client. Without it they took the cores from the processes that are to come back. */
const pauseMs = 5;

type Asked = Operation & { readonly path: string; readonly body: unknown };

/**
 * Clients that move money about in a few ledgers and do not give up: each asks with an Idempotency-Key until it
 * knows what became of its transfer, at any of the servers. Some ask twice at the same time, some ask again about
 * what was settled long ago, some send several transfers at once.
 */
export class Load {
  readonly operations: Asked[] = [];
  private readonly clients: HttpClient[];
  private running: Promise<unknown> | undefined;
  private stopping = false;
  private closed = false;

  constructor(
    servers: readonly { readonly url: string }[],
    private readonly ledgers: readonly string[] = ['north', 'south', 'west'],
  ) {
    this.clients = servers.map((server) => new HttpClient(server));
  }

  async openAccounts(): Promise<void> {
    for (const name of this.ledgers) {
      const ledger = new LedgerClient(this.clients[0]!, name);
      await ledger.openSource('world');
      for (let i = 0; i < accountsPerLedger; i++) {
        await ledger.openAccount(`account-${i}`);
        await ledger.transfer('world', `account-${i}`, '1000');
      }
    }
  }

  begin(clients = 12): void {
    this.stopping = false;
    this.running = Promise.all(Array.from({ length: clients }, () => this.client()));
  }

  /** Lets every client finish what it is at. */
  async end(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  get settled(): number {
    return this.operations.filter(({ attempts }) => attempts.some(isSettled)).length;
  }

  /** Resolves when that many more operations are settled. */
  async progress(operations: number): Promise<void> {
    const goal = this.settled + operations;
    while (this.settled < goal && !this.closed) await sleep(10);
  }

  /** Asks again about everything, once. */
  async askAgain(sample = 1_000): Promise<void> {
    const asked = this.operations.slice(-sample);
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let one = asked.pop(); one; one = asked.pop()) await this.ask(one);
      }),
    );
  }

  /** Everything that is wrong with what became of it all. */
  async wrongs(pool: pg.Pool): Promise<Record<string, string[]>> {
    await projectionsHaveCaughtUp(pool);
    const log = await readLog(pool);
    return {
      positions: gapsInPositions(log),
      versions: gapsInVersions(log),
      times: timesGoingBack(log),
      commands: commandsDoneTwice(log),
      money: moneyGoneWrong(log),
      effects: effectsGoneWrong(this.operations, log),
      answers: answersThatDiffer(this.operations),
      readTables: readTablesGoneWrong(log, await readTables(pool)),
    };
  }

  /** Lets go of what is not settled, so that a test that failed can end. */
  close(): void {
    this.stopping = true;
    this.closed = true;
    for (const client of this.clients) client.close();
  }

  private async client(): Promise<void> {
    for (; !this.stopping; await sleep(pauseMs)) {
      const dice = randomInt(100);
      if (dice < 10 && this.operations.length > 0) {
        await this.ask(this.operations[randomInt(this.operations.length)]!);
        continue;
      }
      const operation = dice < 20 ? this.severalTransfers() : this.transfer();
      this.operations.push(operation);
      if (dice > 90) await Promise.all([this.settle(operation), this.settle(operation)]);
      else await this.settle(operation);
    }
  }

  private async settle(operation: Asked): Promise<void> {
    while (!isSettled(await this.ask(operation)) && !this.closed) await sleep(20);
  }

  private ask(operation: Asked) {
    const { key, path, body } = operation;
    const client = this.clients[randomInt(this.clients.length)]!;
    return attempt(operation, () => client.post(path, body, { 'idempotency-key': key }));
  }

  private transfer(): Asked {
    const key = randomUUID();
    const ledger = this.anyLedger();
    const body = { postings: [this.anyPosting()], reference: key };
    return { key, ledger, references: [key], attempts: [], path: `/v1/ledgers/${ledger}/transactions`, body };
  }

  private severalTransfers(): Asked {
    const key = randomUUID();
    const ledger = this.anyLedger();
    const references = Array.from({ length: 3 }, (_, index) => `${key}#${index}`);
    const body = references.map((reference) => ({ postings: [this.anyPosting()], reference }));
    return { key, ledger, references, attempts: [], path: `/v1/ledgers/${ledger}/transactions/bulk`, body };
  }

  private anyLedger(): string {
    return this.ledgers[randomInt(this.ledgers.length)]!;
  }

  /** More than some accounts can pay. */
  private anyPosting() {
    const from = randomInt(accountsPerLedger);
    const to = (from + randomInt(1, accountsPerLedger)) % accountsPerLedger;
    return { source: `account-${from}`, destination: `account-${to}`, amount: String(randomInt(1, 900)) };
  }
}

/** What `wrongs` returns when all is well. */
export const nothing = {
  positions: [],
  versions: [],
  times: [],
  commands: [],
  money: [],
  effects: [],
  answers: [],
  readTables: [],
};

/** How much longer than usual a run is to take. */
export const scale = Number(process.env.RIALTO_CHAOS_SCALE ?? 1);
