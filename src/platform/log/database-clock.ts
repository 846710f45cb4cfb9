/**
 * The database's clock, as last seen plus what has passed since by this machine's monotonic clock. So all processes
 * share one clock, wall clock jumps of a node do not reach the log, and asking costs no round trip. It is behind by
 * the network's one-way delay at most.
 */
export class DatabaseClock {
  private databaseMs = 0;
  private seenAtMs = 0;

  saw(databaseTime: Date): void {
    this.databaseMs = databaseTime.getTime();
    this.seenAtMs = performance.now();
  }

  nowMs(): number {
    return Math.floor(this.databaseMs + performance.now() - this.seenAtMs);
  }
}
