/** A failure that is nobody's fault and passes: the caller should come again. Answered with 503 and `Retry-After`. */
export class UnavailableError extends Error {
  constructor(
    readonly code: 'overloaded' | 'database-unavailable' | 'shutting-down' | 'projection-behind' | 'starting',
    readonly detail: string,
    cause?: unknown,
  ) {
    super(detail, { cause });
  }
}

/** The queue in front of the writer is full, or as much is being done as there is memory for. */
export class OverloadedError extends UnavailableError {
  constructor() {
    super('overloaded', 'more writes are waiting than this node takes on; come again');
  }
}

/** What keeps the process from starting, in words for whoever starts it. */
export class StartError extends Error {}
