import { homeOf, partitionOf } from './partition.js';
import type { Stream } from './stream.js';
import { LogWriter, type Outcome, type Write, type WriterOptions } from './writer.js';

/** How many loops there are for so many lanes, and so the most connections that they have. */
export const loopsOf = (lanes: number): number => (lanes === 1 ? 1 : lanes + 1);

/** The log writer of a process: one loop, or several, which have the queue's and the cache's limit in equal shares. */
export function createWriter(lanes: number, options: WriterOptions, create: (options: WriterOptions) => LogWriter): LogWriter | LanedWriter {
  if (lanes === 1) return create(options);
  const loops = loopsOf(lanes);
  const share: WriterOptions = {
    ...options,
    queueLimit: Math.ceil(options.queueLimit / loops),
    stateCacheBytes: Math.floor(options.stateCacheBytes / loops),
  };
  return new LanedWriter(Array.from({ length: lanes }, () => create(share)), create(share));
}

/**
 * Log writers that do not wait for each other's commits: a *lane* for each share of the partitions, by their number modulo
 * the lanes, and one more, the joint one, for commands whose partitions are of several lanes (ADR 0019, 0021).
 *
 * Each keeps states of its own. The joint one may write to any partition at any time, as a writer of another process may:
 * the lane that was overtaken finds its revision moved on, and reads what it has missed.
 */
export class LanedWriter implements Pick<LogWriter, keyof LogWriter> {
  constructor(
    private readonly lanes: readonly LogWriter[],
    private readonly joint: LogWriter,
  ) {}

  get partitions(): number {
    return this.joint.partitions;
  }

  partitionOf(partitionKey: string): number {
    return partitionOf(partitionKey, this.partitions);
  }

  /** As LogWriter has it. The same command comes to the same loop, so a second one finds the first under way there. */
  execute(write: Write): Promise<Outcome> {
    const own = this.partitionOf(write.partitionKey);
    const lane = this.laneOf(own);
    const isElsewhere = (partition: number) => this.laneOf(partition) !== lane;
    const isJoint =
      isElsewhere(homeOf(write, own, this.partitions)) ||
      write.parts?.some(({ partitionKey }) => isElsewhere(this.partitionOf(partitionKey)));
    return (isJoint ? this.joint : lane).execute(write);
  }

  /** The later of what the two know that may have it. */
  held<State>(partitionKey: string, stream: Stream<State>): ReturnType<typeof LogWriter.prototype.held<State>> {
    const own = this.laneOf(this.partitionOf(partitionKey)).held(partitionKey, stream);
    const joint = this.joint.held(partitionKey, stream);
    return own && joint ? (own.position > joint.position ? own : joint) : (own ?? joint);
  }

  async close(): Promise<void> {
    await Promise.all([...this.lanes, this.joint].map((writer) => writer.close()));
  }

  private laneOf(partition: number): LogWriter {
    return this.lanes[partition % this.lanes.length]!;
  }
}
