/** Where this process is in its life. Writes and reads are served while it is `ready`. */
export class Lifecycle {
  phase: 'starting' | 'ready' | 'stopping' = 'starting';
}

/** What main.ts starts and stops: this process, or the processes of a cluster. */
export interface Service {
  /** The most connections to the primary database that it ever holds. */
  readonly connectionsMax: number;
  /** Answers health, and 503 to everything else until it has begun. */
  listen(): Promise<void>;
  /** Where it listens. */
  readonly address: string;
  /** Once the database is there and migrated. Resolves when everything is ready. */
  begin(): Promise<void>;
  /** Resolves when everything that was under way is done; rejects when something was left. */
  stop(): Promise<void>;
}
