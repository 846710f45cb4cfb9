import { PostgresError, type Answer, type Session, type SimulatedPostgres } from './simulated-postgres.js';
import { Lane, type Owner, type Scheduler } from './scheduler.js';

/** How often things go wrong, each time that they can. */
export interface Faults {
  /** A statement fails before it does anything. */
  fail: number;
  /** The connection is cut: what is on its way to the server may get there or not, no answer comes back. */
  cut: number;
  /** No connection to be had. */
  refuse: number;
}

interface Request {
  readonly text: string;
  readonly values: readonly unknown[];
  resolve(result: { rows: unknown[]; rowCount: number }): void;
  reject(error: Error): void;
}

function settle({ resolve, reject }: Request, { rows, error }: Answer): void {
  if (error) reject(error);
  else resolve({ rows, rowCount: rows.length });
}

/** Between a process and the server: what is lost on it, and what of it is slow in this run. */
export class Network {
  isServerUp = true;
  readonly connections = new Set<Connection>();

  constructor(
    readonly scheduler: Scheduler,
    readonly server: SimulatedPostgres,
    readonly serverOwner: Owner,
    readonly faults: Faults,
    private readonly slowness: number,
  ) {}

  lane(owner: Owner): Lane {
    const { chance } = this.scheduler;
    return new Lane(owner, this.scheduler, chance.happens(this.slowness) ? 0.95 : 0);
  }

  /** Whatever was not committed is gone, and so are all connections. */
  stopServer(): void {
    this.isServerUp = false;
    for (const connection of [...this.connections]) connection.terminate();
  }
}

const lostConnection = (scheduler: Scheduler): Error => {
  const { chance } = scheduler;
  if (chance.happens(0.3)) return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  return new Error(chance.happens(0.5) ? 'Connection terminated unexpectedly' : 'Query read timeout');
};

const transientErrors = [
  new PostgresError('40001', 'could not serialize access'),
  new PostgresError('40P01', 'deadlock detected'),
  new PostgresError('55P03', 'canceling statement due to lock timeout'),
];

/** One connection: statements go one way in their order, answers come back the other. */
export class Connection {
  isBroken = false;
  /** A statement of it waits for a lock. */
  private isServing = false;
  private readonly session: Session;
  private readonly requests: Lane;
  private readonly answers: Lane;
  private readonly outstanding: Request[] = [];

  constructor(
    private readonly network: Network,
    owner: Owner,
    private readonly takeBack: (connection: Connection, error?: Error | boolean) => void,
  ) {
    this.session = network.server.connect();
    this.requests = network.lane(network.serverOwner);
    this.answers = network.lane(owner);
    network.connections.add(this);
  }

  query(statement: string | { text: string; values?: readonly unknown[] }, values: readonly unknown[] = []): Promise<{ rows: unknown[]; rowCount: number }> {
    return new Promise((resolve, reject) => {
      if (this.isBroken) return reject(new Error('Client has encountered a connection error and is not queryable'));
      const request: Request =
        typeof statement === 'string'
          ? { text: statement, values, resolve, reject }
          : { text: statement.text, values: statement.values ?? [], resolve, reject };
      this.outstanding.push(request);
      this.requests.push(() => this.serve(request));
    });
  }

  release(error?: Error | boolean): void {
    this.takeBack(this, error);
  }

  /** The process lets go of it. */
  end(): void {
    if (!this.isBroken) this.closeWhenServed();
  }

  /** The network loses it. The server sees to some of what was sent, or to nothing, and then notices, at some time. */
  cut(): void {
    if (this.isBroken) return;
    const { scheduler, serverOwner } = this.network;
    const { chance } = scheduler;
    this.requests.truncate(chance.below(this.requests.length + 1));
    this.closeWhenServed();
    this.failAll(lostConnection(scheduler));
    if (!this.isServing && chance.happens(0.5)) {
      // What is still on its way may be so for longer than the process takes to ask what became of it.
      this.requests.hold();
      scheduler.after(chance.below(60), serverOwner, () => this.requests.letGo());
    }
  }

  /** The server ends it, with what was under way. */
  terminate(): void {
    if (this.isBroken) return;
    this.network.server.close(this.session);
    this.requests.letGo();
    this.requests.truncate(0);
    this.break();
    this.failAll(new PostgresError('57P01', 'terminating connection due to administrator command'));
  }

  private closeWhenServed(): void {
    this.break();
    this.requests.push(() => this.network.server.close(this.session));
  }

  private break(): void {
    this.isBroken = true;
    this.network.connections.delete(this);
  }

  private failAll(error: Error): void {
    this.answers.truncate(0);
    this.answers.push(() => {
      for (const request of this.outstanding.splice(0)) request.reject(error);
    });
  }

  private serve(request: Request): void {
    const { server, scheduler, faults } = this.network;
    if (!this.isBroken && scheduler.chance.happens(faults.cut)) {
      // It may be among those that still get there.
      this.requests.unshift(() => this.serve(request));
      return this.cut();
    }
    if (scheduler.chance.happens(faults.fail) && request.text !== 'BEGIN' && request.text !== 'ROLLBACK') {
      const error = scheduler.chance.pick(transientErrors);
      server.refuse(this.session);
      return this.answer(request, { error });
    }
    this.isServing = true;
    server.start(this.session, request.text, request.values, (answer) => {
      this.isServing = false;
      this.requests.letGo();
      if (!server.hasUncommitted(this.session)) return this.answer(request, answer);
      this.requests.unshift(() => {
        server.commit(this.session);
        this.answer(request, answer);
      });
    });
    if (this.isServing) this.requests.hold();
  }

  private answer(request: Request, answer: Answer): void {
    if (this.isBroken) return;
    this.answers.push(() => {
      const { chance } = this.network.scheduler;
      if (!this.isBroken && chance.happens(this.network.faults.cut)) return this.cut();
      this.outstanding.splice(this.outstanding.indexOf(request), 1);
      settle(request, answer);
    });
  }
}

/** As much of pg.Pool as the product asks of one. */
export class SimulatedPool {
  readonly options = { pipeline: true };
  private readonly idle: Connection[] = [];
  private readonly waiting: ((connect: () => Promise<Connection>) => void)[] = [];
  private readonly connections = new Set<Connection>();
  private lent = 0;

  constructor(
    private readonly network: Network,
    private readonly owner: Owner,
    private readonly max: number,
  ) {}

  connect(): Promise<Connection> {
    if (this.lent < this.max) {
      this.lent++;
      return this.lend();
    }
    return new Promise((resolve) => this.waiting.push((connect) => resolve(connect())));
  }

  async query(statement: string | { text: string; values?: readonly unknown[] }, values?: readonly unknown[]) {
    const client = await this.connect();
    try {
      const result = await client.query(statement, values);
      client.release();
      return result;
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
  }

  /** Its process is gone. */
  cut(): void {
    for (const connection of this.connections) connection.cut();
  }

  private lend(): Promise<Connection> {
    for (let connection = this.idle.pop(); connection; connection = this.idle.pop()) {
      if (!connection.isBroken) return Promise.resolve(connection);
    }
    return new Promise((resolve, reject) => {
      this.network.lane(this.owner).push(() => {
        const { faults, isServerUp, scheduler } = this.network;
        if (!isServerUp || scheduler.chance.happens(faults.refuse)) {
          this.giveBack();
          const isFull = isServerUp && scheduler.chance.happens(0.5);
          const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
          return reject(isFull ? new PostgresError('53300', 'sorry, too many clients already') : refused);
        }
        const connection = new Connection(this.network, this.owner, (one, error) => this.takeBack(one, error));
        this.connections.add(connection);
        resolve(connection);
      });
    });
  }

  private takeBack(connection: Connection, error?: Error | boolean): void {
    if (error || connection.isBroken) this.connections.delete(connection);
    if (error) connection.end();
    else if (!connection.isBroken) this.idle.push(connection);
    this.giveBack();
  }

  private giveBack(): void {
    const next = this.waiting.shift();
    if (next) next(() => this.lend());
    else this.lent--;
  }
}
