import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Answer } from '../support/client.js';
import type { Request } from './requests.js';
import type { Schema } from './values.js';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema?: object;
}

interface Response {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

/** An OpenAPI document, as far as it is looked at. */
export interface Document {
  /** Of answers that are no operation's: an address that is none, a method that is not taken. */
  readonly components?: { readonly responses?: Readonly<Record<string, Response>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, {
    readonly parameters?: readonly Parameter[];
    readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema: object }>> };
    readonly responses: Readonly<Record<string, Response>>;
  }>>>>;
}

/** A route of the document. */
export interface Operation {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  /** Names of what its path has in braces, in their order. */
  readonly parameters: readonly string[];
  readonly query: readonly Parameter[];
  readonly bodySchema?: Schema;
  readonly takesLines: boolean;
  readonly responses: Readonly<Record<string, Response>>;
  readonly weight: number;
}

/** For tools and browsers; of what a browser loads to show the document, the document says nothing. */
const plainPattern = /^\/(health\/\w+|metrics|docs(\/.*|-json|-yaml)?|openapi\.json)\/?$/;
const usualWeight = 4;
const plainWeight = 1;
/** What others depend on, and what makes an end of it. */
const weights: Readonly<Record<string, number>> = {
  'POST /v1/products': 12,
  'POST /v1/orders': 12,
  'POST /v1/ledgers/{ledger}/transactions': 12,
  'POST /v1/ledgers/{ledger}/transactions/{transactionId}/capture': 8,
  'POST /v1/orders/{orderId}/fulfil': 8,
  'POST /v1/orders/{orderId}/refunds': 12,
  'POST /v1/products/{productId}/archive': 2,
};

export function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { parameters = [], requestBody, responses }]): Operation => {
      const bodySchema = requestBody?.content?.['application/json']?.schema as Schema | undefined;
      const name = `${method.toUpperCase()} ${path}`;
      return {
        name,
        method: method.toUpperCase(),
        path,
        parameters: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!),
        query: parameters.filter((parameter) => parameter.in === 'query'),
        takesLines: requestBody?.content?.['application/x-ndjson'] !== undefined,
        responses,
        weight: weights[name] ?? (plainPattern.test(path) ? plainWeight : usualWeight),
        ...(bodySchema && { bodySchema }),
      };
    }),
  );
}

/** What every route may answer with that the request has not got to: of the platform, and for the document to say once. */
const beforeAnyRoute = new Set([400, 404, 405, 408, 413, 414, 415, 431]);
const problemFields = ['type', 'title', 'status', 'detail', 'code'];
/** A system that is well is behind now and then; it is never without its database, and none of its nodes is stopping. */
const unavailableCodes = new Set(['projection-behind', 'overloaded']);
const leak = /\n\s+at |node_modules|\.ts:\d|pg-pool|\bSQLSTATE\b/i;

/**
 * Headers that the document need not name for each answer: those of the message and the connection (RFC 9110, RFC 9112),
 * those that it describes once, for every answer, and what a node says to the load balancer, which keeps it to itself.
 */
const ofEveryAnswer = new Set([
  ...['content-type', 'content-length', 'date', 'connection', 'keep-alive', 'transfer-encoding'],
  ...['request-id', 'cache-control', 'content-security-policy', 'referrer-policy', 'x-content-type-options', 'x-frame-options'],
  'x-accel-redirect',
]);

/** The document as a judge of answers. */
export class Contract {
  private readonly ajv = new Ajv2020({ strict: false, allErrors: false });
  private readonly validators = new Map<object, ValidateFunction>();
  private readonly patterns: { readonly operation: Operation; readonly pattern: RegExp }[];

  readonly operations: readonly Operation[];

  constructor(private readonly document: Document) {
    const operations = (this.operations = operationsOf(document));
    this.ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    this.patterns = operations
      .map((operation) => ({ operation, pattern: new RegExp(`^${operation.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`) }))
      // Where two fit, a router takes the one that says more.
      .sort((a, b) => a.operation.parameters.length - b.operation.parameters.length);
  }

  /** The route that a request is for, whatever else is wrong with it. */
  operationOf({ method, path }: Request): Operation | undefined {
    const asked = method === 'HEAD' ? 'GET' : method;
    const raw = path.split(/[?#]/, 1)[0]!;
    return this.patterns.find(({ operation, pattern }) => operation.method === asked && (pattern.test(raw) || pattern.test(decoded(raw))))?.operation;
  }

  /** What is wrong with an answer; nothing is. */
  complaint(request: Request, answer: Answer): string | undefined {
    const { status, text } = answer;
    if (leak.test(text) && !plainPattern.test(request.path.split('?', 1)[0]!)) return `a stack or the like: ${text.slice(0, 300)}`;
    if (status === 503 && !unavailableCodes.has(String(answer.body.code))) return `503 ${text.slice(0, 300)}`;
    if (status >= 500 && status !== 503) return `${status} ${text.slice(0, 300)}`;
    const operation = this.operationOf(request);
    const documented = operation?.responses[status];
    if (documented) return this.complaintOf(request, answer, documented);
    if (operation) return `${status} is not documented: ${text.slice(0, 300)}`;
    if (plainPattern.test(decoded(request.path.split('?', 1)[0]!))) return complaintOfPlain(request, answer);
    if (!beforeAnyRoute.has(status)) return `${status} of no route: ${text.slice(0, 300)}`;
    const { NotFound, MethodNotAllowed } = this.document.components?.responses ?? {};
    const { headers = {} } = (status === 405 ? MethodNotAllowed : NotFound) ?? {};
    return complaintOfProblem(request, answer) ?? complaintOfHeaders(answer, headers);
  }

  private complaintOf(request: Request, answer: Answer, { content, headers = {} }: Response): string | undefined {
    const { status } = answer;
    const unnamed = complaintOfHeaders(answer, headers);
    if (unnamed) return unnamed;
    if (status >= 400 && !content?.['application/json']) {
      const complaint = complaintOfProblem(request, answer);
      if (complaint) return complaint;
    }
    const missing = requiredHeaders(request, status).filter((name) => Object.keys(headers).includes(name) && answer.headers[name.toLowerCase()] === undefined);
    if (missing.length > 0) return `${status} without ${missing.join()}`;
    if (request.method === 'HEAD' || status === 304) return answer.text === '' ? undefined : `${status} with a body: ${answer.text.slice(0, 100)}`;
    const type = mediaType(answer);
    const schema = content?.[type]?.schema;
    if (!schema) return `${status} is of type ${type}`;
    if (!type.endsWith('json')) return undefined;
    let body: unknown;
    try {
      body = JSON.parse(answer.text);
    } catch {
      return `${status} is no JSON: ${answer.text.slice(0, 300)}`;
    }
    const validate = this.validator(schema);
    return validate(body) ? undefined : `${status} ${this.ajv.errorsText(validate.errors)}: ${answer.text.slice(0, 500)}`;
  }

  private validator(schema: object): ValidateFunction {
    const known = this.validators.get(schema) ?? this.ajv.compile(schema);
    this.validators.set(schema, known);
    return known;
  }
}

/** Those of the contract that hold of every such answer; the document says which answers have them at all. */
function requiredHeaders({ method }: Request, status: number): string[] {
  if (status === 503) return ['Retry-After'];
  if (status === 202) return ['Location'];
  return status < 300 && method !== 'GET' && method !== 'HEAD' ? ['Consistency-Token'] : [];
}

/** A header that is sent, and that the document has no word of. */
function complaintOfHeaders({ status, headers }: Answer, described: Readonly<Record<string, unknown>>): string | undefined {
  const known = new Set(Object.keys(described).map((name) => name.toLowerCase()));
  const unnamed = Object.keys(headers).filter((name) => !known.has(name) && !ofEveryAnswer.has(name));
  return unnamed.length > 0 ? `${status} with ${unnamed.join()}, which is not documented` : undefined;
}

function complaintOfProblem(request: Request, answer: Answer): string | undefined {
  const { status, body, text } = answer;
  if (mediaType(answer) !== 'application/problem+json') return `${status} is of type ${mediaType(answer)}: ${text.slice(0, 300)}`;
  if (request.method === 'HEAD') return undefined;
  const missing = problemFields.filter((field) => !(field in body));
  if (missing.length > 0) return `${status} without ${missing.join()}: ${text.slice(0, 300)}`;
  if (body.status !== status) return `${status} says ${body.status}`;
  if (status === 405 && !answer.headers.allow) return '405 without Allow';
  return undefined;
}

function complaintOfPlain(request: Request, answer: Answer): string | undefined {
  if (answer.status < 400) return undefined;
  return beforeAnyRoute.has(answer.status) ? complaintOfProblem(request, answer) : `${answer.status} ${answer.text.slice(0, 300)}`;
}

function mediaType({ headers }: Answer): string {
  return String(headers['content-type']).split(';', 1)[0]!;
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
