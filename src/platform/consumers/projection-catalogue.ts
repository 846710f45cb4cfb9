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

  /** The table of each view. */
  tables(): { name: string; table: string }[] {
    return [...this.projections.values()].map(({ name, table }) => ({ name, table }));
  }

  find(name: string): Projection | undefined {
    return this.projections.get(name);
  }

  consumers(): Consumer[] {
    return [...this.projections.values()].map((projection) => ({
      name: projection.name,
      lookUp: (events) => projection.lookUp?.(events, projection.table),
      consume: (events, found) => ({ statements: projection.project(events, projection.table, found) }),
      changedKeys: projection.changedKeys?.bind(projection),
    }));
  }
}
