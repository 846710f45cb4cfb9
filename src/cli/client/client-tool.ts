import { parseArgs, type ParseArgsConfig } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';

/** What is wrong with how a tool was called; its usage is printed with it. */
export class UsageError extends Error {}

/** Runs a command-line tool that is a client of a server. Its exit code is what `work` returns. */
export async function clientTool(usage: string, work: () => Promise<number>): Promise<void> {
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
  const onSignal = (signal: NodeJS.Signals) => {
    bar.stop();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  bar.start(total, 0);
  try {
    await work((steps = 1) => bar.increment(steps));
  } finally {
    bar.stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
  }
}
