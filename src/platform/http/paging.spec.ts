import { z } from 'zod';
import { Cursor, limitSchema } from './paging.js';

const cursor = new Cursor('accounts', z.tuple([z.string(), z.number()]));
const bad = expect.objectContaining({ code: 'bad-cursor' });
const raw = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a cursor', () => {
  it('brings back the key of the last item', () => {
    expect(cursor.decode(cursor.encode(['Zürich', 5], 'EUR'), 'EUR')).toEqual(['Zürich', 5]);
    expect(cursor.decode(undefined, 'EUR')).toBeUndefined();
  });

  it('is refused by another list, and by the same list with other filters', () => {
    const other = new Cursor('entries', z.tuple([z.string(), z.number()]));
    expect(() => other.decode(cursor.encode(['a', 1], ''), '')).toThrow(bad);
    expect(() => cursor.decode(cursor.encode(['a', 1], 'EUR'), 'USD')).toThrow(bad);
  });

  it.each([
    ['empty', ''],
    ['no base64', '%%%'],
    ['cut short', cursor.encode(['alice', 1], '').slice(0, -4)],
    ['no JSON', Buffer.from('accounts').toString('base64url')],
    ['no list', raw({})],
    ['null', raw(null)],
    ['a key of another type', raw(['accounts', '', 'a', 'b'])],
    ['a key too short', raw(['accounts', '', 'a'])],
    ['a key too long', raw(['accounts', '', 'a', 1, 2])],
    ['a key that Postgres can not take: NUL', raw(['accounts', '', 'a\u0000', 1])],
    ['a key that Postgres can not take: half a pair', raw(['accounts', '', 'a\ud800', 1])],
  ])('is refused when it is %s', (_what, text) => {
    expect(() => cursor.decode(text, '')).toThrow(bad);
  });

  it('of a page is there only when there is more', () => {
    const page = (rows: number[]) => cursor.page(rows, 2, '', (row) => ['x', row], (row) => row * 10);
    expect(page([])).toEqual({ items: [], nextCursor: null });
    expect(page([1, 2])).toEqual({ items: [10, 20], nextCursor: null });
    const { items, nextCursor } = page([1, 2, 3]);
    expect(items).toEqual([10, 20]);
    expect(cursor.decode(nextCursor!, '')).toEqual(['x', 2]);
  });
});

describe('the limit of a list', () => {
  it.each([[undefined, 50], ['1', 1], ['500', 500], ['0050', 50]])('%j is %i', (text, limit) => {
    expect(limitSchema.parse(text)).toBe(limit);
  });

  it.each(['0', '501', '-1', '1.5', '1e2', '', ' 5', 'all'])('%j is refused', (text) => {
    expect(limitSchema.safeParse(text).success).toBe(false);
  });
});
