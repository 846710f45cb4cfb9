/**
 * How Rialto's processes run. V8 lets a heap that may grow to gigabytes become four times as large as what is in it
 * before it cleans up; one of at most 1 GB it keeps below twice: 240 MB resident under load, not 370.
 *
 * The young generation gets twice its usual 16 MB: a transfer leaves some 55 kB of garbage, and half as many
 * collections find half as much that is still in use. 18 % less CPU per transfer; 64 MB gave no more.
 */
export const nodeFlags = ['--enable-source-maps', '--max-old-space-size=1024', '--max-semi-space-size=32'];
