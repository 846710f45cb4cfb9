import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { hasSide, roleOf, type Role, type SideName } from '../domain-module.js';

interface Route {
  readonly method: string;
  /** With its parameters as Nest and Fastify write them: `/v1/orders/:orderId`. */
  readonly url: string;
}

interface KnownRoute extends Route {
  readonly pattern: RegExp;
}

/** The API's controllers by side, whichever of them this process has. */
export type ApiControllers = Readonly<Record<SideName, readonly Type[]>>;

/**
 * The routes of the API: those that this process serves, for holding the OpenAPI document to them, and those that
 * others serve, so that a request that comes to the wrong process is told where it belongs. Both for `405 Allow`.
 */
export class RouteTable {
  private readonly served: KnownRoute[] = [];
  private readonly elsewhere: (KnownRoute & { readonly role: Role })[];

  constructor(controllers: ApiControllers, here: { readonly role: Role; readonly serveHttp: boolean }) {
    const sides = (['commands', 'queries'] as const).filter((side) => !here.serveHttp || !hasSide(here.role, side));
    this.elsewhere = sides.flatMap((side) =>
      controllers[side].flatMap(routesOf).map((route) => ({ ...route, pattern: patternOf(route.url), role: roleOf[side] })),
    );
  }

  watch(fastify: FastifyInstance): void {
    fastify.addHook('onRoute', ({ method, url }) => {
      if (url.includes('*')) return;
      for (const one of [method].flat()) this.served.push({ method: one, url, pattern: patternOf(url) });
    });
  }

  methodsOf(path: string): string[] {
    const routes = [...this.served, ...this.elsewhere].filter(({ pattern }) => pattern.test(path));
    return [...new Set(routes.map(({ method }) => method))].sort();
  }

  /** The role that serves a request which this process does not. */
  roleServing(method: string, path: string): Role | undefined {
    return this.elsewhere.find((route) => route.method === method && route.pattern.test(path))?.role;
  }

  all(): Route[] {
    return this.served.map(({ method, url }) => ({ method, url }));
  }
}

/** A controller's routes as its decorators say them, without an instance of it. HEAD comes with each GET. */
export function routesOf(controller: Type): Route[] {
  const prefix = Reflect.getMetadata(PATH_METADATA, controller) as string;
  const prototype = controller.prototype as Record<string, object>;
  return new MetadataScanner().getAllMethodNames(prototype).flatMap((name) => {
    const path = Reflect.getMetadata(PATH_METADATA, prototype[name]!) as string | undefined;
    if (path === undefined) return [];
    const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, prototype[name]!) as RequestMethod];
    const url = `/${prefix}/${path}`.replaceAll(/\/+/g, '/').replace(/\/$/, '');
    return (method === 'GET' ? ['GET', 'HEAD'] : [method]).map((one) => ({ method: one, url }));
  });
}

function patternOf(url: string): RegExp {
  return new RegExp(`^${url.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll(/:\w+/g, '[^/]+')}$`);
}
