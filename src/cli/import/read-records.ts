import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { parse } from 'csv-parse/sync';

/** One record of a file: the first line that it stands on, how many lines it takes, and what it says or why it can not be read. */
export interface FileRecord {
  readonly line: number;
  readonly lines: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly reason?: string;
}

export interface FileContent {
  readonly digest: string;
  readonly lines: number;
}

/** Reads a file once, for what its lines can not say before all of them are read. */
export async function lookAt(path: string): Promise<FileContent> {
  const hash = createHash('sha256');
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let lines = 1;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      decoder.decode(chunk, { stream: true });
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
    }
    decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new Error(`${path} is not UTF-8`, { cause: error });
    throw error;
  }
  return { digest: hash.digest('base64url'), lines };
}

/** What a spreadsheet may put into one record. An opening quote that is never closed ends here, not at the end of the file. */
const maxRecordLength = 65_536;

/**
 * The records of a CSV file (RFC 4180), whose first one names the columns. A record goes on to the next line while a
 * quote is open. One that can not be read costs its first line only: with the next line a new attempt begins, so a
 * stray quote does not take what follows it along. Only some columns may have line breaks: two stray quotes look like a
 * cell of several lines.
 */
export async function* readCsv(
  path: string,
  columns: readonly string[],
  columnsWithLineBreaks: readonly string[],
): AsyncGenerator<FileRecord> {
  const source = new LookAhead(linesOf(path));
  let header: string[] | undefined;
  for (let line = await source.peek(0); line !== undefined; line = await source.peek(0)) {
    if (line.trim() === '') {
      source.drop(1);
      continue;
    }
    const { cells, lines, reason } = await readRecord(source, header, columnsWithLineBreaks);
    const position = { line: source.position, lines };
    source.drop(lines);
    if (!header) {
      if (!cells) throw new Error(`${path}, line ${position.line}: ${reason}`);
      header = checkedHeader(path, cells, columns);
    } else if (!cells) {
      yield { ...position, reason };
    } else {
      yield { ...position, fields: Object.fromEntries(header.map((name, index) => [name, cells[index]])) };
    }
  }
  if (!header) throw new Error(`${path} is empty`);
}

/** The objects of an NDJSON file, one per line. */
export async function* readNdjson(path: string): AsyncGenerator<FileRecord> {
  let line = 0;
  for await (const text of linesOf(path)) {
    line++;
    if (text.trim() === '') continue;
    try {
      const fields = JSON.parse(text) as unknown;
      const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields);
      yield { line, lines: 1, ...(isObject ? { fields: fields as Record<string, unknown> } : { reason: 'not a JSON object' }) };
    } catch (error) {
      yield { line, lines: 1, reason: `not JSON: ${(error as Error).message}` };
    }
  }
}

async function readRecord(
  source: LookAhead,
  header: readonly string[] | undefined,
  columnsWithLineBreaks: readonly string[],
): Promise<{ cells?: string[]; lines: number; reason?: string }> {
  let text = (await source.peek(0))!;
  for (let lines = 1; ; lines++) {
    if (quotesIn(text) % 2 === 0) {
      try {
        // Its own idea of what ends a record would have it drop what follows a carriage return.
        const options = { record_delimiter: '\n', trim: true, relax_column_count: true };
        const cells = (parse(text.replace(/\r$/, ''), options) as string[][])[0]!;
        if (!header && cells.some((name) => name.includes('\r'))) return { lines, reason: 'lines end with a carriage return alone' };
        if (!header) return { cells, lines };
        if (cells.length !== header.length) return { lines: 1, reason: `${cells.length} cells, but there are ${header.length} columns` };
        const broken = header.find((name, index) => /[\r\n]/.test(cells[index]!) && !columnsWithLineBreaks.includes(name));
        if (broken === undefined) return { cells, lines };
        return { lines: 1, reason: `${broken}: a line break, as after a quote that is opened and not closed` };
      } catch (error) {
        return { lines: 1, reason: (error as Error).message.replace(/ at line \d+/, '') };
      }
    }
    const next = await source.peek(lines);
    if (next === undefined || text.length + next.length > maxRecordLength) {
      return { lines: 1, reason: 'a quote is opened and not closed' };
    }
    text += `\n${next}`;
  }
}

function quotesIn(text: string): number {
  return text.split('"').length - 1;
}

function checkedHeader(path: string, names: string[], columns: readonly string[]): string[] {
  const unknown = names.filter((name) => !columns.includes(name));
  if (unknown.length > 0) throw new Error(`${path} has unknown columns: ${unknown.join(', ')}; there are ${columns.join(', ')}`);
  if (new Set(names).size !== names.length) throw new Error(`${path} has a column twice: ${names.join(', ')}`);
  return names;
}

/** Without their line feeds. Node's readline would break at U+2028 too, which JSON may have in its strings. */
async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}

/** Lines that can be looked at before they are taken. */
class LookAhead {
  /** The number of the line that `peek(0)` shows. */
  position = 1;
  private readonly ahead: string[] = [];

  constructor(private readonly lines: AsyncGenerator<string>) {}

  async peek(index: number): Promise<string | undefined> {
    while (this.ahead.length <= index) {
      const { value, done } = await this.lines.next();
      if (done) return undefined;
      this.ahead.push(value);
    }
    return this.ahead[index];
  }

  drop(count: number): void {
    this.ahead.splice(0, count);
    this.position += count;
  }
}
