import type { FastifyInstance } from 'fastify';

interface Route {
  readonly method: string;
  readonly url: string;
  readonly pattern: RegExp;
}

/** The routes this process serves: for `405 Allow`, and for holding the OpenAPI document to them. */
export class RouteTable {
  private readonly routes: Route[] = [];

  watch(fastify: FastifyInstance): void {
    fastify.addHook('onRoute', ({ method, url }) => {
      if (url.includes('*')) return;
      const pattern = new RegExp(`^${url.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll(/:\w+/g, '[^/]+')}/?$`);
      for (const one of [method].flat()) this.routes.push({ method: one, url, pattern });
    });
  }

  methodsOf(path: string): string[] {
    return [...new Set(this.routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].sort();
  }

  all(): { method: string; url: string }[] {
    return this.routes.map(({ method, url }) => ({ method, url }));
  }
}
