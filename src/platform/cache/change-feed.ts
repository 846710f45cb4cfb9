import { keyHash } from '../consumers/key-hash.js';
import type { Move } from '../consumers/consumer.js';
import type { LogPosition } from '../consumers/visibility.js';

/** What an answer was read from: what the view had of a key, as of a position of the key's partition. */
export interface Source {
  readonly view: string;
  readonly partition: number;
  readonly key: string;
  /** The view's checkpoint in the very snapshot that the answer was read in. */
  readonly asOf: number;
}

/** How far a view is in a partition, as the database says. */
export interface Checkpoint {
  readonly view: string;
  /** Of the view's table: another one when a rebuild has put a new table in its place. */
  readonly tableId: string;
  readonly partition: number;
  readonly position: number;
}

interface ViewState {
  tableId: string;
  /** Per partition: every change up to here has been heard of. */
  readonly heard: number[];
  /** Per partition: moves that start further on than `heard`, because an earlier one is still on its way. */
  readonly early: Move[][];
  /** Per partition: where the database said the view was when it was last asked. */
  readonly seen: number[];
  /** Per partition: any key may have changed up to here without our having heard of it. */
  readonly missed: number[];
  /** Per partition and slot: the position up to which a key of that slot has last changed, as far as was heard. */
  readonly changed: Float64Array;
}

const slotsPerView = 65_536;

/**
 * What a node has heard of how views change: the judge of whether an answer that was read some time ago, here or on
 * another node, may still be given.
 *
 * Messages tell of moves: view, partition, from where to where, and hashes of the keys that changed. They come from this process and
 * from others, in any order, twice, or not at all. Two things are kept of them for each view and partition:
 *
 * - `heard`, up to which nothing is missing: the moves follow each other without a gap. A move that starts further on
 *   waits for the one before it; what it changed counts at once.
 * - when each key last changed: one position for each of 65,536 slots of a view, by hash. Keys that share a slot cost
 *   each other hits. A map of keys would have to forget some, and then doubt all older answers.
 *
 * So an answer is *current* when each of its sources is as of a position no earlier than the last change of its key,
 * and it then is as good as one that is read now from a database that is at `heard`.
 *
 * The database is asked for its checkpoints every second. What it is past for longer than that without our having
 * heard of it was missed: then everything may have changed up to there. So a lost message, a broken connection or a
 * dead process between its commit and its message costs seconds of staleness (reads without a token only), and hits.
 */
export class ChangeFeed {
  /** Grows whenever something was missed: what began to be read before that is not kept. */
  epoch = 0;
  private readonly views = new Map<string, ViewState>();
  private readonly slots: number;
  private lookedAtMs = -Infinity;

  constructor(
    private readonly partitions: number,
    private readonly listener: {
      /** A key of this hash has changed. */
      changed(view: string, hash: number): void;
      /** Anything may have changed. */
      missed(): void;
    },
    private readonly blindAfterMs = 5_000,
  ) {
    this.slots = Math.max(64, Math.floor(slotsPerView / partitions));
  }

  hear(moves: readonly Move[]): void {
    for (const move of moves) {
      const view = this.views.get(move.consumer);
      // Before the first look nothing is known, and nothing is kept.
      if (!view || move.partition >= this.partitions) continue;
      for (const hash of move.changed) {
        const slot = this.slotOf(move.partition, hash);
        view.changed[slot] = Math.max(view.changed[slot]!, move.to);
        this.listener.changed(move.consumer, hash);
      }
      if (move.from <= view.heard[move.partition]!) this.reach(view, move.partition, move.to);
      else view.early[move.partition]!.push(move);
    }
  }

  /**
   * Compares what was heard with what the database says. What is `patient` allows messages until the next look to come
   * in; after the connection to those who tell was broken there are none to wait for. True when something was missed.
   */
  look(checkpoints: readonly Checkpoint[], nowMs: number, patient: boolean): boolean {
    let missed = false;
    for (const { view: name, tableId, partition, position } of checkpoints) {
      const view = this.views.get(name) ?? this.begin(name, tableId);
      const due = patient ? view.seen[partition]! : position;
      if (view.heard[partition]! < due || view.tableId !== tableId) {
        missed = true;
        view.missed[partition] = position;
        this.reach(view, partition, position);
      }
      view.seen[partition] = position;
    }
    for (const { view, tableId } of checkpoints) this.views.get(view)!.tableId = tableId;
    this.lookedAtMs = nowMs;
    if (missed) {
      this.epoch++;
      this.listener.missed();
    }
    return missed;
  }

  /** Whether everything that these views had at the positions has been heard of. */
  covers(views: readonly { readonly name: string }[], positions: readonly LogPosition[]): boolean {
    for (const { name } of views) {
      const heard = this.views.get(name)?.heard;
      if (!heard) return false;
      for (const { partition, position } of positions) if (heard[partition]! < position) return false;
    }
    return true;
  }

  /** Whether nothing that was heard of has changed what was read. */
  isCurrent(sources: readonly Source[]): boolean {
    return sources.every(({ view, partition, key, asOf }) => {
      const state = this.views.get(view);
      if (!state || asOf < state.missed[partition]!) return false;
      return asOf >= state.changed[this.slotOf(partition, keyHash(key))]!;
    });
  }

  /** Whether the database has not been seen for so long that nothing may be said without it. */
  isBlind(nowMs: number): boolean {
    return nowMs - this.lookedAtMs > this.blindAfterMs;
  }

  /** What tells the tables of these views from those they were before a rebuild. Undefined before the first look. */
  generation(views: readonly { readonly name: string }[]): string | undefined {
    const ids = views.map(({ name }) => this.views.get(name)?.tableId);
    return ids.includes(undefined) ? undefined : ids.join('.');
  }

  private begin(name: string, tableId: string): ViewState {
    const per = <T>(make: () => T): T[] => Array.from({ length: this.partitions }, make);
    // Never heard of anything: the look that begins it counts as having missed all there was.
    const view: ViewState = {
      tableId,
      heard: per(() => -1),
      early: per(() => []),
      seen: per(() => 0),
      missed: per(() => 0),
      changed: new Float64Array(this.partitions * this.slots),
    };
    this.views.set(name, view);
    return view;
  }

  private reach(view: ViewState, partition: number, position: number): void {
    const early = view.early[partition]!;
    let reached = Math.max(view.heard[partition]!, position);
    while (early.length > 0) {
      const next = early.findIndex(({ from }) => from <= reached);
      if (next < 0) break;
      reached = Math.max(reached, early.splice(next, 1)[0]!.to);
    }
    view.heard[partition] = reached;
  }

  private slotOf(partition: number, hash: number): number {
    return partition * this.slots + (hash % this.slots);
  }
}
