import { isIPv6 } from 'node:net';
import { Presets, SingleBar } from 'cli-progress';
import { readConfig } from '../../config.js';
import { runTool, UsageError } from '../tool/arguments.js';

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
  await runTool(usage, work);
}

/** The server that a tool talks to: the one named, or the one that `npm start` starts with these settings. */
export function serverUrl(named: string | undefined): string {
  if (named !== undefined) return named;
  const { host, port } = readConfig(process.env);
  if (port === 0) throw new UsageError('PORT is 0, any that is free: name the server with --url');
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${isIPv6(reachable) ? `[${reachable}]` : reachable}:${port}`;
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
