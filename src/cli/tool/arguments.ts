import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What is wrong with how a tool was called; its usage is printed with it. */
export class UsageError extends Error {}

/** Its usage is all that the caller wants. */
class HelpAsked extends Error {}

/** Runs a command-line tool. Its exit code is what `work` returns. */
export async function runTool(usage: string, work: () => Promise<number>): Promise<void> {
  // Its reader may leave, as `head` does: what is done is no less done, and the exit code says how it went.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  try {
    process.exitCode = await work();
  } catch (error) {
    if (error instanceof HelpAsked) return void process.stdout.write(`${usage}\n`);
    const { message } = error as Error;
    process.stderr.write(error instanceof UsageError ? `${message}\n\n${usage}\n` : `${message}\n`);
    process.exitCode = 1;
  }
}

/** What the tool was called with. `--help` is every tool's. */
export function readArguments<Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) throw new HelpAsked();
  try {
    return parseArgs({ options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** For tools that take options only. */
export function readOptions<Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  const { values, positionals } = readArguments(options);
  if (positionals.length > 0) throw new UsageError(`What is ${positionals.join(' ')}?`);
  return values;
}

export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${name}: got ${text}; a whole number from ${min} to ${max}`);
}
