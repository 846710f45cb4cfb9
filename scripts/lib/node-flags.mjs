/**
 * How Rialto's processes run. V8 lets a heap that may grow to gigabytes become four times as large as what is in it
 * before it cleans up; one of at most 1 GB it keeps below twice: 130 MB less resident under load.
 *
 * The young generation gets 32 MB: a transfer leaves some 55 kB of garbage, and fewer collections find less that is
 * still in use. 18 % less CPU per transfer; 64 MB gave no more.
 *
 * One helper thread, not four: on two cores four take four times the CPU to mark the same heap (ADR 0022). More cores are
 * for more processes.
 */
export const nodeFlags = ['--enable-source-maps', '--max-old-space-size=1024', '--max-semi-space-size=32', '--v8-pool-size=1'];
