/** What a statement failed of, as pg says it. */
export class PostgresError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export type Row = Record<string, unknown>;

/** What a statement does: its rows at once, or locks that it has to wait for, one after the other, and then its rows. */
export type Model = (db: SimulatedPostgres, tx: Transaction, values: readonly unknown[]) => Row[] | Generator<string, Row[]>;

export type Answer = { readonly rows: Row[]; readonly error?: undefined } | { readonly error: Error; readonly rows?: undefined };

export interface StoredEvent {
  readonly partition: number;
  readonly position: number;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly data: object;
  readonly metadata: { readonly commandId: string };
  readonly recordedAt: number;
}

export interface CommandRecord {
  partition: number;
  command_id: string;
  type: string;
  payload: object | null;
  metadata: object | null;
  fingerprint: string | null;
  status: 'accepted' | 'scheduled' | 'executed' | 'refused' | 'failed';
  due_at: number | null;
  created: boolean | null;
  result: unknown;
  first_position: number | null;
  last_position: number | null;
  attempts: number;
  error: string | null;
  accepted_at: number;
  completed_at: number | null;
}

export interface Checkpoint {
  consumer: string;
  partition: number;
  position: number;
  failed_position: number | null;
  failed_type: string | null;
  error: string | null;
  attempts: number;
  retry_at: number | null;
}

export interface Snapshot {
  readonly version: number;
  readonly state_version: number;
  readonly state: unknown;
}

export class Transaction {
  readonly locks: string[] = [];
  /** What it has written; others see it once it has committed. */
  readonly writes: (() => void)[] = [];
  /** Rows that it holds without having changed them: INSERT … ON CONFLICT DO NOTHING does not wait for those. */
  readonly onlyLocked = new Set<string>();
  isAborted = false;
  waitsFor: string | undefined;

  constructor(readonly session: Session) {}

  write(change: () => void): void {
    this.writes.push(change);
  }
}

/** A statement under way. */
interface Execution {
  readonly tx: Transaction;
  readonly work: Generator<string, Row[]>;
  finished(answer: Answer): void;
}

/** A connection as the server knows it. */
export class Session {
  /** Between BEGIN and its end. */
  transaction: Transaction | undefined;
  /** Of a statement outside of that, from its first lock to its commit. */
  implicit: Transaction | undefined;

  constructor(readonly id: number) {}
}

/** Whoever wants to know what the server does, in the order in which it does it. */
export interface ServerWitness {
  started?(session: Session, text: string, values: readonly unknown[]): void;
  /** The statement just started waits for a lock. */
  blocked?(session: Session): void;
  /** A statement inside of BEGIN failed, before it did anything. */
  refused?(session: Session): void;
  answered?(session: Session, answer: Answer): void;
  committed?(session: Session): void;
  rolledBack?(session: Session): void;
}

/**
 * PostgreSQL as far as the product's statements see it: READ COMMITTED, row locks with a queue each, deadlock detection,
 * transactions that fail as a whole. What each statement does to the tables is in statements.ts.
 *
 * A statement's snapshot is what is committed when it starts; its model looks at that before it asks for a lock, and at
 * the latest version of a row once it holds it. Changes are made when their transaction commits, so nobody sees them
 * before; no statement of the product looks at what its own transaction has written.
 */
export class SimulatedPostgres {
  readonly partitions: { head: number; revision: number; recordedAt: number }[];
  readonly events: StoredEvent[][];
  /** By partition and name: positions in the order of versions. */
  readonly streams = new Map<string, { readonly version: number; readonly position: number }[]>();
  readonly links: { partition: number; stream: string; version: number; position: number }[] = [];
  readonly commands = new Map<string, CommandRecord>();
  readonly snapshots = new Map<string, Snapshot>();
  readonly checkpoints = new Map<string, Checkpoint>();
  /** What the projections have applied, by consumer and partition, in that order. */
  readonly applied = new Map<string, number[]>();
  /** What a transaction changed was told to whoever looks after each commit. */
  readonly changed = { partitions: new Set<number>(), checkpoints: new Set<string>() };
  deadlocks = 0;
  /** Events that the projections' statement fails of. */
  isPoison: (partition: number, position: number) => boolean = () => false;
  witness: ServerWitness = {};
  onCommit: () => void = () => undefined;

  private readonly holders = new Map<string, Transaction>();
  private readonly waiting: { readonly key: string; readonly execution: Execution }[] = [];
  private sessions = 0;

  constructor(
    partitions: number,
    readonly models: ReadonlyMap<string, Model>,
    /** Milliseconds since 1970, whole ones. */
    readonly now: () => number,
  ) {
    this.partitions = Array.from({ length: partitions }, () => ({ head: 0, revision: 0, recordedAt: 0 }));
    this.events = this.partitions.map(() => []);
  }

  connect(): Session {
    return new Session(++this.sessions);
  }

  /** What a statement outside of a transaction has done is not committed yet when it has finished: see `commit`. */
  start(session: Session, text: string, values: readonly unknown[], finished: (answer: Answer) => void): void {
    this.witness.started?.(session, text, values);
    const answer = (given: Answer) => {
      this.witness.answered?.(session, given);
      finished(given);
    };
    if (text === 'BEGIN') {
      session.transaction = new Transaction(session);
      return answer({ rows: [] });
    }
    if (text === 'COMMIT' || text === 'ROLLBACK') {
      const tx = session.transaction;
      session.transaction = undefined;
      if (tx && text === 'COMMIT' && !tx.isAborted) this.end(tx, true);
      else if (tx) this.end(tx, false);
      return answer({ rows: [] });
    }
    const tx = session.transaction ?? (session.implicit = new Transaction(session));
    if (tx.isAborted) {
      return answer({ error: new PostgresError('25P02', 'current transaction is aborted, commands ignored until end of transaction block') });
    }
    const model = this.models.get(text);
    if (!model) throw new Error(`the simulated Postgres does not know this statement: ${text}`);
    try {
      const work = model(this, tx, values);
      if (Array.isArray(work)) answer({ rows: work });
      else this.go({ tx, work, finished: answer });
    } catch (error) {
      this.fail(tx);
      answer({ error: error as Error });
    }
  }

  /** A statement fails before it does anything. */
  refuse(session: Session): void {
    if (!session.transaction) return;
    this.witness.refused?.(session);
    this.fail(session.transaction);
  }

  /** Commits what the last statement did, when it ran outside of a transaction. Whether it had done anything. */
  hasUncommitted(session: Session): boolean {
    const { implicit } = session;
    if (!implicit) return false;
    if (implicit.writes.length > 0 || implicit.locks.length > 0) return true;
    session.implicit = undefined;
    return false;
  }

  commit(session: Session): void {
    const tx = session.implicit!;
    session.implicit = undefined;
    this.witness.committed?.(session);
    this.end(tx, true);
  }

  /** The server notices that nobody is there any more. A statement that waits is given up. */
  close(session: Session): void {
    this.witness.rolledBack?.(session);
    for (const tx of [session.transaction, session.implicit]) if (tx) this.fail(tx);
    session.transaction = session.implicit = undefined;
  }

  isWaiting(session: Session): boolean {
    return this.waiting.some(({ execution }) => execution.tx.session === session);
  }

  /** To be called by models: whether the row is free for this transaction, and from now on its own. */
  tryLock(tx: Transaction, key: string): boolean {
    const holder = this.holders.get(key);
    if (holder === tx) return true;
    if (holder) return false;
    this.holders.set(key, tx);
    tx.locks.push(key);
    return true;
  }

  /** Whether another transaction inserts, changes or deletes the row. */
  isBeingChanged(tx: Transaction, key: string): boolean {
    const holder = this.holders.get(key);
    return holder !== undefined && holder !== tx && !holder.onlyLocked.has(key);
  }

  /** What was only waited for is not kept. */
  unlock(tx: Transaction, key: string): void {
    tx.locks.splice(tx.locks.indexOf(key), 1);
    for (const execution of this.handOn([key])) this.go(execution);
  }

  private go(execution: Execution): void {
    const { tx, work, finished } = execution;
    try {
      for (;;) {
        const { done, value } = work.next();
        if (done) return finished({ rows: value });
        if (this.tryLock(tx, value)) continue;
        this.noDeadlock(tx, value);
        tx.waitsFor = value;
        this.waiting.push({ key: value, execution });
        this.witness.blocked?.(tx.session);
        return;
      }
    } catch (error) {
      this.fail(tx);
      finished({ error: error as Error });
    }
  }

  private noDeadlock(tx: Transaction, key: string): void {
    for (let holder = this.holders.get(key); holder?.waitsFor !== undefined; holder = this.holders.get(holder.waitsFor)) {
      if (holder === tx || this.holders.get(holder.waitsFor) === tx) {
        this.deadlocks++;
        throw new PostgresError('40P01', 'deadlock detected');
      }
    }
  }

  /** Its locks are free at once; inside of BEGIN every further statement fails until it is rolled back. */
  private fail(tx: Transaction): void {
    tx.isAborted = true;
    if (tx.session.implicit === tx) tx.session.implicit = undefined;
    const index = this.waiting.findIndex(({ execution }) => execution.tx === tx);
    if (index >= 0) this.waiting.splice(index, 1);
    this.end(tx, false);
  }

  private end(tx: Transaction, isCommitted: boolean): void {
    if (isCommitted && tx.writes.length > 0) {
      for (const change of tx.writes) change();
      this.onCommit();
      this.changed.partitions.clear();
      this.changed.checkpoints.clear();
    }
    tx.writes.length = 0;
    for (const execution of this.handOn(tx.locks.splice(0))) this.go(execution);
  }

  /** First come, first served: nobody gets in between. Returns who can go on. */
  private handOn(keys: readonly string[]): Execution[] {
    const next: Execution[] = [];
    for (const key of keys) {
      this.holders.delete(key);
      const index = this.waiting.findIndex((one) => one.key === key);
      if (index < 0) continue;
      const { execution } = this.waiting.splice(index, 1)[0]!;
      execution.tx.waitsFor = undefined;
      this.tryLock(execution.tx, key);
      next.push(execution);
    }
    return next;
  }
}

export const keyOf = (partition: number, name: string): string => `${partition}/${name}`;
