/** Clocks drift apart by some 50 ppm: 3 ms in two of these. */
const stretchMs = 30_000;

/**
 * The database's clock, as it was seen plus what has passed since by this machine's monotonic clock. So all processes
 * share one clock, wall clock jumps of a node do not reach the log, and asking costs no round trip.
 *
 * An answer says what time it was before its way back, and before the commit that it waited for. So it is the sight that
 * is furthest ahead that counts, of the last half to whole minute: with the last one the clock was behind by a commit, and
 * what the database already said was expired could still be had for as long. It is behind by the shortest way back.
 */
export class DatabaseClock {
  /** By how much the database's clock is ahead of the monotonic one, at least: as seen in this stretch of time, and before. */
  private leadMs = -Infinity;
  private leadBeforeMs = -Infinity;
  private stretchBeganMs = -Infinity;

  saw(databaseTime: Date): void {
    const nowMs = performance.now();
    const ageMs = nowMs - this.stretchBeganMs;
    if (ageMs > stretchMs) {
      this.leadBeforeMs = ageMs > 2 * stretchMs ? -Infinity : this.leadMs;
      this.leadMs = -Infinity;
      this.stretchBeganMs = nowMs;
    }
    this.leadMs = Math.max(this.leadMs, databaseTime.getTime() - nowMs);
  }

  nowMs(): number {
    return Math.floor(Math.max(this.leadMs, this.leadBeforeMs) + performance.now());
  }
}
