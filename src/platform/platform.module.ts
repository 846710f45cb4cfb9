import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CommandBus, CqrsModule, QueryBus } from '@nestjs/cqrs';
import { TerminusModule } from '@nestjs/terminus';
import { Registry } from 'prom-client';
import type { Config } from '../config.js';
import { Audit } from './audit/audit.js';
import { AnswerCache, type SharedAnswer } from './cache/answer-cache.js';
import { ViewNews } from './cache/view-news.js';
import { MetricsPage } from './cluster/child.js';
import { CommandGateway } from './commands/command-gateway.js';
import { CommandSteps } from './commands/command-steps.js';
import { CommandRegistry } from './commands/command-registry.js';
import { CommandsController } from './commands/commands.controller.js';
import { InboxWorker } from './commands/inbox-worker.js';
import { Inbox } from './commands/inbox.js';
import { apart, together } from './consumers/following.js';
import { ProjectionCatalogue } from './consumers/projection-catalogue.js';
import { ProjectionRunner, SagaRunner } from './consumers/runners.js';
import { SagaCatalogue } from './consumers/saga-catalogue.js';
import { Visibility } from './consumers/visibility.js';
import { createPools, LogPool, Pools, ProjectionsPool, QueriesPool, SagasPool, WriterPool } from './database/pools.js';
import { QueryPool } from './database/query-pool.js';
import { ReadReplicas } from './database/read-replicas.js';
import { hasSide, type DomainModule, type SideName } from './domain-module.js';
import { ProblemCatalogue } from './http/problem.js';
import { ProblemsController } from './http/problems.controller.js';
import { ProblemFilter } from './http/problem.filter.js';
import { QueryGateway } from './http/query-gateway.js';
import { RouteTable, type ApiControllers } from './http/route-table.js';
import { Lifecycle } from './lifecycle.js';
import { EventCatalogue } from './log/catalogue.js';
import { DatabaseClock } from './log/database-clock.js';
import { createWriter, loopsOf } from './log/lanes.js';
import { StreamReader } from './log/stream-reader.js';
import { NewEvents } from './log/new-events.js';
import { scopesOf } from './log/partition.js';
import { LogWriter } from './log/writer.js';
import { HealthController } from './observability/health.controller.js';
import {
  CommandMetrics,
  ConsumerMetrics,
  HttpMetrics,
  InboxMetrics,
  ReplicaMetrics,
  watchCache,
  watchPools,
  WriterMetrics,
} from './observability/metrics.js';
import type { Logger } from './observability/logger.js';
import { JobQueues } from './queue/job-queues.js';
import { PostgresJobs } from './queue/postgres-jobs.js';
import { QueueMetrics } from './queue/queue-metrics.js';
import { RedisJobs } from './queue/redis-jobs.js';
import { WakeUps } from './queue/wake-ups.js';

/** A process that only writes looks into a view now and then, for those who wait for what becomes of their orders. */
const queryPoolSizeOfCommands = 2;

/** The machinery every module builds on: it knows events, and never an account. */
@Module({})
export class PlatformModule {
  static async forRoot(config: Config, databaseUrl: string, logger: Logger, modules: readonly DomainModule[]): Promise<DynamicModule> {
    const [hasCommands, hasQueries] = [hasSide(config.role, 'commands'), hasSide(config.role, 'queries')];
    const queryPoolSize = hasQueries ? config.databasePoolSize : queryPoolSizeOfCommands;
    const onIdleError = (error: Error) => logger.warn({ err: error }, 'an idle database connection broke');
    const { writer, sagas, projections, ...both } = createPools(databaseUrl, queryPoolSize, onIdleError, loopsOf(config.writerLanes));
    const cache = hasQueries ? await createCache(config, logger) : undefined;
    const listening = cache && !config.redisUrls ? 1 : 0;
    const pools = new Pools({ ...both, ...(hasCommands && { writer, sagas }), ...(hasQueries && { projections }) }, listening);
    const registry = new Registry();
    watchPools(registry, pools.byJob);
    const wakeUps = new WakeUps();
    const queueMetrics = new QueueMetrics(registry);
    const jobStore = config.redisUrls ? new RedisJobs(config.redisUrls) : new PostgresJobs(databaseUrl);
    const lagPool = both.log;
    const scopes = scopesOf(config);
    const following = config.partitionsAreApart ? apart : together;
    const consumerMetrics = new ConsumerMetrics(registry, lagPool);
    const onPoison = (poison: object, error: Error) =>
      logger.error({ err: error, ...poison }, 'a consumer can not get past an event');
    const shared: Provider[] = [
      ...Object.values(pools.byJob).map(value),
      value(pools),
      { provide: Registry, useValue: registry },
      value(new MetricsPage(registry)),
      ...cataloguesOf(modules, config).map(value),
      value(new NewEvents()),
      value(wakeUps),
      value(queueMetrics),
      value(new JobQueues(jobStore, wakeUps, queueMetrics, logger)),
      value(new RouteTable(apiControllers(modules), config)),
      value(new Lifecycle()),
      value(new HttpMetrics(registry)),
      { provide: AnswerCache, useValue: cache },
      {
        provide: Visibility,
        useFactory: () =>
          new Visibility(lagPool, (error) => logger.warn({ err: error }, 'could not look how far the views are')),
      },
      {
        provide: ProblemFilter,
        inject: [ProblemCatalogue, RouteTable],
        useFactory: (problems: ProblemCatalogue, routes: RouteTable) => new ProblemFilter(problems, routes, logger),
      },
    ];
    const commands: Provider[] = [
      value(new DatabaseClock()),
      value(new CommandMetrics(registry)),
      CommandRegistry,
      CommandGateway,
      {
        provide: LogWriter,
        inject: [WriterPool, EventCatalogue, NewEvents, DatabaseClock, WakeUps],
        useFactory: (
          pool: WriterPool,
          catalogue: EventCatalogue,
          newEvents: NewEvents,
          clock: DatabaseClock,
          wakeUps: WakeUps,
        ) => {
          const metrics = new WriterMetrics(registry);
          const options = {
            partitions: config.partitions,
            queueLimit: config.writerQueueLimit,
            stateCacheBytes: config.stateCacheBytes,
            areApart: config.partitionsAreApart,
            onCommitted: () => wakeUps.wake('projections'),
          };
          return createWriter(config.writerLanes, options, (own) => new LogWriter(pool, catalogue, newEvents, clock, metrics, own));
        },
      },
      {
        provide: SagaRunner,
        inject: [SagasPool, EventCatalogue, NewEvents, Visibility, SagaCatalogue],
        useFactory: (
          pool: SagasPool,
          catalogue: EventCatalogue,
          newEvents: NewEvents,
          visibility: Visibility,
          sagas: SagaCatalogue,
        ) => {
          const runner = new SagaRunner(pool, catalogue, newEvents, visibility, consumerMetrics, () => sagas.consumers(), onPoison, following);
          consumerMetrics.watchLag('saga', () => runner.names);
          return runner;
        },
      },
      SagaCatalogue,
      CommandSteps,
      { provide: Inbox, inject: [LogPool], useFactory: (pool: LogPool) => new Inbox(pool, config.commandClaimMs, scopes) },
      {
        provide: InboxWorker,
        inject: [Inbox, CommandRegistry, CommandBus, WakeUps],
        useFactory: (inbox: Inbox, registered: CommandRegistry, bus: CommandBus, wakeUps: WakeUps) =>
          new InboxWorker(inbox, registered, bus, wakeUps, new InboxMetrics(registry, lagPool), logger),
      },
    ];
    const queries: Provider[] = [
      {
        provide: ReadReplicas,
        inject: [LogPool, Visibility, ProjectionCatalogue],
        useFactory: (pool: LogPool, visibility: Visibility, views: ProjectionCatalogue) =>
          new ReadReplicas(pool, visibility, new ReplicaMetrics(registry), logger, {
            urls: config.readDatabaseUrls,
            poolSize: config.databasePoolSize,
            maxLagMs: config.replicaMaxLagMs,
            views: () => views.names,
          }),
      },
      {
        provide: QueryPool,
        inject: [QueriesPool, ReadReplicas],
        useFactory: (pool: QueriesPool, replicas: ReadReplicas) => new QueryPool(pool, config.partitions, replicas),
      },
      StreamReader,
      {
        provide: ViewNews,
        inject: [Visibility, ProjectionCatalogue],
        useFactory: (visibility: Visibility, views: ProjectionCatalogue) => {
          const options = { databaseUrl, redisUrls: config.redisUrls, readsPrimary: config.readDatabaseUrls.length === 0 };
          const news = new ViewNews(options, lagPool, () => views.tables(), visibility, cache, logger);
          if (cache) watchCache(registry, cache, () => news.dropped);
          return news;
        },
      },
      {
        provide: ProjectionRunner,
        inject: [ProjectionsPool, EventCatalogue, NewEvents, ViewNews, ProjectionCatalogue],
        useFactory: (
          pool: ProjectionsPool,
          catalogue: EventCatalogue,
          newEvents: NewEvents,
          news: ViewNews,
          views: ProjectionCatalogue,
        ) => {
          consumerMetrics.watchLag('view', () => views.names);
          return new ProjectionRunner(pool, catalogue, newEvents, news, consumerMetrics, () => views.consumers(), onPoison, following);
        },
      },
      {
        provide: QueryGateway,
        inject: [QueryBus, Visibility],
        useFactory: (bus: QueryBus, visibility: Visibility) => new QueryGateway(bus, visibility, cache, config),
      },
    ];
    return {
      module: PlatformModule,
      global: true,
      imports: [CqrsModule.forRoot(), DiscoveryModule, TerminusModule.forRoot({ logger: false })],
      controllers: [
        HealthController,
        ...(config.serveHttp ? [ProblemsController] : []),
        ...(config.serveHttp && hasCommands ? platformControllers.commands : []),
      ],
      providers: [...shared, ...(hasCommands ? commands : []), ...(hasQueries ? queries : [])],
      exports: [
        ...Object.values(pools.byJob).map((pool) => pool.constructor as Type),
        Registry,
        CqrsModule,
        EventCatalogue,
        ProjectionCatalogue,
        ProblemCatalogue,
        Audit,
        NewEvents,
        ...(hasCommands ? [LogWriter, CommandGateway, CommandSteps] : []),
        ...(hasQueries ? [QueryGateway, QueryPool, StreamReader] : []),
      ],
    };
  }
}

/** The platform's own part of the API. */
const platformControllers: ApiControllers = { commands: [CommandsController], queries: [] };

/** Every route that some process serves comes from these. */
export function apiControllers(modules: readonly DomainModule[]): ApiControllers {
  const ofModules = (side: SideName) => modules.flatMap((module) => module[side].controllers);
  return {
    commands: [...platformControllers.commands, ...ofModules('commands')],
    queries: [...platformControllers.queries, ...ofModules('queries')],
  };
}

/** What all modules together know; every process has all of it, whatever its role. */
function cataloguesOf(modules: readonly DomainModule[], { idempotencyRetentionMs }: Config): readonly object[] {
  const events = new EventCatalogue();
  const problems = new ProblemCatalogue();
  const projections = new ProjectionCatalogue();
  const audit = new Audit(idempotencyRetentionMs);
  for (const module of modules) {
    events.add(module.events);
    problems.add(module.problems);
    projections.add(...module.projections);
    audit.add(...(module.invariants ?? []));
  }
  return [events, problems, projections, audit];
}

const value = <T extends object>(instance: T) => ({ provide: instance.constructor, useValue: instance });

/** Only where queries are answered. */
async function createCache(config: Config, logger: Logger): Promise<AnswerCache | undefined> {
  if (!config.serveHttp || config.cacheBytes === 0) return undefined;
  if (!config.cacheUrls) return new AnswerCache(config, undefined);
  const onError = (error: unknown) => logger.warn({ err: error }, 'the shared tier of the cache is left alone for a while');
  // Its clients are 444 of the 3,620 files that a process reads at its start: only who uses them waits for them.
  const { SharedTier } = await import('./cache/shared-tier.js');
  return new AnswerCache(config, new SharedTier<SharedAnswer>(config.cacheUrls, onError));
}
