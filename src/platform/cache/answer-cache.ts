import { LRUCache } from 'lru-cache';
import { keyHash } from '../consumers/key-hash.js';
import type { LogPosition } from '../consumers/visibility.js';
import { ChangeFeed, type Source } from './change-feed.js';
import type { SharedTier } from './shared-tier.js';

/** What a single resource is answered with. */
export interface Answer {
  readonly text: string;
  readonly etag: string;
  readonly sources: readonly Source[];
  /** Until when it may be kept: an answer that changes with time ends with that. Absent: changes alone end it. */
  readonly validForMs?: number;
}

/** Part of the tier that nodes share. */
export interface SharedAnswer extends Answer {
  /** Wall clock; nodes may differ by some of the time to live. */
  readonly expiresAtMs: number;
}

export interface CachedAnswer extends Answer {
  readonly url: string;
  /** The route's pattern, for metrics. */
  readonly route: string;
  readonly view: string;
  /** By the monotonic clock of this process. */
  readonly expiresAtMs: number;
}

/** A read of a single resource. */
export interface Wanted {
  /** Path without a query; the cache's key. */
  readonly url: string;
  readonly route: string;
  /** Every view the answer is made of. */
  readonly views: readonly { readonly name: string }[];
  /** Positions of a token that the answer must not be older than, which the database is past; empty: any will do. */
  readonly positions: readonly LogPosition[];
  /** Reads it from the database. */
  load(): Promise<Answer>;
}

/** The shared tier, as far as it is needed. */
export type Shared = Pick<SharedTier<SharedAnswer>, 'get' | 'set' | 'close' | 'failures' | 'skipped' | 'isOpen'>;

export interface CacheCounts {
  memory: number;
  shared: number;
  database: number;
  joined: number;
  dropped: number;
}

/**
 * Answers of single resources, in the memory of this process and in the tier that nodes share.
 *
 * - *In memory* is only what was current when it was put there, and every change of one of its sources takes it out
 *   the moment it is heard of. So whatever is found there is as of all that was heard, and is found in a map lookup.
 * - *Shared* answers are judged by who finds them (`ChangeFeed.isCurrent`): nobody has to delete any, a late write can
 *   do no harm, nor can a store that has lost some. What changes with time is not shared: clocks differ.
 * - *Loads* of one answer at the same time are one. Whoever comes while a load is under way takes what it brings if
 *   that is good enough for them: it may have begun before something that they, or this node, know of.
 *
 * What a load brings is stored only if it is still current then: a change that was heard of meanwhile, and which the
 * load did not see, has raised its key's position above that of the load.
 */
export class AnswerCache {
  clears = 0;
  readonly feed: ChangeFeed;
  private readonly memory: LRUCache<string, CachedAnswer>;
  /** View and hash of a source → what was read from it. */
  private readonly dependents = new Map<string, Map<number, CachedAnswer[]>>();
  private readonly flights = new Map<string, Promise<CachedAnswer>>();
  private readonly counts = new Map<string, CacheCounts>();

  constructor(
    private readonly options: {
      readonly partitions: number;
      readonly cacheBytes: number;
      readonly cacheTtlMs: number;
    },
    readonly shared: Shared | undefined,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.memory = new LRUCache({
      maxSize: Math.max(1, options.cacheBytes),
      // Estimates: two bytes a character at most, and what an entry costs in five maps and lists.
      sizeCalculation: ({ text, url }) => 2 * (text.length + url.length) + 700,
      dispose: (answer) => this.unlink(answer),
    });
    this.feed = new ChangeFeed(options.partitions, {
      changed: (view, hash) => this.drop(view, hash),
      missed: () => {
        this.clears++;
        this.memory.clear();
      },
    });
  }

  get bytes(): number {
    return this.memory.calculatedSize;
  }

  get entries(): number {
    return this.memory.size;
  }

  async close(): Promise<void> {
    await this.shared?.close();
  }

  /** Hits and loads so far, by the first view of what was read. */
  countsByView(): ReadonlyMap<string, Readonly<CacheCounts>> {
    return this.counts;
  }

  /** What is in memory under the URL and good enough for the token's positions. */
  recall(url: string, positions: readonly LogPosition[], views?: Wanted['views']): CachedAnswer | undefined {
    const answer = this.memory.get(url);
    if (answer === undefined) return undefined;
    const nowMs = this.nowMs();
    if (nowMs >= answer.expiresAtMs) {
      this.memory.delete(url);
      return undefined;
    }
    if (this.feed.isBlind(nowMs)) return undefined;
    if (positions.length > 0 && !this.feed.covers(views ?? viewsOf(answer), positions)) return undefined;
    this.countsOf(answer.view).memory++;
    return answer;
  }

  async find(wanted: Wanted): Promise<Answer> {
    const { url } = wanted;
    const held = this.recall(url, wanted.positions, wanted.views);
    if (held) return held;
    const underWay = this.flights.get(url);
    if (!underWay) return this.begin(wanted);
    const joined = await this.join(underWay, wanted);
    if (joined) return joined;
    // What is under way now began after this read did: it has all that was known by then.
    const later = this.flights.get(url);
    if (!later) return this.begin(wanted);
    if (wanted.positions.length === 0) return later;
    return (await this.join(later, wanted)) ?? this.load(wanted);
  }

  /** What the load brings, if that is good enough for a read that came while it was under way. */
  private async join(flight: Promise<CachedAnswer>, wanted: Wanted): Promise<CachedAnswer | undefined> {
    // That nothing was found, too, may have ceased to be true.
    const answer = await flight.catch(() => undefined);
    if (!answer || !this.feed.isCurrent(answer.sources) || !this.reaches(answer, wanted)) return undefined;
    this.countsOf(answer.view).joined++;
    return answer;
  }

  /** Whether a current answer is as of the token's positions. */
  private reaches(answer: Answer, { views, positions }: Wanted): boolean {
    if (positions.length === 0 || this.feed.covers(views, positions)) return true;
    return answer.sources.every((source) =>
      positions.every(({ partition, position }) => partition !== source.partition || source.asOf >= position),
    );
  }

  private async begin(wanted: Wanted): Promise<CachedAnswer> {
    const flight = this.load(wanted);
    this.flights.set(wanted.url, flight);
    try {
      return await flight;
    } finally {
      if (this.flights.get(wanted.url) === flight) this.flights.delete(wanted.url);
    }
  }

  private async load(wanted: Wanted): Promise<CachedAnswer> {
    const { feed } = this;
    const { url, route, views, positions } = wanted;
    const view = views[0]!.name;
    const { epoch } = feed;
    const generation = feed.generation(views);
    const shared = generation === undefined ? undefined : this.shared;
    const name = `${generation} ${url}`;
    if (shared && feed.covers(views, positions) && !feed.isBlind(this.nowMs())) {
      const found = await shared.get(name);
      const leftMs = found ? Math.min(found.expiresAtMs - Date.now(), this.options.cacheTtlMs) : 0;
      if (found && leftMs > 0 && epoch === feed.epoch && feed.isCurrent(found.sources) && feed.covers(views, positions)) {
        this.countsOf(view).shared++;
        const { text, etag, sources } = found;
        const answer = { text, etag, sources, url, route, view, expiresAtMs: this.nowMs() + leftMs };
        this.keep(answer);
        return answer;
      }
    }
    const ttlMs = this.options.cacheTtlMs * (0.9 + 0.2 * Math.random());
    // From before it is sent: what is valid for so long from when the database read it is so at least until then.
    const beganMs = this.nowMs();
    this.countsOf(view).database++;
    const loaded = await wanted.load();
    const validForMs = Math.min(ttlMs, loaded.validForMs ?? Infinity);
    const answer = { ...loaded, url, route, view, expiresAtMs: beganMs + validForMs };
    // No `await` between this look and putting it into memory: a change could be heard of in between.
    if (epoch !== feed.epoch || !feed.isCurrent(loaded.sources)) return answer;
    this.keep(answer);
    if (shared && loaded.validForMs === undefined) {
      const { text, etag, sources } = loaded;
      void shared.set(name, { text, etag, sources, expiresAtMs: Date.now() + ttlMs }, Math.ceil(ttlMs));
    }
    return answer;
  }

  private keep(answer: CachedAnswer): void {
    this.memory.set(answer.url, answer);
    // Too large for the memory there is.
    if (this.memory.peek(answer.url) !== answer) return;
    for (const { view, key } of answer.sources) {
      const ofView = this.dependents.get(view) ?? new Map<number, CachedAnswer[]>();
      this.dependents.set(view, ofView);
      const hash = keyHash(key);
      const others = ofView.get(hash);
      if (others) others.push(answer);
      else ofView.set(hash, [answer]);
    }
  }

  private drop(view: string, hash: number): void {
    const answers = this.dependents.get(view)?.get(hash);
    if (!answers) return;
    for (const { url, view: first } of [...answers]) {
      this.countsOf(first).dropped++;
      this.memory.delete(url);
    }
  }

  private unlink(answer: CachedAnswer): void {
    for (const { view, key } of answer.sources) {
      const ofView = this.dependents.get(view);
      const hash = keyHash(key);
      const left = ofView?.get(hash)?.filter((other) => other !== answer);
      if (left && left.length > 0) ofView!.set(hash, left);
      else ofView?.delete(hash);
    }
  }

  private countsOf(view: string): CacheCounts {
    let counts = this.counts.get(view);
    if (!counts) {
      counts = { memory: 0, shared: 0, database: 0, joined: 0, dropped: 0 };
      this.counts.set(view, counts);
    }
    return counts;
  }
}

function viewsOf(answer: Answer): { name: string }[] {
  return answer.sources.map(({ view }) => ({ name: view }));
}
