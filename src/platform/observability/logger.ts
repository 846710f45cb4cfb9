import { destination, pino, stdSerializers, type Logger, type SerializedError } from 'pino';

export type { Logger } from 'pino';

const flushAfterMs = 100;

/**
 * One JSON line an entry, on standard output. Written in the background in chunks of 64 kB or every 100 ms: writing
 * chunks of 4 kB was still 4 % of the CPU under load. `flush` before the process ends.
 *
 * The stream gets bytes because its queue of strings is flattened again for every line: 27 kB of garbage a request,
 * a third of all there was.
 *
 * Where several processes write to one pipe, a chunk is at most 4 kB: what is larger may be cut in two by the others',
 * in the middle of a line (PIPE_BUF, pipe(7)).
 */
export function createLogger(level: string, { sharesOutput = false } = {}): Logger & { flush(): void } {
  const sizes = sharesOutput ? { minLength: 3_072, maxWrite: 4_096 } : { minLength: 65_536, maxWrite: 131_072 };
  const stdout = destination({ dest: 1, sync: false, contentMode: 'buffer', ...sizes });
  let soon: NodeJS.Timeout | undefined;
  const flushSoon = () => {
    soon = undefined;
    stdout.flush();
  };
  const lines = {
    write: (line: string) => {
      stdout.write(Buffer.from(line) as never);
      // Not the stream's own periodicFlush: that one also writes nothing, ten times a second.
      soon ??= setTimeout(flushSoon, flushAfterMs).unref();
    },
    flush: (done?: (error?: Error) => void) => stdout.flush(done),
  };
  return pino({ level, base: undefined, timestamp: isoTime, serializers: { err: withoutClient } }, lines);
}

/** A pool of pg attaches the whole client to an error of an idle connection: buffers, and the password. */
function withoutClient(error: Error): SerializedError {
  const said = stdSerializers.err(error);
  if (said && 'client' in said) delete said.client;
  return said;
}

let timeMs = 0;
let timeField = '';

/** Written once a millisecond: under load many lines have the same. */
function isoTime(): string {
  const nowMs = Date.now();
  if (nowMs !== timeMs) {
    timeMs = nowMs;
    timeField = `,"time":"${new Date(nowMs).toISOString()}"`;
  }
  return timeField;
}
