import { Contract, type Document } from './contract.js';
import type { Request } from './requests.js';

const problem = { type: '/docs/errors#x', title: 'x', status: 409, detail: 'x', code: 'x' };
const json = { 'application/json': { schema: { type: 'object' } } };
const problemJson = { 'application/problem+json': { schema: { type: 'object' } } };
const document: Document = {
  components: { responses: { MethodNotAllowed: { headers: { Allow: {} } } } },
  paths: {
    '/v1/things': {
      post: { responses: { 201: { headers: { 'Consistency-Token': {} }, content: json }, 409: { content: problemJson } } },
      get: { responses: { 200: { content: json } } },
    },
  },
};
const contract = new Contract(document);

function complaint(method: string, status: number, headers: Record<string, string>, body: object = {}): string | undefined {
  const request: Request = { method, path: '/v1/things', headers: {} };
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  const answer = { status, headers: { 'content-type': type, 'request-id': '1', date: 'today', ...headers }, text: JSON.stringify(body), body };
  return contract.complaint(request, answer);
}

describe('The judge of answers', () => {
  test('finds nothing wrong with what is documented', () => {
    expect(complaint('POST', 201, { 'consistency-token': '1@1' })).toBeUndefined();
    expect(complaint('POST', 409, {}, problem)).toBeUndefined();
    expect(complaint('DELETE', 405, { allow: 'GET, POST' }, { ...problem, status: 405 })).toBeUndefined();
  });

  test('complains of a header that is not', () => {
    expect(complaint('GET', 200, { etag: '"1"' })).toBe('200 with etag, which is not documented');
    expect(complaint('POST', 409, { 'consistency-token': '1@1', 'idempotency-replayed': 'true' }, problem)).toBe(
      '409 with consistency-token,idempotency-replayed, which is not documented',
    );
    expect(complaint('DELETE', 405, { allow: 'GET', etag: '"1"' }, { ...problem, status: 405 })).toBe('405 with etag, which is not documented');
  });

  test('complains of a header that is missing', () => {
    expect(complaint('POST', 201, {})).toBe('201 without Consistency-Token');
    expect(complaint('DELETE', 405, {}, { ...problem, status: 405 })).toBe('405 without Allow');
  });
});
