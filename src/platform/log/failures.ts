/**
 * What a failed statement means for the batch that it carried.
 *
 * - `unreachable`: the connection broke or the server is not there. A commit may have happened.
 * - `transient`: Postgres rolled it back and it will work when tried again: at once (deadlock, serialisation, lock
 *   timeout), or when somebody has made room (disk, memory, connections) or mended the disk.
 * - `duplicate`: a unique key was violated: a state was not what the log says. Or a command's record lacks its status:
 *   another request took its id just now (append.ts).
 * - `rejected`: anything else. Postgres rolled it back and will do so every time.
 */
export type FailureKind = 'unreachable' | 'transient' | 'duplicate' | 'rejected';

const transient = new Set(['40001', '40P01', '55P03', '53000', '53100', '53200', '53300', '53400', '58030']);

export function classify(error: unknown): FailureKind {
  const { code, message } = error as { code?: string; message?: string };
  if (code === undefined) return isConnectionMessage(message) ? 'unreachable' : 'rejected';
  if (code === '23505' || code === '23502') return 'duplicate';
  if (transient.has(code)) return 'transient';
  // Class 08: connection exceptions; 57P01-57P03: the server is shutting down, crashed or starting; 25006: it became
  // a standby; E…: the operating system's (but not ERR_…, which are Node's words for a bug).
  if (code.startsWith('08') || code.startsWith('57P0') || code === '25006') return 'unreachable';
  return /^E(?!RR_)[A-Z]/.test(code) ? 'unreachable' : 'rejected';
}

/** pg gives connection failures of its own no code. */
function isConnectionMessage(message = ''): boolean {
  return pgConnectionMessages.test(message);
}

const pgConnectionMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered|was closed))/;
