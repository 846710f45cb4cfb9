import fc from 'fast-check';
import { type Acquaintance, pick, type Thing } from './acquaintance.js';
import { type Attack, attackedValue, attacksOn, jsonOf } from './attacks.js';
import type { Operation } from './contract.js';
import { type Schema, valuesOf, type Words } from './values.js';

/** What goes over the wire. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
}

/** A request before it is known what there is to ask for. */
export interface Plan {
  readonly operation: Operation;
  /** Draws of a server, of something known, of a token, an ETag or a cursor. */
  readonly server: number;
  readonly thing: number;
  readonly other: number;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
  readonly lines: boolean;
  readonly manners: Manners;
  readonly attacks: readonly Attack[];
}

/** Headers of those who mean well. */
interface Manners {
  readonly key?: string;
  readonly prefer?: string;
  readonly token?: boolean;
  readonly known?: boolean;
  readonly actor?: string;
  readonly traceparent?: string;
  readonly accept?: string;
}

const draw = fc.nat({ max: 10_000 });
const manners: fc.Arbitrary<Manners> = fc.record(
  {
    key: fc.nat({ max: 400 }).map((n) => `key-${n}`),
    prefer: fc.constantFrom('respond-async', 'wait=5', 'wait=5', 'wait=0'),
    token: fc.boolean(),
    known: fc.boolean(),
    actor: fc.constant('ann'),
    traceparent: fc.constant('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
    accept: fc.constantFrom('application/json', '*/*'),
  },
  { requiredKeys: [] },
);

/** Any request for one of the operations: as the document describes it, or with something wrong about it. */
export function plansFor(operations: readonly Operation[], words: Words): fc.Arbitrary<Plan> {
  const plans = operations.map((operation) => {
    const { bodySchema } = operation;
    return fc.record({
      operation: fc.constant(operation),
      server: draw,
      thing: draw,
      other: draw,
      query: queriesOf(operation, words),
      body: bodySchema ? valuesOf(bodySchema, words) : fc.constant(undefined),
      lines: operation.takesLines ? fc.boolean() : fc.constant(false),
      manners: fc.oneof({ weight: 2, arbitrary: fc.constant<Manners>({}) }, { weight: 1, arbitrary: manners }),
      attacks: attacksOn({ takesBody: bodySchema !== undefined }),
    });
  });
  return fc.oneof(...plans.map((arbitrary, index) => ({ arbitrary, weight: operations[index]!.weight })));
}

function queriesOf({ query }: Operation, words: Words): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const values = Object.fromEntries(query.map(({ name, schema }) => [name, valuesOf(schema as Schema, words, name)]));
  const all = fc.record(values, { requiredKeys: query.filter(({ required }) => required).map(({ name }) => name) });
  const few = fc.record(values, { requiredKeys: [] }).map((given) => Object.fromEntries(Object.entries(given).slice(0, 1)));
  return fc.oneof(all, few);
}

/** The request that a plan makes of what is known now, and the parameters in its path. */
export function requestOf(plan: Plan, known: Acquaintance): { request: Request; parameters: Thing } {
  const { operation, attacks } = plan;
  const parameters = known.find(operation.parameters, plan.thing) ?? {};
  const given = Object.fromEntries(operation.parameters.map((name) => [name, parameters[name] ?? `no-${name}`]));
  let method = operation.method;
  const headers = wellMeantHeaders(plan, known);
  let body: Request['body'] = bodyOf(plan);
  if (body !== undefined) headers['content-type'] = plan.lines ? 'application/x-ndjson' : 'application/json';
  for (const attack of attacks) {
    if (attack.on === 'method') method = attack.method;
    else if (attack.on === 'header') headers[attack.name] = attack.value;
    else if (attack.on === 'body') body = attack.body;
    else if (attack.on === 'text' && typeof body === 'string') body = spliced(body, attack);
    else if (attack.on === 'type') {
      if (attack.type === null) delete headers['content-type'];
      else headers['content-type'] = attack.type;
    }
  }
  return { request: { method, path: addressOf(plan, given, known), headers, ...(body !== undefined && { body }) }, parameters: given };
}

function wellMeantHeaders({ manners, other }: Plan, known: Acquaintance): Record<string, string | string[]> {
  const { key, prefer, token, known: isKnown, ...rest } = manners;
  const headers: Record<string, string | string[]> = { ...rest };
  if (key !== undefined) headers['idempotency-key'] = key;
  if (prefer !== undefined) headers.prefer = prefer;
  const [last, etag] = [pick(known.tokens, other), pick(known.etags, other)];
  if (token && last !== undefined) headers['consistency-token'] = last;
  if (isKnown && etag !== undefined) headers['if-none-match'] = etag;
  return headers;
}

function bodyOf({ operation, body, lines, attacks }: Plan): string | undefined {
  if (!operation.bodySchema) return undefined;
  const value = attacks.reduce(attackedValue, body);
  if (lines && Array.isArray(value)) return value.map((item) => jsonOf(item)).join('\n');
  return jsonOf(value);
}

function addressOf({ operation, query, other, attacks }: Plan, given: Thing, known: Acquaintance): string {
  const names = operation.parameters;
  const changed = Object.fromEntries(names.map((name) => [name, encodeURIComponent(given[name]!)]));
  for (const attack of attacks) if (attack.on === 'parameter' && names.length > 0) changed[names[attack.at % names.length]!] = attack.text;
  let path = operation.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => changed[name]!);
  for (const attack of attacks) if (attack.on === 'path') path = spliced(path, { at: attack.at, cut: attack.at % 3, text: attack.text });
  const cursor = pick(known.cursorsOf(operation.name), other);
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const text = name === 'cursor' ? cursor : String(value);
    return text === undefined ? [] : [`${name}=${encodeURIComponent(text.toWellFormed())}`];
  });
  for (const attack of attacks) if (attack.on === 'query') pairs.splice(attack.at % (pairs.length + 1), attack.at % 2, attack.text);
  const address = pairs.length > 0 ? `${path}?${pairs.join('&')}` : path;
  // A request line that starts otherwise is no address of a server's own.
  return address.startsWith('/') || address === '*' ? address : `/${address}`;
}

function spliced(text: string, { at, cut, text: inserted }: { at: number; cut: number; text: string }): string {
  const from = at % (text.length + 1);
  return text.slice(0, from) + inserted + text.slice(from + cut);
}

/** A request as somebody would repeat it by hand; long texts in it are cut for reading only. */
export function described({ method, path, headers, body }: Request): string {
  const text = Buffer.isBuffer(body) ? `bytes ${body.toString('hex')}` : body;
  const short = (long: string) => (long.length > 1_000 ? `${long.slice(0, 300)}… (${long.length} characters)` : long);
  return [`${method} ${short(path)}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${short(JSON.stringify(value))}`), '', text === undefined ? '(no body)' : short(text)].join('\n    ');
}
