import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { productModules } from '../../src/app.module.js';
import { previewOfAll } from '../../src/application.js';
import { createOpenApi } from '../../src/platform/http/openapi.js';
import { ProblemCatalogue } from '../../src/platform/http/problem.js';
import { RouteTable } from '../../src/platform/http/route-table.js';
import { assembleApplication } from '../support/application.js';

/** What a browser that looks at the document loads besides. */
const undocumented = /^\/docs\/(?!errors$)/;
const isOfTheApi = ({ path }: { path: string }) => path.startsWith('/v1/');

type Json = Record<string, unknown>;
interface Response {
  description?: string;
  headers?: Json;
  content?: Record<string, { schema?: Json }>;
}
interface Operation {
  name: string;
  path: string;
  method: string;
  summary?: string;
  operationId?: string;
  parameters?: { name: string; in: string; description?: string; required?: boolean; schema?: Json }[];
  requestBody?: { content?: Record<string, { schema?: Json }> };
  responses: Record<string, Response>;
}

let app: NestFastifyApplication;
let document: ReturnType<typeof createOpenApi>;
let operations: Operation[];

beforeAll(async () => {
  app = await assembleApplication();
  document = createOpenApi(app);
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Omit<Operation, 'name' | 'path' | 'method'>>).map(([method, operation]) => ({
      ...operation,
      name: `${method.toUpperCase()} ${path}`,
      path,
      method,
    })),
  );
});

afterAll(() => app?.close());

/** What is wrong, in words; a test expects nothing to be. */
function complaints(check: (operation: Operation, complain: (what: string) => void) => void): string[] {
  const found: string[] = [];
  for (const operation of operations) check(operation, (what) => found.push(`${operation.name}: ${what}`));
  return found;
}

describe('the OpenAPI document', () => {
  it('has every route that is served, and no other', () => {
    const served = app
      .get(RouteTable)
      .all()
      .filter(({ method, url }) => method !== 'HEAD' && method !== 'OPTIONS' && !undocumented.test(url))
      .map(({ method, url }) => `${method} ${url.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(operations.map(({ name }) => name).sort()).toEqual([...new Set(served)].sort());
    expect(operations.length).toBeGreaterThan(10);
  });

  it('is OpenAPI 3.1 with title and version', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    // As JSON it says the same: nothing in it is a class or a function.
    expect(JSON.parse(JSON.stringify(document)).paths).toEqual(JSON.parse(JSON.stringify(document.paths)));
  });

  it('sums up each operation under a name of its own', () => {
    expect(complaints((operation, complain) => {
      if (!operation.summary) complain('no summary');
      if (!operation.operationId) complain('no operationId');
    })).toEqual([]);
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('describes each parameter, and those of the path as required', () => {
    expect(complaints(({ path, parameters = [] }, complain) => {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const described = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      if (JSON.stringify(inPath.toSorted()) !== JSON.stringify(described.toSorted())) complain(`path has ${inPath}, described are ${described}`);
      for (const { name, in: place, required, schema } of parameters) {
        if (!['path', 'query', 'header'].includes(place)) complain(`${name} is in ${place}`);
        if (place === 'path' && required !== true) complain(`${name} is not required`);
        if (!schema) complain(`${name} has no schema`);
      }
      const names = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      if (new Set(names).size < names.length) complain('a parameter is there twice');
    })).toEqual([]);
  });

  it('describes the body of each write that takes one', () => {
    expect(complaints(({ method, requestBody }, complain) => {
      if (method === 'get') return;
      const bodies = Object.entries(requestBody?.content ?? {});
      if (bodies.length === 0) complain('no body');
      for (const [type, { schema }] of bodies) if (!schema || Object.keys(schema).length === 0) complain(`${type} has no schema`);
    })).toEqual([]);
  });

  it('describes each answer and its body', () => {
    expect(complaints(({ responses }, complain) => {
      const statuses = Object.keys(responses);
      if (!statuses.some((status) => /^2\d\d$/.test(status))) complain('no success');
      if (!statuses.includes('500')) complain('no 500');
      if (!statuses.some((status) => /^[45]\d\d$/.test(status))) complain('no problem');
      for (const [status, { description, content }] of Object.entries(responses)) {
        if (!/^[1-5]\d\d$/.test(status)) complain(`status ${status}`);
        if (!description) complain(`${status} has no description`);
        if (status === '304') continue;
        const bodies = Object.entries(content ?? {});
        if (bodies.length === 0) complain(`${status} has no body`);
        for (const [type, { schema }] of bodies) if (!schema || Object.keys(schema).length === 0) complain(`${status} ${type} has no schema`);
      }
    })).toEqual([]);
  });

  it('answers failures with problems, whose codes have that status', () => {
    const problems = app.get(ProblemCatalogue);
    // An order is refused for the reasons of those it asks: what they did not find is no missing order.
    const ofAnOrder = new Set(['account-not-found', 'transaction-not-found', 'reservation-not-found']);
    expect(complaints(({ responses, path }, complain) => {
      for (const [status, { content, headers }] of Object.entries(responses)) {
        // Health says in the same words that it is not well, to those who look at the status alone.
        if (!/^[45]/.test(status) || (path.startsWith('/health/') && status === '503')) continue;
        const schema = content?.['application/problem+json']?.schema as { properties?: { code?: { enum?: string[] } } } | undefined;
        const codes = schema?.properties?.code?.enum ?? [];
        if (codes.length === 0) complain(`${status} names no code`);
        for (const code of codes) {
          const expected = path.startsWith('/v1/orders') && ofAnOrder.has(code) ? 409 : problems.statusOf(code);
          if (expected !== Number(status)) complain(`${code} is no ${status}`);
        }
        if (status === '503' && !headers?.['Retry-After']) complain('503 without Retry-After');
      }
    })).toEqual([]);
  });

  it('has the headers of the contract: keys and tokens of writes, tokens of reads, ETags of single resources', () => {
    expect(complaints((operation, complain) => {
      if (!isOfTheApi(operation)) return;
      const { path, method, parameters = [], responses } = operation;
      const isRead = method === 'get';
      const isCommand = path.startsWith('/v1/commands');
      const schema = responses['200']?.content?.['application/json']?.schema as { properties?: object } | undefined;
      const isList = isRead && 'nextCursor' in (schema?.properties ?? {});
      const headers = parameters.filter((parameter) => parameter.in === 'header').map(({ name }) => name);
      const wanted = isRead ? ['Consistency-Token', ...(isList ? [] : ['If-None-Match'])] : ['Idempotency-Key', ...(isCommand ? [] : ['Prefer'])];
      for (const name of wanted) if (!headers.includes(name)) complain(`no request header ${name}`);
      if (isList && headers.includes('If-None-Match')) complain('a list takes If-None-Match');
      const waits = parameters.some(({ name, description }) => name === 'Prefer' && description?.includes('wait=<seconds>'));
      const answer = (responses['200'] ?? responses['201'])?.headers ?? {};
      const said = isList ? [] : isRead ? ['ETag', ...(isCommand ? [] : ['Consistency-Token'])] : isCommand ? [] : ['Consistency-Token', 'Idempotency-Replayed', ...(waits ? ['Preference-Applied'] : [])];
      expect([operation.name, Object.keys(answer).toSorted()]).toEqual([operation.name, said.toSorted()]);
      expect([operation.name, '304' in responses]).toEqual([operation.name, isRead && !isList]);
      if (responses['304'] && !responses['304'].headers?.ETag) complain('304 without ETag');
      if (!isRead && !isCommand && !responses['202']) complain('no 202');
    })).toEqual([]);
  });

  it('says which writes wait, and for how long', () => {
    const waiting = operations.filter(({ parameters = [] }) => parameters.some(({ name, description }) => name === 'Prefer' && description?.includes('wait=<seconds>')));
    expect(waiting.map(({ path }) => path).sort()).toEqual(['/v1/orders', '/v1/orders/{orderId}/fulfil', '/v1/orders/{orderId}/refunds']);
    for (const { responses } of waiting) expect(responses['202']!.headers).toHaveProperty('Consistency-Token');
  });

  it('has for every process the same operations', async () => {
    const names = (of: typeof document) => Object.keys(of.paths).sort();
    const preview = await previewOfAll(productModules);
    expect(names(createOpenApi(preview))).toEqual(names(document));
    await preview.close();
  });

  it('has defaults that their schemas allow', () => {
    const ajv = new Ajv2020({ strict: false });
    const wrong: string[] = [];
    const look = (value: unknown, at: string): void => {
      if (typeof value !== 'object' || value === null) return;
      const schema = value as Json;
      if ('default' in schema && !ajv.validate(schema, schema.default)) wrong.push(`${at}: ${JSON.stringify(schema.default)}`);
      for (const [key, inner] of Object.entries(value)) look(inner, `${at}/${key}`);
    };
    look(document.paths, '');
    expect(wrong).toEqual([]);
  });

  it('has schemas of JSON Schema only, whose references lead somewhere', () => {
    const found: string[] = [];
    const look = (value: unknown, at: string): void => {
      if (typeof value !== 'object' || value === null) return;
      const { $ref, type, nullable } = value as Json;
      if (typeof $ref === 'string') {
        const target = $ref.replace(/^#\//, '').split('/').reduce<unknown>((inner, key) => (inner as Json | undefined)?.[key], document);
        if (target === undefined) found.push(`${at}: ${$ref} leads nowhere`);
      }
      const types = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];
      if (at.endsWith('/schema') && type !== undefined && ![type].flat().every((one) => types.includes(one as string))) {
        found.push(`${at}: type ${JSON.stringify(type)}`);
      }
      if (nullable === true) found.push(`${at}: nullable is of OpenAPI 3.0`);
      for (const [key, inner] of Object.entries(value)) look(inner, `${at}/${key}`);
    };
    look(document, '');
    expect(found).toEqual([]);
  });
});
