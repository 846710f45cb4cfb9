import type { Answer } from './client.js';

/** What a client can say of one attempt. Unknown is not failed: it may have happened. */
export type Fate =
  /** 2xx: it happened. 304: it is as the client has it. */
  | 'acknowledged'
  /** The domain's no: it did not happen. */
  | 'refused'
  /** 503 before anything was tried: it did not happen, or is not to be seen yet. */
  | 'turned away'
  /** No answer, or one that says that nobody knows. */
  | 'unknown'
  /** An answer that no client should ever get. */
  | 'unexpected';

export interface Attempt {
  readonly fate: Fate;
  readonly status?: number;
  readonly text?: string;
  readonly replayed?: boolean;
}

/** What a client meant to do once, however often it had to ask. */
export interface Operation {
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly ledger: string;
  /** Of the transactions it would make: how to find them in the log. */
  readonly references: readonly string[];
  readonly attempts: Attempt[];
}

const turningAway = new Set(['overloaded', 'starting', 'shutting-down', 'projection-behind']);

export function fateOf({ status, body }: Answer): Fate {
  if (status === 200 || status === 201 || status === 202 || status === 304) return 'acknowledged';
  if (status === 404 || status === 409) return 'refused';
  const { code } = body as { code?: string };
  if (status === 503 && code === 'database-unavailable') return 'unknown';
  if (status === 503 && turningAway.has(code!)) return 'turned away';
  return 'unexpected';
}

/** Makes one attempt and writes down what came of it. */
export async function attempt(operation: Operation, ask: () => Promise<Answer>): Promise<Attempt> {
  let made: Attempt;
  try {
    const answer = await ask();
    const { status, text, headers } = answer;
    made = { fate: fateOf(answer), status, text, replayed: headers['idempotency-replayed'] === 'true' };
  } catch {
    made = { fate: 'unknown' };
  }
  operation.attempts.push(made);
  return made;
}

export function isSettled({ fate }: Attempt): boolean {
  return fate === 'acknowledged' || fate === 'refused' || fate === 'unexpected';
}
