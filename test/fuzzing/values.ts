import fc from 'fast-check';

/** As much of JSON Schema as the document uses of it for requests. */
export interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What fields of a name mostly say, whatever their schema allows: names of what is there, amounts that can be paid. */
export type Words = Readonly<Record<string, fc.Arbitrary<unknown>>>;

const itemsAtOnce = 3;
const textAtOnce = 40;
const oftenMore = 20;

/** Values that a schema of the document describes. Generators of the registry make those too; these are shrunk. */
export function valuesOf(schema: Schema, words: Words = {}, name = ''): fc.Arbitrary<unknown> {
  const described = describedBy(schema, words);
  const word = words[name];
  return word ? fc.oneof({ weight: 12, arbitrary: word }, { weight: 1, arbitrary: described }) : described;
}

function describedBy(schema: Schema, words: Words): fc.Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return fc.oneof(...choices.map((one) => valuesOf(one, words)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'string':
      return textsOf(schema);
    case 'integer':
      return integersOf(schema);
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}, words), {
        minLength: schema.minItems,
        maxLength: Math.min(schema.maxItems ?? itemsAtOnce, Math.max(schema.minItems ?? 0, itemsAtOnce)),
      });
    case 'object':
      return schema.properties ? objectsOf(schema, words) : fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue(), { maxKeys: itemsAtOnce });
    default:
      return fc.jsonValue();
  }
}

function objectsOf({ properties = {}, required = [] }: Schema, words: Words): fc.Arbitrary<unknown> {
  const fields = Object.entries(properties).map(([name, inner]) => [name, valuesOf(inner, words, name)] as const);
  return fc.record(Object.fromEntries(fields), { requiredKeys: [...required] });
}

function textsOf({ format, pattern, minLength = 0, maxLength = textAtOnce }: Schema): fc.Arbitrary<string> {
  if (format === 'date-time') {
    return fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }).map((date) => date.toISOString());
  }
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern), { size: 'small' });
  // A grapheme is several of what a length counts.
  const fits = (text: string) => text.length >= minLength && text.length <= maxLength;
  const short = fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, textAtOnce) }).filter(fits);
  return fc.oneof({ weight: 12, arbitrary: short }, { weight: 1, arbitrary: fc.constant('x'.repeat(maxLength)) });
}

function integersOf({ minimum: min = Number.MIN_SAFE_INTEGER, maximum: max = Number.MAX_SAFE_INTEGER }: Schema): fc.Arbitrary<number> {
  const small = fc.integer({ min: Math.max(min, -oftenMore), max: Math.min(max, Math.max(min, 0) + oftenMore) });
  return fc.oneof({ weight: 6, arbitrary: small }, { weight: 1, arbitrary: fc.maxSafeInteger().map((n) => Math.min(max, Math.max(min, n))) });
}
