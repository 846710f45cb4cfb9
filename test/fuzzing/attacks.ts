import fc from 'fast-check';

/** One thing about a request that nobody who means well would do. */
export type Attack =
  | { readonly on: 'value'; readonly at: number; readonly value: unknown }
  | { readonly on: 'missing'; readonly at: number }
  | { readonly on: 'unknown'; readonly at: number; readonly key: string; readonly value: unknown }
  | { readonly on: 'text'; readonly at: number; readonly cut: number; readonly text: string }
  | { readonly on: 'body'; readonly body: string | Buffer | undefined }
  | { readonly on: 'type'; readonly type: string | null }
  | { readonly on: 'parameter'; readonly at: number; readonly text: string }
  | { readonly on: 'path'; readonly at: number; readonly text: string }
  | { readonly on: 'query'; readonly at: number; readonly text: string }
  | { readonly on: 'header'; readonly name: string; readonly value: string | string[] }
  | { readonly on: 'method'; readonly method: string };

/** Stands for JSON that no value is written as: `JSON.stringify` knows no 1e400, and no key twice. */
const verbatim = (json: string) => `\uE000${json}\uE000`;
const verbatims = /"\uE000(.*?)\uE000"/g;
/** JSON of a value that may have such in it. */
export const jsonOf = (value: unknown) => JSON.stringify(value).replaceAll(verbatims, (_all, json: string) => JSON.parse(`"${json}"`) as string);

const lengths = fc.oneof({ weight: 40, arbitrary: fc.constantFrom(0, 1, 128, 129, 255, 256, 257, 5_000) }, { weight: 4, arbitrary: fc.constant(20_000) }, { weight: 1, arbitrary: fc.constant(1_100_000) });
const long = lengths.map((length) => 'x'.repeat(length));

const evilTexts = fc.constantFrom(
  '', ' ', '\u0000', 'a\u0000b', '\ud800', '\udc00x', '\ufeff', '\u202e', '😀', 'ﷺ', "'; DROP TABLE events; --", '${7*7}', '{{7*7}}', '<script>alert(1)</script>',
  '../../etc/passwd', '%00', '%s%n', 'null', 'undefined', 'NaN', 'Infinity', '-0', '00', '+1', '1e3', '0x10', '1_000', '١', '1.0', ' 1', '9223372036854775807',
  '9223372036854775808', '-9223372036854775808', '-9223372036854775809', '18446744073709551616', '__proto__', 'constructor', 'toString', 'hasOwnProperty',
  '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999-23:59', '2026-02-30T00:00:00Z', 'infinity', 'EUR', 'XXX', 'eur', 'a b', 'a/b', 'a%2Fb', '.', '..',
);
const evilNumbers = fc.constantFrom<unknown>(
  0, -1, 1, 0.5, -0, 2 ** 31 - 1, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 2 ** 63, 2 ** 64, 1e21, 5e-324, 1.7976931348623157e308,
  verbatim('1e400'), verbatim('-1e400'), verbatim('-0'), verbatim('9223372036854775808'), verbatim('1.00000000000000000000001'),
);
const deep = (depth: number) => verbatim('['.repeat(depth) + ']'.repeat(depth));
const evilValues = fc.oneof(
  { weight: 4, arbitrary: evilTexts },
  { weight: 3, arbitrary: evilNumbers },
  { weight: 2, arbitrary: long },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 3, arbitrary: fc.constantFrom<unknown>(null, true, false, [], {}, [null], [[]], [{}], { a: 1 }, { limit: -1 }, deep(63), deep(70), deep(9_000), verbatim('{"a":1,"a":2}')) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const evilKeys = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'surprise', '', '\u0000', '\ud800', 'x'.repeat(5_000), 'amount ', 'Amount', '$where', 'length', 'then'),
  fc.string({ unit: 'binary' }),
);
const evilBodies = fc.oneof(
  fc.constantFrom<string | Buffer | undefined>(
    undefined, '', ' ', 'null', 'true', '1', '"x"', '[]', '{}', '[[]]', '{}{}', '{"a":', '{"a":1,}', "{'a':1}", '// a\n{}', 'undefined', 'NaN', '1e400', '\ufeff{}', '{}\n{}\n', '\n\n',
    '{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}', '['.repeat(100_000), '{"a":'.repeat(20_000), Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), Buffer.alloc(100),
  ),
  fc.json(),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
);
const evilTypes = fc.constantFrom(
  null, '', 'text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/x-ndjson', 'application/json; charset=utf-16',
  'application/json;charset=utf-8; charset=latin1', 'application/problem+json', 'application/merge-patch+json', 'APPLICATION/JSON', 'application/json, text/plain', 'application/jsonx', '*/*', 'nonsense', ';', 'application/', 'x'.repeat(3_000),
);

/** Of an address, as it goes over the wire. */
const evilPaths = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      '', '%', '%zz', '%00', 'a%00b', '%ff', '%c0%af', '%ed%a0%80', '%F0%9F%98%80', '%2F', '%2e%2e%2f', '..', '.', '/', '//', '\\', ';', ';x=1', '?', '??', '?&&=', '#', '*', ':', '@', '!', '~', '%25', '%252F', '%20', '+', 'a+b',
      '%61', '%7E', '|', '{x}', '[x]', '^', '`', '"', '<x>', "'--", 'caf\u00e9', '\u00ff', '__proto__', 'constructor', 'undefined', 'null', '-1', '0', '1e400', 'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(1_025), 'x'.repeat(7_000),
      '0.x', '3.none', '15.x', '16.x', '999.x', '03.x', `3.${'x'.repeat(590)}`, `3.${'x'.repeat(700)}`, '3.%00', '3.%F0%9F%98%80',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }).map((text) => encodeURIComponent(text.toWellFormed())) },
);
const evilQueries = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc.constantFrom('limit', 'cursor', 'status', 'sort', 'q', 'category', 'currency', 'minPrice', 'maxPrice', 'prefix', 'customerId', 'at', 'from', 'to', 'placedFrom', 'placedTo', 'atomic', 'surprise', '__proto__', 'constructor[prototype]', 'limit[]', 'limit[a]', ''),
      fc.oneof(
        fc.constantFrom('', '0', '-1', '1', '500', '501', '1.5', '1e2', '+1', '%201', '0x10', '10000', '99999999999999999999', '%00', 'a%00', '%zz', '%', '%ff', '%ed%a0%80', '%F0%9F%98%80', 'null', 'true', 'false', '[]', '{}', 'e30', 'bnVsbA', '!!!', '"', '%22a', "'", '-', 'or', '-%20-', '!%26|', ':*', '2026-01-01', '2026-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:59', 'infinity', 'EUR', 'XXX', 'x'.repeat(200), 'x'.repeat(5_000), '(', '%5C', 'a&a'),
        evilTexts.map((text) => encodeURIComponent(text.toWellFormed())),
      ),
    ).map(([name, value]) => `${name}=${value}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('&', '=', '&&&&', '?', '=&=', 'limit=1&limit=2', `${'a=1&'.repeat(1_500)}`, 'x'.repeat(7_000), '%', '#') },
);

const evilHeaderValues = fc.oneof(
  fc.constantFrom('', ' ', '*', '"', '"1"', 'W/"1"', 'W/', '"1", "2"', ',', ',,,,', ';', '=', '0', '-1', 'é', 'ÿ', '\t', 'a\tb', 'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(4_000), '__proto__', '%00', '1e400', '99999999999999999999999'),
  fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f).map((code) => String.fromCharCode(code)), maxLength: 30 }),
);
const token = fc.constantFrom('x', '1@', '@1', '-1@1', '1@-1', '1@1e3', '99@1', '15@1', '16@1', '1@999999999999999', '1@9999999999999999', '1@1,', '1@1,1@2', ' 1@1 ', '1@1;2@2', '0@0', `${'1@1,'.repeat(900)}1@1`, "1@1' OR 1=1");
const prefer = fc.constantFrom('respond-async', 'respond-async, wait=1', 'RESPOND-ASYNC', 'respond-async=1', 'wait', 'wait=', 'wait=0', 'wait=-1', 'wait=1.5', 'wait=1e9', 'wait="1"', 'wait=99999999999', 'return=minimal', ';;;', 'respond-asynchronously');
const accept = fc.constantFrom('', '*/*', 'text/html', 'application/xml;q=1', 'application/json;q=0', 'image/*', 'nonsense', 'application/problem+json');
const traceparent = fc.constantFrom('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '00-00000000000000000000000000000000-0000000000000000-00', 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '00-x', '00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01');
const header = (name: string, values: fc.Arbitrary<string>) => fc.oneof({ weight: 3, arbitrary: values }, { weight: 1, arbitrary: evilHeaderValues }, { weight: 1, arbitrary: fc.array(values, { minLength: 2, maxLength: 3 }) })
  .map((value) => ({ on: 'header' as const, name, value }));
const evilHeaders = fc.oneof(
  header('idempotency-key', evilHeaderValues),
  header('consistency-token', token),
  header('if-match', evilHeaderValues),
  header('if-none-match', evilHeaderValues),
  header('prefer', prefer),
  header('accept', accept),
  header('traceparent', traceparent),
  header('request-id', evilHeaderValues),
  header('actor', evilHeaderValues),
  header('content-encoding', fc.constantFrom('gzip', 'identity', 'br', 'x', 'gzip, gzip', '')),
  header('accept-encoding', fc.constantFrom('gzip', 'identity;q=0', '*;q=0')),
  header('expect', fc.constantFrom('100-continue', '200-ok', '')),
  header('range', fc.constantFrom('bytes=0-1', 'bytes=-1', 'x')),
  header('origin', fc.constantFrom('null', 'https://evil.example')),
  header('x-forwarded-for', evilHeaderValues),
  header('x-http-method-override', fc.constantFrom('DELETE', 'GET')),
  header('cookie', evilHeaderValues),
  header('x-large', fc.constantFrom('x'.repeat(8_000), 'x'.repeat(20_000))),
);
const evilMethods = fc.constantFrom('OPTIONS', 'DELETE', 'PUT', 'PATCH', 'POST', 'GET', 'TRACE', 'PROPFIND', 'QUERY', 'PURGE', 'FOO');

const place = fc.nat({ max: 1_000 });
const ofBodies: fc.Arbitrary<Attack> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ on: fc.constant('value' as const), at: place, value: evilValues }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('missing' as const), at: place }) },
  { weight: 3, arbitrary: fc.record({ on: fc.constant('unknown' as const), at: place, key: evilKeys, value: evilValues }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('text' as const), at: place, cut: fc.nat({ max: 3 }), text: fc.constantFrom('', '\u0000', '\\u0000', '\\ud800', '"', '{', '}', ']', ',', ':', '\\', '\n', 'é', '1e999', '//') }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('body' as const), body: evilBodies }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('type' as const), type: evilTypes }) },
);
const ofAddresses: fc.Arbitrary<Attack> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ on: fc.constant('parameter' as const), at: place, text: evilPaths }) },
  { weight: 1, arbitrary: fc.record({ on: fc.constant('path' as const), at: place, text: evilPaths }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('query' as const), at: place, text: evilQueries }) },
  { weight: 3, arbitrary: evilHeaders },
  { weight: 1, arbitrary: fc.record({ on: fc.constant('method' as const), method: evilMethods }) },
);

/** Mostly one attack at a time: what is refused for one thing is not looked at for another. */
export function attacksOn({ takesBody }: { readonly takesBody: boolean }): fc.Arbitrary<Attack[]> {
  const one = takesBody ? fc.oneof({ weight: 3, arbitrary: ofBodies }, { weight: 2, arbitrary: ofAddresses }) : fc.oneof({ weight: 1, arbitrary: ofBodies }, { weight: 9, arbitrary: ofAddresses });
  return fc.oneof(
    { weight: 8, arbitrary: fc.constant<Attack[]>([]) },
    { weight: 6, arbitrary: fc.array(one, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(one, { minLength: 2, maxLength: 2 }) },
  );
}

/** The value with one of its parts, somewhere, changed as the attack says. */
export function attackedValue(value: unknown, attack: Attack): unknown {
  const copy: unknown = structuredClone(value);
  const places = placesOf(copy);
  if (attack.on === 'unknown') {
    const objects = [copy, ...places.map(({ holder, key }) => (holder as Record<string, unknown>)[key])].filter(isObject);
    const target = objects[attack.at % objects.length];
    if (target) Object.defineProperty(target, attack.key, { value: attack.value, enumerable: true, configurable: true, writable: true });
  } else if (attack.on === 'missing' || attack.on === 'value') {
    const one = places[attack.at % places.length];
    if (!one) return attack.on === 'value' ? attack.value : copy;
    if (attack.on === 'value') (one.holder as Record<string, unknown>)[one.key] = attack.value;
    else if (Array.isArray(one.holder)) one.holder.splice(Number(one.key), 1);
    else delete (one.holder as Record<string, unknown>)[one.key];
  }
  return copy;
}

function placesOf(value: unknown): { holder: object; key: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [{ holder: value, key }, ...placesOf(inner)]);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
