import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import type { Answer } from '../support/client.js';
import { fateOf, type Fate } from '../support/history.js';
import { isRead, type Action } from './actions.js';

/**
 * What clients saw of a run, and what was done to the system meanwhile. Times are milliseconds since the run began, by
 * the monotonic clock of the process that records: the only clock whose order can be relied on. Everything is JSON.
 *
 * The form is Jepsen's (invoke → ok | fail | info), with the invocation and its completion in one entry.
 */
export interface History {
  readonly run: Run;
  /** In the order of their invocations. */
  readonly entries: readonly Entry[];
  readonly faults: readonly Fault[];
}

export interface Run {
  readonly seed: string;
  /** Repeats the run. */
  readonly command: string;
  /** Wall clock (RFC 3339) at 0 ms: relates the log's times to the history's, as well as two clocks agree. */
  readonly startedAt: string;
  /** When the load ended. */
  readonly endedAtMs: number;
}

/** One attempt: a request and what the client can say of it. */
export interface Entry {
  /** 1, 2, 3, … in the order of invocations. */
  readonly number: number;
  readonly client: number;
  /** The name of the process asked. */
  readonly server: string;
  readonly action: Action;
  /** Idempotency-Key: the attempts of one operation share it. Reads have none. */
  readonly key?: string;
  /** `Prefer`, as sent: `respond-async`, `wait=5`. */
  readonly prefer?: string;
  /** Consistency-Token, as sent. */
  readonly tokenSent?: string;
  readonly invokedAtMs: number;
  /** When there was an answer, or it was known that none would come. Absent: it was still awaited when the record ended. */
  readonly endedAtMs?: number;
  readonly fate: Fate;
  readonly status?: number;
  /** The answer, parsed. */
  // Checkers look into many shapes of answers.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body?: any;
  readonly tokenReceived?: string;
  readonly etag?: string;
  /** `Idempotency-Replayed: true`. */
  readonly isReplayed?: true;
  /** Why there was no answer: the error's code or message. */
  readonly error?: string;
}

export interface Fault {
  /** What was done, such as `postgres-crash`: faults of one name are counted together. */
  readonly name: string;
  /** Whom it was done to: the name of a process or a link. */
  readonly target: string;
  readonly beganAtMs: number;
  /** When what was done was undone or over (a killed process: started again). Absent: never. */
  readonly healedAtMs?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a client is about to do. */
export type Asking = Pick<Entry, 'client' | 'server' | 'action' | 'key' | 'prefer' | 'tokenSent'>;

/** What the client meant to do once: all attempts with one key. A read is an operation of its own. */
export interface Operation {
  readonly key?: string;
  readonly action: Action;
  readonly attempts: readonly Entry[];
  /** Of its first attempt. */
  readonly invokedAtMs: number;
  /** Of the attempt that settled it. Absent: it is not known whether it happened, or when. */
  readonly endedAtMs?: number;
  /** The attempt that settled it: the first that was acknowledged or refused. */
  readonly verdict?: Entry;
  /** It may have happened: some attempt had no definite answer. */
  readonly mayHaveHappened: boolean;
}

/** Writes down a run as it goes; with a path also to disk, so that a run that dies leaves what it had. */
export class Recorder {
  private readonly entries: Entry[] = [];
  private readonly faults: Fault[] = [];
  private readonly open = new Map<number, Entry>();
  private readonly openFaults = new Set<Fault>();
  private readonly file: WriteStream | undefined;
  private readonly beganAtMs = performance.now();
  private readonly run: Omit<Run, 'endedAtMs'>;
  private lastNumber = 0;
  private endedAtMs: number | undefined;

  constructor(run: Pick<Run, 'seed' | 'command'>, path?: string) {
    this.run = { ...run, startedAt: new Date().toISOString() };
    this.file = path === undefined ? undefined : createWriteStream(path);
    this.write({ run: { ...this.run, endedAtMs: 0 } });
  }

  /** Milliseconds since the run began. */
  nowMs(): number {
    return Math.round((performance.now() - this.beganAtMs) * 1_000) / 1_000;
  }

  /** Makes an attempt and writes down what came of it. Never rejects: that there was no answer is an outcome. */
  async attempt(asking: Asking, ask: () => Promise<Answer>): Promise<Entry> {
    const begun: Entry = { number: ++this.lastNumber, ...asking, invokedAtMs: this.nowMs(), fate: 'unknown' };
    this.open.set(begun.number, begun);
    let entry: Entry;
    try {
      const answer = await ask();
      const { status, headers, body } = answer;
      entry = {
        ...begun,
        endedAtMs: this.nowMs(),
        fate: fateOf(answer),
        status,
        body,
        ...(headers['consistency-token'] && { tokenReceived: String(headers['consistency-token']) }),
        ...(headers.etag && { etag: headers.etag }),
        ...(headers['idempotency-replayed'] === 'true' && { isReplayed: true }),
      };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Nobody listened, so nothing was sent.
      const fate: Fate = code === 'ECONNREFUSED' ? 'turned away' : 'unknown';
      entry = { ...begun, endedAtMs: this.nowMs(), fate, error: code ?? message };
    }
    this.open.delete(begun.number);
    this.entries.push(entry);
    this.write({ entry });
    return entry;
  }

  /** Writes down that a fault begins; call what it returns when the fault is healed. */
  beginFault(name: string, target: string, details?: Fault['details']): (more?: Fault['details']) => Fault {
    const begun: Fault = { name, target, beganAtMs: this.nowMs(), ...(details && { details }) };
    this.openFaults.add(begun);
    return (more) => {
      if (!this.openFaults.delete(begun)) throw new Error(`${name} of ${target} was healed before`);
      const fault = { ...begun, healedAtMs: this.nowMs(), ...(more && { details: { ...details, ...more } }) };
      this.faults.push(fault);
      this.write({ fault });
      return fault;
    };
  }

  /** The load has ended: what comes now (healing, asking again, settling) is no longer under load. */
  end(): void {
    this.endedAtMs ??= this.nowMs();
  }

  /** All so far. Attempts and faults under way are in it, without an end. */
  history(): History {
    return {
      run: { ...this.run, endedAtMs: this.endedAtMs ?? this.nowMs() },
      entries: [...this.entries, ...this.open.values()].sort((a, b) => a.number - b.number),
      faults: [...this.faults, ...this.openFaults].sort((a, b) => a.beganAtMs - b.beganAtMs),
    };
  }

  /** Writes what is still under way, and resolves when all is on disk. */
  async close(): Promise<void> {
    if (!this.file) return;
    for (const entry of this.open.values()) this.write({ entry });
    for (const fault of this.openFaults) this.write({ fault });
    this.write({ run: this.history().run });
    this.file.end();
    await once(this.file, 'finish');
  }

  private write(record: Partial<{ run: Run; entry: Entry; fault: Fault }>): void {
    this.file?.write(`${JSON.stringify(record)}\n`);
  }
}

/** What a Recorder wrote: JSON lines `{"run"}`, `{"entry"}`, `{"fault"}`, in the order in which they ended. */
export async function readHistory(path: string): Promise<History> {
  return parseHistory(await readFile(path, 'utf8'));
}

/** The last line that says something counts. A line that was cut off is left out: the run died while it wrote it. */
export function parseHistory(text: string): History {
  let run: Run | undefined;
  const entries = new Map<number, Entry>();
  const faults: Fault[] = [];
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    if (line === '') return;
    let record: { run?: Run; entry?: Entry; fault?: Fault };
    try {
      record = JSON.parse(line);
    } catch (error) {
      if (index === lines.length - 1) return;
      throw error;
    }
    if (record.run) run = record.run;
    if (record.entry) entries.set(record.entry.number, record.entry);
    if (record.fault) faults.push(record.fault);
  });
  if (!run) throw new Error('this is not a history: nothing says of which run');
  const last = Math.max(0, ...[...entries.values()].map(({ endedAtMs }) => endedAtMs ?? 0));
  return {
    run: run.endedAtMs > 0 ? run : { ...run, endedAtMs: last },
    entries: [...entries.values()].sort((a, b) => a.number - b.number),
    faults: faults.sort((a, b) => a.beganAtMs - b.beganAtMs),
  };
}

/** The operations of a history, in the order of their first attempts. */
export function operationsOf({ entries }: Pick<History, 'entries'>): Operation[] {
  const attempts = new Map<string, Entry[]>();
  for (const entry of entries) {
    // A key says what is meant together with the path it is sent to; actions with one key are the same by then.
    const name = entry.key === undefined ? `#${entry.number}` : `${entry.action.kind} ${entry.key}`;
    const own = attempts.get(name);
    if (own) own.push(entry);
    else attempts.set(name, [entry]);
  }
  return [...attempts.values()].map(operationOf);
}

function operationOf(attempts: readonly Entry[]): Operation {
  const { key, action, invokedAtMs } = attempts[0]!;
  const verdict = attempts
    .filter(({ fate }) => fate === 'acknowledged' || fate === 'refused')
    .reduce<Entry | undefined>((first, one) => (first && first.endedAtMs! <= one.endedAtMs! ? first : one), undefined);
  return {
    ...(key !== undefined && { key }),
    action,
    attempts,
    invokedAtMs,
    ...(verdict && { endedAtMs: verdict.endedAtMs!, verdict }),
    // An answer that nobody should get promises nothing.
    mayHaveHappened: !isRead(action) && attempts.some(({ fate }) => fate === 'unknown' || fate === 'unexpected'),
  };
}

/** What became of an operation, as far as its client can know. */
export type Outcome =
  /** It was done as answered, and only then. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  | { readonly kind: 'done'; readonly status: number; readonly body: any }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string }
  /** It may be done, at any time, or never: nobody knows, or it was accepted for later. */
  | { readonly kind: 'open' }
  /** It was turned away whenever it was asked for. */
  | { readonly kind: 'not tried' };

export function outcomeOf({ verdict, mayHaveHappened }: Operation): Outcome {
  if (!verdict) return { kind: mayHaveHappened ? 'open' : 'not tried' };
  const { fate, status = 0, body } = verdict;
  if (fate === 'refused') return { kind: 'refused', status, code: body?.code };
  if (status === 202 && body?.commandId !== undefined) return { kind: 'open' };
  return { kind: 'done', status, body };
}

/** The numbers of an operation's attempts that say most of it: its verdict, or all. */
export function numbersOf({ verdict, attempts }: Operation): number[] {
  return verdict ? [verdict.number] : attempts.map(({ number }) => number);
}
