import * as schemas from './schemas.js';

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown) => schema.safeParse(value).success;

describe('an amount', () => {
  it.each([
    ['0', '0'],
    ['1050', '1050'],
    ['-1050', '-1050'],
    ['9223372036854775807', '9223372036854775807'],
    ['-9223372036854775808', '-9223372036854775808'],
    [1050, '1050'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
    [-5, '-5'],
  ])('%j is %s', (value, text) => {
    expect(schemas.amountSchema.parse(value)).toBe(text);
  });

  it.each([
    '9223372036854775808',
    '-9223372036854775809',
    '99999999999999999999',
    '1.5',
    '1e3',
    '007',
    '-0',
    '+1',
    '--1',
    ' 1',
    '1 ',
    '1_000',
    '0x10',
    '١',
    '',
    '-',
    1.5,
    JSON.parse('1e400'),
    Number.MAX_SAFE_INTEGER + 1,
    2 ** 63,
    Number.NaN,
    10n,
    true,
    null,
    undefined,
    [],
    ['5'],
    {},
  ])('%p is refused', (value) => {
    expect(accepts(schemas.amountSchema, value)).toBe(false);
  });

  it('of a posting is more than 0', () => {
    expect(schemas.positiveAmountSchema.parse('1')).toBe('1');
    for (const value of ['0', '-1', '-0', 0, -0, -1]) expect(accepts(schemas.positiveAmountSchema, value)).toBe(false);
  });

  it('of a limit is not negative', () => {
    expect(schemas.nonNegativeAmountSchema.parse('0')).toBe('0');
    expect(schemas.nonNegativeAmountSchema.parse(0)).toBe('0');
    for (const value of ['-1', '-0', -1]) expect(accepts(schemas.nonNegativeAmountSchema, value)).toBe(false);
  });
});

describe('an id', () => {
  it.each(['a', '0192f3a0-7c1e-7000-8000-000000000000', 'shop:eu.1_x', '__proto__', '.', '..', 'x'.repeat(128)])('may be %j', (id) => {
    expect(accepts(schemas.idSchema, id)).toBe(true);
  });

  it.each(['', 'x'.repeat(129), 'a/b', 'a b', 'ü', 'a\n', 'a\u0000', 5, null])('may not be %j', (id) => {
    expect(accepts(schemas.idSchema, id)).toBe(false);
  });
});

describe('a currency', () => {
  it('is a code of ISO 4217, whatever Node knows of them', () => {
    for (const code of ['EUR', 'USD', 'JPY', 'KWD', 'VED', 'XAU', 'XCG', 'ZWG', 'CHE']) expect(accepts(schemas.currencySchema, code)).toBe(true);
    for (const code of ['eur', 'EURO', 'XYZ', 'ZZZ', '', 978, 'HRK', 'BGN', 'ANG', 'ZWL', 'XXX', 'XTS']) expect(accepts(schemas.currencySchema, code)).toBe(false);
  });
});

describe('a time', () => {
  it.each([
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31T12:00:00.123456Z', '2026-01-31T12:00:00.123Z'],
    ['2026-01-31T12:00:00+02:00', '2026-01-31T10:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, time) => {
    expect(schemas.timeSchema.parse(text)).toBe(time);
  });

  it.each([
    '2026-01-31',
    '2026-01-31T12:00:00',
    '2026-02-30T12:00:00Z',
    '2026-01-31T25:00:00Z',
    'yesterday',
    '',
    1769860800000,
    // Postgres has no year 0, and no way to read a year of six digits.
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+14:00',
    '9999-12-31T23:59:59-14:00',
  ])('%j is refused', (text) => {
    expect(accepts(schemas.timeSchema, text)).toBe(false);
  });
});

describe('a text', () => {
  it('is well-formed Unicode of some length', () => {
    const text = schemas.textSchema(5);
    for (const value of ['a', 'Zürich'.slice(0, 5), '😀😀']) expect(accepts(text, value)).toBe(true);
    for (const value of ['', 'abcdef', 'a\u0000', '\ud83d', 5, null]) expect(accepts(text, value)).toBe(false);
  });
});

describe('metadata', () => {
  it('is any JSON object', () => {
    const metadata = { a: [1, 1.5, { b: null }], 'ключ': 'x', $bigint: '5' };
    expect(schemas.metadataSchema.parse(metadata)).toEqual(metadata);
  });

  it('is up to 16 KiB', () => {
    const withBytes = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) });
    expect(accepts(schemas.metadataSchema, withBytes(16_384))).toBe(true);
    expect(accepts(schemas.metadataSchema, withBytes(16_385))).toBe(false);
    expect(accepts(schemas.metadataSchema, { a: 'ü'.repeat(8_190) })).toBe(false);
  });

  it('has no number that would come back as another', () => {
    for (const json of ['{"a":9007199254740993}', '{"a":[{"b":1e400}]}', '{"a":1e300}']) {
      expect(accepts(schemas.metadataSchema, JSON.parse(json))).toBe(false);
    }
  });

  it('is no array, text or null', () => {
    for (const value of [[], 'x', null, 5]) expect(accepts(schemas.metadataSchema, value)).toBe(false);
  });
});
