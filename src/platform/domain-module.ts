import type { DynamicModule, Provider, Type } from '@nestjs/common';
import type { Config } from '../config.js';
import type { Invariant } from './audit/audit.js';
import type { Projection } from './consumers/projection.js';
import type { ProblemKinds } from './http/problem.js';
import type { EventModule } from './log/stream.js';

/** What a process that has one of the two sides loads for it. */
interface Side {
  readonly controllers: readonly Type[];
  readonly providers: readonly Provider[];
}

/** A domain module, as it says once what it is about and which side loads what. */
export interface DomainModule {
  readonly name: string;
  /** Known to every process: commands and sagas decide on events, projections and the audit read them. */
  readonly events: EventModule;
  readonly problems: ProblemKinds;
  readonly projections: readonly Projection[];
  /** What must always be true of its tables, besides what is so of every module's. */
  readonly invariants?: readonly Invariant[];
  /** Handlers of commands, sagas, and the routes that write. */
  readonly commands: Side;
  /** Handlers of queries, and the routes that read. */
  readonly queries: Side;
}

export type Role = Config['role'];
export type SideName = 'commands' | 'queries';

export const roleOf = { commands: 'command', queries: 'query' } as const satisfies Record<SideName, Role>;

export function hasSide(role: Role, side: SideName): boolean {
  return role === 'all' || role === roleOf[side];
}

/** The module as Nest loads it in a process of this role. A pure worker has no routes. */
export function nestModule(module: DomainModule, { role, serveHttp }: Pick<Config, 'role' | 'serveHttp'>): DynamicModule {
  const sides = (['commands', 'queries'] as const).filter((side) => hasSide(role, side)).map((side) => module[side]);
  // Nest tells modules apart by their class, and names it when something is missing.
  const { [module.name]: NestModule } = { [module.name]: class {} };
  return {
    module: NestModule!,
    controllers: serveHttp ? sides.flatMap(({ controllers }) => controllers) : [],
    providers: sides.flatMap(({ providers }) => providers),
  };
}
