import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DiscoveryService } from '@nestjs/core';
import { productModules } from '../../src/app.module.js';
import { InboxWorker } from '../../src/platform/commands/inbox-worker.js';
import { CommandGateway } from '../../src/platform/commands/command-gateway.js';
import { ProjectionRunner, SagaRunner } from '../../src/platform/consumers/runners.js';
import { ProjectionsPool, QueriesPool, SagasPool, WriterPool } from '../../src/platform/database/pools.js';
import { hasSide, roleOf, type Role } from '../../src/platform/domain-module.js';
import { QueryGateway } from '../../src/platform/http/query-gateway.js';
import { RouteTable, routesOf } from '../../src/platform/http/route-table.js';
import { Lifecycle } from '../../src/platform/lifecycle.js';
import { LogWriter } from '../../src/platform/log/writer.js';
import { apiControllers } from '../../src/platform/platform.module.js';
import { assembleApplication } from '../support/application.js';

/** Where @nestjs/cqrs marks what a class handles. */
const marks = { commands: '__commandHandler__', sagas: '__saga__', queries: '__queryHandler__' };

/** Served by every process, and no part of what a role is for. */
const always = /^\/(health\/|metrics$)/;
const documents = /^\/(docs(\/|$|-)|openapi\.json$)/;

function loaded(app: NestFastifyApplication) {
  const discovery = app.get(DiscoveryService, { strict: false });
  const classes = discovery.getProviders().flatMap(({ metatype }) => (typeof metatype === 'function' ? [metatype] : []));
  const marked = (mark: string) => classes.filter((one) => Reflect.hasMetadata(mark, one)).map(({ name }) => name);
  return {
    commands: marked(marks.commands),
    sagas: marked(marks.sagas),
    queries: marked(marks.queries),
    controllers: discovery.getControllers().map(({ metatype }) => metatype as object),
    has: (provider: object) => discovery.getProviders().some(({ token }) => token === provider),
    routes: app.get(RouteTable).all().map(({ method, url }) => `${method} ${url}`),
  };
}

const commandMachinery = [LogWriter, CommandGateway, InboxWorker, SagaRunner, WriterPool, SagasPool];
const queryMachinery = [QueryGateway, ProjectionRunner, ProjectionsPool];
const api = apiControllers(productModules);
const routesOfSide = (side: 'commands' | 'queries') => api[side].flatMap(routesOf).map(({ method, url }) => `${method} ${url}`);

describe.each(['all', 'command', 'query'] satisfies Role[])('A process with ROLE=%s', (role) => {
  const [writes, reads] = [hasSide(role, 'commands'), hasSide(role, 'queries')];
  let app: NestFastifyApplication;
  let has: ReturnType<typeof loaded>;

  beforeAll(async () => {
    app = await assembleApplication({ ROLE: role });
    has = loaded(app);
  });

  afterAll(() => app?.close());

  test(`${writes ? 'loads' : 'does not load'} handlers of commands, sagas and the routes that write`, () => {
    expect([has.commands.length > 0, has.sagas.length > 0]).toEqual([writes, writes]);
    expect(api.commands.map((one) => has.controllers.includes(one))).toEqual(api.commands.map(() => writes));
    expect(commandMachinery.map((one) => has.has(one))).toEqual(commandMachinery.map(() => writes));
  });

  test(`${reads ? 'loads' : 'does not load'} handlers of queries and the routes that read`, () => {
    expect(has.queries.length > 0).toBe(reads);
    expect(api.queries.map((one) => has.controllers.includes(one))).toEqual(api.queries.map(() => reads));
    expect(queryMachinery.map((one) => has.has(one))).toEqual(queryMachinery.map(() => reads));
    // Whoever waits for an order's verdict looks into a view, also where no query is handled.
    expect(has.has(QueriesPool)).toBe(true);
  });

  test('serves the routes of its sides as their controllers say them, and health and metrics', () => {
    const served = has.routes.filter((route) => {
      const url = route.split(' ')[1]!;
      return !always.test(url) && !documents.test(url) && !route.startsWith('OPTIONS ');
    });
    const expected = [...(writes ? routesOfSide('commands') : []), ...(reads ? routesOfSide('queries') : [])];
    expect([...new Set(served)].sort()).toEqual(expected.sort());
    expect(has.routes).toEqual(expect.arrayContaining(['GET /health/live', 'GET /health/ready', 'GET /health/startup', 'GET /metrics']));
  });

  test('says of the routes of the other side which role serves them', async () => {
    app.get(Lifecycle).phase = 'ready';
    const notServed = async (method: 'GET' | 'HEAD' | 'POST', url: string): Promise<unknown> => {
      const answer = await app.inject({ method, url });
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([404, 'application/problem+json; charset=utf-8']);
      return answer.json();
    };
    const problem = (detail: string) => ({
      type: '/docs/errors#not-served-here',
      title: 'Processes of another role serve this route',
      status: 404,
      detail,
      code: 'not-served-here',
    });
    if (!writes) {
      const detail = 'POST /v1/ledgers/l/accounts/a/close is served by processes with ROLE=command or all that serve HTTP';
      expect(await notServed('POST', '/v1/ledgers/l/accounts/a/close?x=1')).toEqual(problem(detail));
    }
    if (!reads) {
      const detail = 'GET /v1/skus/some is served by processes with ROLE=query or all that serve HTTP';
      expect(await notServed('GET', '/v1/skus/some')).toEqual(problem(detail));
      // With a body here, which node:http leaves out.
      expect(await notServed('HEAD', '/v1/skus/some')).toMatchObject({ code: 'not-served-here' });
    }
    for (const [side, isHere] of [['commands', writes], ['queries', reads]] as const) {
      const roles = api[side].flatMap(routesOf).map(({ method, url }) => app.get(RouteTable).roleServing(method, url));
      expect(new Set(roles)).toEqual(new Set([isHere ? undefined : roleOf[side]]));
    }
  });

  test('knows of every route which methods it takes, wherever that is served', async () => {
    const wrong = await app.inject({ method: 'DELETE', url: '/v1/orders' });
    expect([wrong.statusCode, wrong.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    // With a slash too many it is no route of anybody's, and a 405 would say that it takes what was sent.
    for (const url of ['/v1/nothing', '/v1/orders/']) expect((await app.inject({ method: 'GET', url })).json().code).toBe('not-found');
  });

  test('describes the whole API: a load balancer may ask any process for the document', async () => {
    const { paths } = (await app.inject({ method: 'GET', url: '/openapi.json' })).json();
    const described = Object.entries(paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    const all = [...routesOfSide('commands'), ...routesOfSide('queries')].filter((route) => !route.startsWith('HEAD '));
    // What is for tools is of every process, and the routes spec has it.
    expect(described.filter((route) => route.includes(' /v1/')).sort()).toEqual(all.sort());
  });
});

describe.each(['all', 'command', 'query'] satisfies Role[])('A pure worker with ROLE=%s', (role) => {
  let app: NestFastifyApplication;

  beforeAll(async () => {
    app = await assembleApplication({ ROLE: role, SERVE_HTTP: 'false' });
    app.get(Lifecycle).phase = 'ready';
  });

  afterAll(() => app?.close());

  test('serves health and metrics only, and says of the rest who does', async () => {
    const routes = app.get(RouteTable).all();
    expect(routes.filter(({ url }) => !always.test(url))).toEqual([]);
    expect((await app.inject({ method: 'GET', url: '/health/live' })).statusCode).toBe(200);
    for (const [method, url, serving] of [['POST', '/v1/orders', 'command'], ['GET', '/v1/orders', 'query']] as const) {
      const { statusCode, ...answer } = await app.inject({ method, url });
      const detail = `${method} ${url} is served by processes with ROLE=${serving} or all that serve HTTP`;
      expect([statusCode, answer.json()]).toEqual([404, expect.objectContaining({ code: 'not-served-here', detail })]);
    }
  });

  test('loads what it works with', () => {
    const has = loaded(app);
    expect([has.commands.length > 0, has.sagas.length > 0, has.queries.length > 0]).toEqual([hasSide(role, 'commands'), hasSide(role, 'commands'), hasSide(role, 'queries')]);
  });
});
