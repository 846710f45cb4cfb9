import { Controller, Get, Optional, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { HealthCheckService, HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import type { FastifyReply } from 'fastify';
import { MetricsPage } from '../cluster/child.js';
import { degradedCheckpointsSql, type DegradedCheckpoint } from '../consumers/checkpoints.js';
import { ProjectionRunner, SagaRunner } from '../consumers/runners.js';
import { isMigrated } from '../database/is-migrated.js';
import { LogPool } from '../database/pools.js';
import { ReadReplicas } from '../database/read-replicas.js';
import { endpoints } from '../http/endpoint.js';
import { Lifecycle } from '../lifecycle.js';

const { ToolEndpoint } = endpoints({});

const checks = { type: 'object', additionalProperties: { type: 'object', required: ['status'], properties: { status: { enum: ['up', 'down'] } } } };
/** As @nestjs/terminus writes it. */
const health = {
  'application/json': {
    schema: {
      type: 'object',
      required: ['status', 'details'],
      properties: { status: { enum: ['ok', 'error', 'shutting_down'] }, info: checks, error: checks, details: checks },
    },
  },
};

/**
 * Live: the event loop turns. Startup: the process has come up once. Ready: it can do its work: it is neither
 * starting nor stopping, and the database is reachable and migrated. A projection or saga of its role that can not get
 * past an event is reported as degraded, and does not make the process unready: everything else goes on. Nor does a
 * replica that can not be read: the primary is read instead.
 */
@ApiTags('Operations')
@Controller()
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly lifecycle: Lifecycle,
    private readonly pool: LogPool,
    private readonly page: MetricsPage,
    @Optional() private readonly projections?: ProjectionRunner,
    @Optional() private readonly sagas?: SagaRunner,
    @Optional() private readonly replicas?: ReadReplicas,
  ) {}

  @Get('health/live')
  @ToolEndpoint({ summary: 'The event loop turns', content: health, unavailable: 'The process is about to end.' })
  live() {
    return this.health.check([]);
  }

  @Get('health/startup')
  @ToolEndpoint({ summary: 'The process has come up', content: health, unavailable: 'It has not yet, or is stopping.' })
  startup() {
    return this.health.check([() => this.checkPhase()]);
  }

  @Get('health/ready')
  @ToolEndpoint({
    summary: 'The process can do its work',
    description: 'A view that is stuck, a replica or a Redis that is lost are told of, and do not make it unready.',
    content: health,
    unavailable: 'It is starting or stopping, or the database can not be reached or is not migrated.',
  })
  ready() {
    return this.health.check([
      () => this.checkPhase(),
      () => this.checkDatabase(),
      () => this.checkProjections(),
      () => this.checkReplicas(),
    ]);
  }

  @Get('metrics')
  @ToolEndpoint({ summary: 'Metrics for Prometheus', content: { 'text/plain': { schema: { type: 'string' } } } })
  async metrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    void reply.header('content-type', this.page.contentType);
    return this.page.text();
  }

  private checkPhase(): HealthIndicatorResult {
    const indicator = this.indicators.check('process');
    const { phase } = this.lifecycle;
    return phase === 'ready' ? indicator.up({ phase }) : indicator.down({ phase });
  }

  private async checkDatabase(): Promise<HealthIndicatorResult> {
    const indicator = this.indicators.check('database');
    try {
      return (await isMigrated(this.pool)) ? indicator.up() : indicator.down({ reason: 'not migrated' });
    } catch (error) {
      return indicator.down({ reason: (error as Error).message });
    }
  }

  private async checkProjections(): Promise<HealthIndicatorResult> {
    const indicator = this.indicators.check('projections');
    try {
      const own = [this.projections, this.sagas].flatMap((runner) => runner?.names ?? []);
      const { rows } = await this.pool.query<DegradedCheckpoint>(degradedCheckpointsSql, [own]);
      return indicator.up(rows.length > 0 ? { degraded: rows } : undefined);
    } catch (error) {
      // The database check says what is wrong; this one can not tell.
      return indicator.up({ unknown: (error as Error).message });
    }
  }

  private checkReplicas(): HealthIndicatorResult {
    const replicas = this.replicas?.status() ?? [];
    return this.indicators.check('replicas').up(replicas.length > 0 ? { replicas } : undefined);
  }
}
