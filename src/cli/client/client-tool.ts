import { parseArgs, type ParseArgsConfig } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';

/** What is wrong with how a tool was called; its usage is printed with it. */
export class UsageError extends Error {}

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

const cleanups: (() => unknown)[] = [];

/** What is to be done when the tool is interrupted, last first; until the returned function is called. */
export function onInterrupt(cleanup: () => unknown): () => void {
  cleanups.unshift(cleanup);
  return () => void cleanups.splice(cleanups.indexOf(cleanup), 1);
}

async function endBy(signal: keyof typeof exitCodes): Promise<never> {
  for (const cleanup of [...cleanups]) await cleanup();
  process.exit(exitCodes[signal]);
}

/** Runs a command-line tool that is a client of a server. Its exit code is what `work` returns. */
export async function clientTool(usage: string, work: () => Promise<number>): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void endBy(signal));
  try {
    process.exitCode = await work();
  } catch (error) {
    const { message } = error as Error;
    process.stderr.write(error instanceof UsageError ? `${message}\n\n${usage}\n` : `${message}\n`);
    process.exitCode = 1;
  }
}

export function readArguments<Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  try {
    return parseArgs({ options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${name}: got ${text}; a whole number from ${min} to ${max}`);
}

/** A bar on standard error in a terminal, and a line every few seconds elsewhere. */
export async function withProgress(title: string, total: number, work: (advance: (steps?: number) => void) => Promise<void>): Promise<void> {
  const bar = new SingleBar(
    {
      format: `${title.padEnd(10)} [{bar}] {percentage} % | {value} of {total} | {eta_formatted} to go`,
      noTTYOutput: true,
      notTTYSchedule: 5_000,
      // Its own way with signals keeps Ctrl-C from ending the process.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  const forget = onInterrupt(() => bar.stop());
  bar.start(total, 0);
  try {
    await work((steps = 1) => bar.increment(steps));
  } finally {
    bar.stop();
    forget();
  }
}
