import type { Consumer } from './consumer.js';
import type { Projection } from './projection.js';

/** The projections of all modules. */
export class ProjectionCatalogue {
  private readonly projections = new Map<string, Projection>();

  add(...projections: readonly Projection[]): void {
    for (const projection of projections) this.projections.set(projection.name, projection);
  }

  get names(): string[] {
    return [...this.projections.keys()];
  }

  find(name: string): Projection | undefined {
    return this.projections.get(name);
  }

  consumers(): Consumer[] {
    return [...this.projections.values()].map((projection) => ({
      name: projection.name,
      consume: (events, sql) => projection.project(events, sql, projection.table),
    }));
  }
}
