/**
 * How Rialto's processes run. V8 lets a heap that may grow to gigabytes become four times as large as what is in it
 * before it cleans up, and the less it may grow, the sooner: of at most 1 GB it keeps below twice, 130 MB less resident
 * under load, and of at most 768 MB another 20 less. With as many of the longest lists as it takes on, a process has 633 MB
 * resident (ADR 0022).
 *
 * The young generation gets 32 MB: a transfer leaves some 55 kB of garbage, and fewer collections find less that is
 * still in use. 18 % less CPU per transfer; 64 MB gave no more, and 24 MB saved nothing.
 *
 * One helper thread, not four: on two cores four take four times the CPU to mark the same heap (ADR 0022). More cores are
 * for more processes.
 *
 * No objects straight into the old generation because others from the same place had survived: V8 guessed so of what pg reads
 * rows into, and a row there keeps its text until the next full collection. 522 MB of answers survived in four seconds of
 * searches, and 37 MB without (ADR 0022).
 */
export const nodeFlags: readonly string[] = [
  // From src/, which tests run, as well as from dist/.
  `--import=${new URL('../dist/source-maps.js', import.meta.url).href}`,
  '--max-old-space-size=768',
  '--max-semi-space-size=32',
  '--v8-pool-size=1',
  '--no-allocation-site-pretenuring',
];
