/** Arithmetic on times that are given: RFC 3339, UTC, milliseconds. Nothing in here looks at a clock. */

export function addSeconds(time: string, seconds: number): string {
  return timeAt(secondsOf(time) + seconds);
}

/** Seconds since 1970, with milliseconds as decimals. */
export function secondsOf(time: string): number {
  return Date.parse(time) / 1_000;
}

export function timeAt(seconds: number): string {
  return new Date(Math.round(seconds * 1_000)).toISOString();
}
