import { Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CommandBus, CqrsModule, QueryBus } from '@nestjs/cqrs';
import { TerminusModule } from '@nestjs/terminus';
import { Registry } from 'prom-client';
import type { Config } from '../config.js';
import { Audit } from './audit/audit.js';
import { CommandGateway } from './commands/command-gateway.js';
import { CommandSteps } from './commands/command-steps.js';
import { CommandRegistry } from './commands/command-registry.js';
import { CommandsController } from './commands/commands.controller.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import { ProjectionCatalogue } from './consumers/projection-catalogue.js';
import { ProjectionRunner, SagaRunner } from './consumers/runners.js';
import { SagaCatalogue } from './consumers/saga-catalogue.js';
import { Visibility } from './consumers/visibility.js';
import { createPools, LogPool, ProjectionsPool, QueriesPool, SagasPool, WriterPool } from './database/pools.js';
import { QueryPool } from './database/query-pool.js';
import { ReadReplicas } from './database/read-replicas.js';
import { ProblemCatalogue } from './http/problem.js';
import { ProblemsController } from './http/problems.controller.js';
import { ProblemFilter } from './http/problem.filter.js';
import { QueryGateway } from './http/query-gateway.js';
import { RouteTable } from './http/route-table.js';
import { Lifecycle } from './lifecycle.js';
import { EventCatalogue } from './log/catalogue.js';
import { DatabaseClock } from './log/database-clock.js';
import { TailBuffer } from './log/tail-buffer.js';
import { LogWriter } from './log/writer.js';
import { HealthController } from './observability/health.controller.js';
import {
  CommandMetrics,
  ConsumerMetrics,
  HttpMetrics,
  InboxMetrics,
  ReplicaMetrics,
  watchPools,
  WriterMetrics,
} from './observability/metrics.js';
import type { Logger } from './observability/logger.js';
import { WakeUps } from './queue/wake-ups.js';

const tailEvents = 20_000;

/** The machinery every module builds on: it knows events, and never an account. */
@Module({})
export class PlatformModule {
  static forRoot(config: Config, databaseUrl: string, logger: Logger): DynamicModule {
    const pools = createPools(databaseUrl, config.databasePoolSize, (error) =>
      logger.warn({ err: error }, 'an idle database connection broke'),
    );
    const registry = new Registry();
    watchPools(registry, pools);
    const value = <T extends object>(instance: T) => ({ provide: instance.constructor, useValue: instance });
    const lagPool = pools.log;
    const consumerMetrics = new ConsumerMetrics(registry, lagPool);
    const onPoison = (poison: object, error: Error) =>
      logger.error({ err: error, ...poison }, 'a consumer can not get past an event');
    return {
      module: PlatformModule,
      global: true,
      imports: [CqrsModule.forRoot(), DiscoveryModule, TerminusModule.forRoot({ logger: false })],
      controllers: [CommandsController, HealthController, ProblemsController],
      providers: [
        ...Object.values(pools).map(value),
        { provide: Registry, useValue: registry },
        value(new EventCatalogue()),
        value(new ProjectionCatalogue()),
        value(new ProblemCatalogue()),
        value(new Audit()),
        value(new TailBuffer(tailEvents)),
        value(new DatabaseClock()),
        value(new WakeUps()),
        value(new RouteTable()),
        value(new Lifecycle()),
        value(new HttpMetrics(registry)),
        value(new CommandMetrics(registry)),
        CommandRegistry,
        CommandGateway,
        {
          provide: LogWriter,
          inject: [WriterPool, EventCatalogue, TailBuffer, DatabaseClock, WakeUps],
          useFactory: (
            pool: WriterPool,
            catalogue: EventCatalogue,
            tail: TailBuffer,
            clock: DatabaseClock,
            wakeUps: WakeUps,
          ) =>
            new LogWriter(pool, catalogue, tail, clock, new WriterMetrics(registry), {
              partitions: config.partitions,
              queueLimit: config.writerQueueLimit,
              stateCacheBytes: config.stateCacheBytes,
              onCommitted: () => {
                wakeUps.wake('sagas');
                wakeUps.wake('projections');
              },
            }),
        },
        {
          provide: Visibility,
          useFactory: () =>
            new Visibility(lagPool, (error) => logger.warn({ err: error }, 'could not look how far the views are')),
        },
        {
          provide: ProjectionRunner,
          inject: [ProjectionsPool, EventCatalogue, TailBuffer, Visibility, ProjectionCatalogue],
          useFactory: (
            pool: ProjectionsPool,
            catalogue: EventCatalogue,
            tail: TailBuffer,
            visibility: Visibility,
            projections: ProjectionCatalogue,
          ) =>
            new ProjectionRunner(
              pool,
              catalogue,
              tail,
              visibility,
              consumerMetrics,
              () => projections.consumers(),
              onPoison,
            ),
        },
        {
          provide: SagaRunner,
          inject: [SagasPool, EventCatalogue, TailBuffer, Visibility, SagaCatalogue],
          useFactory: (
            pool: SagasPool,
            catalogue: EventCatalogue,
            tail: TailBuffer,
            visibility: Visibility,
            sagas: SagaCatalogue,
          ) =>
            new SagaRunner(pool, catalogue, tail, visibility, consumerMetrics, () => sagas.consumers(), onPoison),
        },
        SagaCatalogue,
        CommandSteps,
        { provide: Inbox, inject: [LogPool], useFactory: (pool: LogPool) => new Inbox(pool, config.commandClaimMs) },
        {
          provide: InboxWorker,
          inject: [Inbox, CommandRegistry, CommandBus, WakeUps],
          useFactory: (inbox: Inbox, commands: CommandRegistry, bus: CommandBus, wakeUps: WakeUps) =>
            new InboxWorker(inbox, commands, bus, wakeUps, new InboxMetrics(registry, lagPool), logger),
        },
        {
          provide: ReadReplicas,
          inject: [LogPool, Visibility, ProjectionCatalogue],
          useFactory: (pool: LogPool, visibility: Visibility, projections: ProjectionCatalogue) =>
            new ReadReplicas(pool, visibility, new ReplicaMetrics(registry), logger, {
              urls: config.role === 'command' ? [] : config.readDatabaseUrls,
              poolSize: config.databasePoolSize,
              maxLagMs: config.replicaMaxLagMs,
              views: () => projections.names,
            }),
        },
        {
          provide: QueryPool,
          inject: [QueriesPool, ReadReplicas],
          useFactory: (pool: QueriesPool, replicas: ReadReplicas) => new QueryPool(pool, replicas),
        },
        {
          provide: QueryGateway,
          inject: [QueryBus, Visibility],
          useFactory: (bus: QueryBus, visibility: Visibility) => new QueryGateway(bus, visibility, config),
        },
        {
          provide: ProblemFilter,
          inject: [ProblemCatalogue, RouteTable],
          useFactory: (problems: ProblemCatalogue, routes: RouteTable) => new ProblemFilter(problems, routes, logger),
        },
      ],
      exports: [
        ...Object.values(pools).map((pool) => pool.constructor as new () => object),
        Registry,
        CqrsModule,
        EventCatalogue,
        ProjectionCatalogue,
        ProblemCatalogue,
        Audit,
        LogWriter,
        CommandGateway,
        CommandSteps,
        TailBuffer,
        QueryGateway,
        QueryPool,
      ],
    };
  }
}
