import type { CommandBus } from '@nestjs/cqrs';
import { UnavailableError } from '../errors.js';
import type { Outcome } from '../log/writer.js';
import type { InboxMetrics } from '../observability/metrics.js';
import type { Logger } from '../observability/logger.js';
import { withoutNul } from '../sanitise.js';
import type { CommandRegistry } from './command-registry.js';
import type { ClaimedCommand, Inbox } from './inbox.js';

const claimAtOnce = 500;

/**
 * Runs the commands of the inbox that are accepted or due. Each is recorded by the log writer in the commit that
 * carries its events, so running one twice does it once. One that fails is tried again later and parked in the end;
 * the others do not wait for it.
 */
export class InboxWorker {
  constructor(
    private readonly inbox: Inbox,
    private readonly registry: CommandRegistry,
    private readonly bus: CommandBus,
    private readonly metrics: InboxMetrics,
    private readonly logger: Logger,
  ) {}

  /** True when there is more to do. */
  async run(): Promise<boolean> {
    const claimed = await this.inbox.claim(claimAtOnce);
    await Promise.all(claimed.map((command) => this.runOne(command)));
    return claimed.length === claimAtOnce;
  }

  private async runOne(claimed: ClaimedCommand): Promise<void> {
    const { command_id: commandId, type, payload, metadata, fingerprint } = claimed;
    try {
      const command = this.registry.find(type);
      if (!command) throw new Error(`no module of this node knows commands of type ${type}`);
      const envelope = { commandId, metadata, record: { fingerprint } };
      await this.bus.execute<Outcome>(new command(payload, envelope));
      this.metrics.executed.inc();
    } catch (error) {
      if (error instanceof UnavailableError) return this.giveBack(claimed);
      const reason = withoutNul(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      const fate = await this.inbox.retryLater(claimed, reason);
      this.metrics.failed.inc({ fate });
      this.logger.error({ err: error, commandId, type, attempts: claimed.attempts, fate }, 'command failed');
    }
  }

  /** Nobody's fault. Without a database to say so to, the command is found again when the claim has run out. */
  private async giveBack(claimed: ClaimedCommand): Promise<void> {
    try {
      await this.inbox.giveBack(claimed);
    } catch (error) {
      this.logger.warn({ err: error, commandId: claimed.command_id }, 'a command stays claimed for now');
    }
  }
}
