import { fastify } from 'fastify';
import { parseJsonBody, registerBodyParsers } from './body-parser.js';

const parse = (body: string | Buffer) => parseJsonBody(Buffer.from(body as string), (text) => JSON.parse(text) as unknown);
const refusal = (code: string, ...paths: string[]) =>
  expect.objectContaining({ code, ...(paths.length > 0 && { errors: paths.map((path) => expect.objectContaining({ path })) }) });

describe('the body of a request', () => {
  it('is JSON in UTF-8', () => {
    expect(parse('{"a":["ü",1]}')).toEqual({ a: ['ü', 1] });
    expect(parse('')).toBeUndefined();
    expect(() => parse('{')).toThrow(refusal('malformed-json'));
    expect(() => parse('\u0000')).toThrow(refusal('malformed-json'));
    expect(() => parse(Buffer.from([0x22, 0xff, 0x22]))).toThrow(refusal('malformed-json'));
    // Half a surrogate pair in bytes, and an over-long encoding of "/".
    expect(() => parse(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrow(refusal('malformed-json'));
    expect(() => parse(Buffer.from([0x22, 0xc0, 0xaf, 0x22]))).toThrow(refusal('malformed-json'));
  });

  it('hides no NUL and no half of a surrogate pair behind an escape, in values or keys', () => {
    expect(() => parse(String.raw`{"a":{"b":["\u0000"]}}`)).toThrow(refusal('validation-failed', '/a/b/0'));
    expect(() => parse(String.raw`{"a":"\ud83d"}`)).toThrow(refusal('validation-failed', '/a'));
    expect(() => parse(String.raw`{"\u0000":1}`)).toThrow(refusal('validation-failed', '/\ufffd'));
    expect(() => parse(String.raw`"\udc00"`)).toThrow(refusal('validation-failed', ''));
    expect(parse(String.raw`{"a":"\ud83d\ude00"}`)).toEqual({ a: '😀' });
    expect(parse(String.raw`{"a":"\\u0000"}`)).toEqual({ a: String.raw`\u0000` });
  });

  it('is nested 64 levels deep at most', () => {
    const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(() => parse(nested(64))).not.toThrow();
    expect(() => parse(nested(65))).toThrow(refusal('validation-failed'));
    expect(() => parse(nested(100_000))).toThrow(refusal('validation-failed'));
  });
});

describe('the parsers of the server', () => {
  const server = fastify();
  registerBodyParsers(server as never);
  server.post('/echo', (request) => ({ body: request.body ?? null }));
  afterAll(() => server.close());

  const send = async (payload: string, type = 'application/json') =>
    (await server.inject({ method: 'POST', url: '/echo', payload, headers: { 'content-type': type } })).statusCode;

  it('take JSON', async () => {
    expect(await send('{"a":1}')).toBe(200);
    expect(await send('{"a":1}', 'application/json; charset=utf-8')).toBe(200);
  });

  it('refuse keys that reach for prototypes', async () => {
    expect(await send('{"__proto__":{"x":1}}')).not.toBe(200);
    expect(await send('{"constructor":{"prototype":{"x":1}}}')).not.toBe(200);
    expect(await send('{"a":{"__proto__":{"x":1}}}')).not.toBe(200);
  });

  it('refuse every other type', async () => {
    for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded']) {
      expect(await send('a=1', type)).toBe(415);
    }
  });
});
