import type { CommandBus } from '@nestjs/cqrs';
import { UnavailableError } from '../errors.js';
import { faultPoint } from '../fault-points.js';
import type { Outcome } from '../log/writer.js';
import type { InboxMetrics } from '../observability/metrics.js';
import type { Logger } from '../observability/logger.js';
import type { Found, WakeUps } from '../queue/wake-ups.js';
import { withoutNul } from '../sanitise.js';
import type { CommandRegistry } from './command-registry.js';
import type { ClaimedCommand, Inbox } from './inbox.js';

/**
 * What was accepted can wait, and who asks to be answered can not: little of the inbox comes into any batch of the log writer's.
 * 500 at once, and the next before these were done, made batches of 40 ms and more, beside which 1,400 orders a second were
 * accepted; with this it was over 3,000 (ADR 0003).
 */
const claimAtOnce = 64;
/** The next are claimed when no more than so many are left: as many that take long hold up nobody. */
const fewRunning = 16;
/**
 * While so many wait to be accepted, half of the time is theirs: in turns 10,400 orders a second were accepted and 6,400 without,
 * and about as many a second were done in the end (ADR 0003).
 */
const manyAccepting = 32;
const mostRestMs = 250;
/** So many run at the same time, with those that sagas ask for. */
const maxRunning = 2_000;

/**
 * Runs the commands of the inbox that are accepted or due. Each is recorded by the log writer in the commit that
 * carries its events, so running one twice does it once. One that fails is tried again later and parked in the end;
 * the others do not wait for it.
 */
export class InboxWorker {
  private running = 0;
  /** Whoever waits until fewer run. */
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly inbox: Inbox,
    private readonly registry: CommandRegistry,
    private readonly bus: CommandBus,
    private readonly wakeUps: WakeUps,
    private readonly metrics: InboxMetrics,
    private readonly logger: Logger,
  ) {}

  /** Takes commands that wait. When none is expected, it first asks when the next one falls due, which costs less. */
  async run(isExpected = true): Promise<Found> {
    await this.untilRunning(fewRunning);
    if (!isExpected) {
      const dueInMs = await this.inbox.nextDueInMs();
      if (dueInMs === undefined) return 'nothing';
      if (dueInMs > 0) return { nothingForMs: dueInMs };
    }
    const beganMs = performance.now();
    const claimed = await this.inbox.claim(claimAtOnce);
    this.take(claimed);
    const isFull = claimed.length === claimAtOnce;
    if (isFull) await this.giveWay(beganMs);
    if (!isExpected && claimed.some(({ is_late }) => is_late)) return 'late';
    return isFull ? 'more' : claimed.length > 0 ? 'some' : 'nothing';
  }

  /** Whether so many can be taken as soon as they are stored, without a look at the inbox. */
  hasRoomFor(count: number): boolean {
    return this.running + count <= maxRunning;
  }

  /** Starts commands that are claimed for this process. */
  take(claimed: readonly ClaimedCommand[]): void {
    if (claimed.length > 0) faultPoint('inbox: after claim');
    this.running += claimed.length;
    for (const command of claimed) void this.runOne(command).finally(() => this.ended());
  }

  wake(): void {
    this.wakeUps.wake('commands');
  }

  /** When what it took is done. */
  idle(): Promise<void> {
    return this.untilRunning(0);
  }

  private async untilRunning(most: number): Promise<void> {
    while (this.running > most) await new Promise<void>((resume) => this.waiting.push(resume));
  }

  private ended(): void {
    this.running--;
    for (const resume of this.waiting.splice(0)) resume();
  }

  /** After a full lot: as long as it took, while many wait to be accepted. Who has taken all that waited goes on at once. */
  private async giveWay(beganMs: number): Promise<void> {
    await this.untilRunning(fewRunning);
    if (this.inbox.accepting < manyAccepting) return;
    const restMs = Math.min(performance.now() - beganMs, mostRestMs);
    await new Promise((resume) => setTimeout(resume, restMs));
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
      if (error instanceof UnavailableError) return this.note(claimed, () => this.inbox.giveBack(claimed));
      await this.note(claimed, async () => {
        const reason = withoutNul(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
        const fate = await this.inbox.retryLater(claimed, reason);
        this.metrics.failed.inc({ fate });
        this.logger.error({ err: error, commandId, type, attempts: claimed.attempts, fate }, 'command failed');
      });
    }
  }

  /** Without a database to say so to, the command is found again when the claim has run out. */
  private async note({ command_id: commandId }: ClaimedCommand, note: () => Promise<void>): Promise<void> {
    try {
      await note();
    } catch (error) {
      this.logger.warn({ err: error, commandId }, 'a command stays claimed for now');
    }
  }
}
