/**
 * Moments at which a process that dies, or stands still, is most likely to leave something half done. Whoever tests
 * that it does not can make it happen just there. Nothing in the product switches them on: until somebody calls
 * `onFaultPoint`, a point is a look at a variable.
 */
export const faultPoints = [
  /** A batch is decided, and nothing of it has been sent. */
  'writer: before append',
  /** The batch is durable, and nobody has been told. */
  'writer: after append',
  /** A command with `Prefer: respond-async` is about to be stored. */
  'inbox: before accept',
  /** It is durable, and its caller has not been told. */
  'inbox: after accept',
  /** Commands are claimed, and none has run. */
  'inbox: after claim',
  /** What consumers make of a batch is sent, with their checkpoints, and COMMIT is not. */
  'consumers: before commit',
  /** The batch is durable, and nobody has been told. */
  'consumers: after commit',
  /** A command is done, and its answer is not sent. */
  'http: before answer',
] as const;

export type FaultPoint = (typeof faultPoints)[number];

let watcher: ((point: FaultPoint) => void) | undefined;

/** A process passes one of its points. */
export function faultPoint(point: FaultPoint): void {
  watcher?.(point);
}

/** For tests: is told of every point that the process passes, before it goes on. */
export function onFaultPoint(watch: typeof watcher): void {
  watcher = watch;
}
