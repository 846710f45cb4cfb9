import { z } from 'zod';
import { isIllFormed } from './body-parser.js';
import { RequestError } from './problem.js';

/** `?limit=` of every list. */
export const limitSchema = z
  .string()
  .regex(/^\d{1,4}$/, 'a whole number from 1 to 500')
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= 500, 'a whole number from 1 to 500')
  .default(50)
  .meta({ type: 'integer', minimum: 1, maximum: 500, default: 50, description: 'How many items at most.' });

export const cursorSchema = z
  .string()
  .max(4_096)
  .optional()
  .meta({ description: 'The nextCursor of the page before.' });

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

/** A page as JSON, made of items that Postgres has written: Node would parse them only to write them again. */
export interface PageText {
  readonly json: string;
}

/** A page as the OpenAPI document has it. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() });

/**
 * A place in a list, opaque to the client: the list's name and its filters, and the sort key of the last item. A
 * cursor of another list, or of the same list filtered otherwise, is refused.
 */
export class Cursor<Key extends readonly (string | number)[]> {
  constructor(
    private readonly list: string,
    private readonly key: z.ZodType<Key>,
  ) {}

  encode(key: Key, filter: string): string {
    return Buffer.from(JSON.stringify([this.list, filter, ...key])).toString('base64url');
  }

  decode(cursor: string | undefined, filter: string): Key | undefined {
    if (cursor === undefined) return undefined;
    const bad = new RequestError('bad-cursor', 'send the nextCursor of this list, with the same filters');
    let parts: unknown;
    try {
      parts = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    } catch {
      throw bad;
    }
    if (!Array.isArray(parts) || parts[0] !== this.list || parts[1] !== filter) throw bad;
    const key = this.key.safeParse(parts.slice(2));
    // Postgres takes neither NUL nor half a surrogate pair, and nobody got those from us.
    if (!key.success || key.data.some((part) => typeof part === 'string' && isIllFormed(part))) throw bad;
    return key.data;
  }

  /** A page of rows that were read with one more than the limit, to know whether there is a next one. */
  page<Row, Item>(rows: Row[], limit: number, filter: string, keyOf: (row: Row) => Key, itemOf: (row: Row) => Item): Page<Item> {
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return { items: shown.map(itemOf), nextCursor: last ? this.encode(keyOf(last), filter) : null };
  }
  /** The page that a statement has put together: its items, the sort key of the last one, and whether there are more. */
  pageText<Row extends { readonly items: string | null; readonly more: boolean | null }>(row: Row, filter: string, keyOf: (row: Row) => Key): PageText {
    const nextCursor = row.more ? this.encode(keyOf(row), filter) : null;
    return { json: `{"items":[${row.items ?? ''}],"nextCursor":${JSON.stringify(nextCursor)}}` };
  }
}
