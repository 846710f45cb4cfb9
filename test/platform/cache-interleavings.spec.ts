import fc, { type Scheduler } from 'fast-check';
import { AnswerCache, type Answer, type SharedAnswer } from '../../src/platform/cache/answer-cache.js';
import type { Move } from '../../src/platform/consumers/consumer.js';
import { keyHash } from '../../src/platform/consumers/key-hash.js';
import type { LogPosition } from '../../src/platform/consumers/visibility.js';

const view = { name: 'things' };
const keys = { a: 0, b: 0, c: 1 } as const;
type Key = keyof typeof keys;
const partitions = 2;

/** What a snapshot of the database shows: how far the view is in each partition, and where each thing last changed. */
interface Snapshot {
  readonly positions: readonly number[];
  readonly changed: Readonly<Record<Key, number>>;
}

type Step =
  | { readonly do: 'change'; readonly keys: readonly Key[]; readonly lostFor: readonly boolean[] }
  | { readonly do: 'read'; readonly node: number; readonly key: Key; readonly token: 'none' | 'last write' | 'last read' }
  | { readonly do: 'look'; readonly node: number; readonly patient: boolean }
  | { readonly do: 'expire'; readonly node: number }
  | { readonly do: 'lose shared' };

/**
 * Two nodes with a memory each, a shared tier, a database, and news between them that come late, out of order, twice or
 * not at all. Everything that takes time, the scheduler lets happen in any order it likes. Nobody's clock plays a part.
 */
class World {
  readonly faults: string[] = [];
  private now: Snapshot = { positions: [0, 0], changed: { a: 0, b: 0, c: 0 } };
  /** All there ever were: a replica may show any of them. */
  private readonly past: Snapshot[] = [this.now];
  private readonly sharedTier = new Map<string, SharedAnswer>();
  private readonly nodes: { cache: AnswerCache; clockMs: number; heard: Record<Key, number> }[];
  private lastWrite: LogPosition[] = [];
  private lastRead: { positions: LogPosition[]; changed: Partial<Record<Key, number>> } = { positions: [], changed: {} };
  private readonly underWay: Promise<unknown>[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly options: { readonly replicas: boolean },
    sabotage: (cache: AnswerCache) => void,
  ) {
    this.nodes = [0, 1].map((index) => {
      const shared = {
        failures: 0,
        skipped: 0,
        isOpen: false,
        get: async (name: string) => {
          await this.pause(`node ${index} asks the shared tier`);
          const found = this.sharedTier.get(name);
          await this.pause(`the shared tier answers node ${index}`);
          return found;
        },
        set: async (name: string, answer: SharedAnswer) => {
          await this.pause(`node ${index} writes to the shared tier`);
          this.sharedTier.set(name, answer);
        },
        close: async () => undefined,
      };
      const node = { clockMs: 0, heard: { a: 0, b: 0, c: 0 } };
      const options = { partitions, cacheBytes: 1_000_000, cacheTtlMs: 1_000_000 };
      const cache = new AnswerCache(options, shared, () => node.clockMs);
      cache.feed.look(this.checkpoints(this.now), 0, true);
      sabotage(cache);
      return Object.assign(node, { cache });
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) this.begin(step.do, () => this.take(step));
    await this.scheduler.waitIdle();
    await Promise.all(this.underWay);
  }

  /** Once two patient looks have told each node what it has missed. */
  async staleInTheEnd(): Promise<string[]> {
    const stale: string[] = [];
    for (const [index, { cache }] of this.nodes.entries()) {
      for (let look = 0; look < 2; look++) cache.feed.look(this.checkpoints(this.now), 0, true);
      for (const key of Object.keys(keys) as Key[]) {
        const held = cache.recall(`/${key}`, []);
        if (held && Number(held.text) !== this.now.changed[key]) stale.push(`node ${index} keeps ${key} of ${held.text}`);
      }
    }
    return stale;
  }

  private async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'change':
        return this.change(step.keys, step.lostFor);
      case 'read':
        return this.read(step.node, step.key, step.token);
      case 'look': {
        const seen = this.checkpoints(this.now);
        await this.pause(`the database tells node ${step.node} how far the view is`);
        this.nodes[step.node]!.cache.feed.look(seen, 0, step.patient);
        return;
      }
      case 'expire':
        return this.forget(step.node);
      case 'lose shared':
        return this.sharedTier.clear();
    }
  }

  /** What is in memory and in the shared tier is over its time; what is being loaded is not. */
  private forget(node: number): void {
    this.nodes[node]!.clockMs += 2_000_000;
    this.nodes[node]!.cache.feed.look(this.checkpoints(this.now), this.nodes[node]!.clockMs, true);
  }

  private change(changed: readonly Key[], lostFor: readonly boolean[]): void {
    const moves: Move[] = [];
    const positions = [...this.now.positions];
    for (const partition of new Set(changed.map((key) => keys[key]))) {
      const from = positions[partition]!;
      const to = (positions[partition] = from + 1);
      const own = changed.filter((key) => keys[key] === partition);
      moves.push({ consumer: view.name, partition, from, to, changed: own.map(keyHash) });
    }
    const now = Object.fromEntries(changed.map((key) => [key, positions[keys[key]]!]));
    this.now = { positions, changed: { ...this.now.changed, ...now } };
    this.past.push(this.now);
    this.lastWrite = moves.map(({ partition, to }) => ({ partition, position: to }));
    this.nodes.forEach((node, index) => {
      if (lostFor[index]) return;
      for (const again of [0, 1]) {
        this.begin(`node ${index} hears of ${changed.join()}${again ? ' again' : ''}`, () => {
          node.cache.feed.hear(moves);
          for (const key of changed) node.heard[key] = Math.max(node.heard[key], now[key]!);
        });
      }
    });
  }

  private async read(index: number, key: Key, token: 'none' | 'last write' | 'last read'): Promise<void> {
    const { cache, heard } = this.nodes[index]!;
    const positions = token === 'none' ? [] : token === 'last write' ? this.lastWrite : this.lastRead.positions;
    const heardBefore = heard[key];
    const readBefore = this.lastRead.changed[key] ?? 0;
    const answer = await cache.find({
      url: `/${key}`,
      route: '/:key',
      views: [view],
      positions,
      load: async (): Promise<Answer> => {
        await this.pause(`node ${index} asks the database for ${key}`);
        const { positions: asOf, changed } = this.shown(positions);
        await this.pause(`the database answers node ${index}`);
        const partition = keys[key];
        return { text: String(changed[key]), etag: '', sources: [{ view: view.name, partition, key, asOf: asOf[partition]! }] };
      },
    });
    const found = Number(answer.text);
    const reached = positions.find(({ partition }) => partition === keys[key])?.position ?? 0;
    const wanted = Math.max(0, ...this.past.map(({ changed }) => changed[key]).filter((position) => position <= reached));
    if (found < wanted) this.faults.push(`${key} of ${found} for a token of ${wanted}`);
    if (!this.options.replicas && found < heardBefore) this.faults.push(`${key} of ${found} by a node that had heard of ${heardBefore}`);
    if (token !== 'last read') return;
    if (found < readBefore) this.faults.push(`${key} of ${found} after ${readBefore}`);
    const [{ partition, asOf }] = answer.sources as [Answer['sources'][number]];
    // Others of this client's reads may have ended meanwhile.
    const others = this.lastRead.positions.filter((other) => other.partition !== partition);
    const before = this.lastRead.positions.find((other) => other.partition === partition)?.position ?? 0;
    this.lastRead = {
      positions: [...others, { partition, position: Math.max(before, asOf) }],
      changed: { ...this.lastRead.changed, [key]: Math.max(this.lastRead.changed[key] ?? 0, found) },
    };
  }

  /** What a query sees: of the primary all there is, of a replica anything not older than what was waited for. */
  private shown(positions: readonly LogPosition[]): Snapshot {
    if (!this.options.replicas) return this.now;
    return this.past.find((one) => positions.every(({ partition, position }) => one.positions[partition]! >= position))!;
  }

  private checkpoints({ positions }: Snapshot) {
    return positions.map((position, partition) => ({ view: view.name, tableId: '1', partition, position }));
  }

  private pause(label: string): Promise<void> {
    return this.scheduler.schedule(Promise.resolve(), label);
  }

  private begin(label: string, work: () => void | Promise<void>): void {
    this.underWay.push(this.pause(label).then(work));
  }
}

const node = fc.constantFrom(0, 1);
const key = fc.constantFrom<Key>('a', 'b', 'c');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('change' as const), keys: fc.uniqueArray(key, { minLength: 1, maxLength: 2 }), lostFor: fc.tuple(rarely(), rarely()) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), node, key, token: fc.constantFrom<'none' | 'last write' | 'last read'>('none', 'last write', 'last read') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const), node, patient: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), node }) },
  { weight: 1, arbitrary: fc.constant({ do: 'lose shared' as const }) },
);

function rarely(): fc.Arbitrary<boolean> {
  return fc.integer({ min: 0, max: 4 }).map((n) => n === 0);
}

/** Under every order of events that is tried, nobody gets anything older than they may. */
function always(options: { replicas: boolean }, sabotage: (cache: AnswerCache) => void = () => undefined) {
  return fc.asyncProperty(fc.scheduler(), fc.array(step, { minLength: 4, maxLength: 25 }), async (scheduler, steps) => {
    const world = new World(scheduler, options, sabotage);
    await world.run(steps);
    expect([...world.faults, ...(await world.staleInTheEnd())]).toEqual([]);
  });
}

const numRuns = 1_000;

describe('however loads, changes, news and the shared tier interleave,', () => {
  test('no read is older than its token, than what its node has heard of, or than the last one of the same client', async () => {
    await fc.assert(always({ replicas: false }), { numRuns });
  });

  test('the same holds for tokens where the database that is read lags behind', async () => {
    await fc.assert(always({ replicas: true }), { numRuns });
  });

  const mutants: Record<string, (cache: AnswerCache) => void> = {
    'stores what it has loaded although it has heard of a change meanwhile': ({ feed }) => {
      feed.isCurrent = () => true;
    },
    'takes the memory to be as new as any token': ({ feed }) => {
      feed.covers = () => true;
    },
    'takes the last move it heard of for the end of all moves': ({ feed }) => {
      const { hear } = feed;
      feed.hear = (moves) => hear.call(feed, moves.map((move) => ({ ...move, from: 0 })));
    },
    'keeps what it has in memory when it hears of a change': (cache) => {
      (cache as unknown as { drop(): void }).drop = () => undefined;
    },
    'keeps what it has in memory when it has missed something': (cache) => {
      (cache as unknown as { memory: { clear(): void } }).memory.clear = () => undefined;
    },
    'joins any load that is under way': (cache) => {
      const joining = cache as unknown as { join(flight: Promise<unknown>): Promise<unknown> };
      joining.join = (flight) => flight;
    },
  };
  test.each(Object.entries(mutants))('a cache that %s is found out', async (_name, sabotage) => {
    const { failed } = await fc.check(always({ replicas: false }, sabotage), { numRuns: 20 * numRuns, endOnFailure: true });
    expect(failed).toBe(true);
  });
});
