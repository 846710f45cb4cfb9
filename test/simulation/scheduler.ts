/** Chance that can be repeated (mulberry32): the same seed, the same numbers. */
export class Chance {
  constructor(private state: number) {}

  /** At least 0, below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  happens(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Whose code a step runs: a process, which may die and takes its timers and turns with it, or the database's. */
export class Owner {
  isDead = false;
  /** What setImmediate was told, in its order. */
  readonly turns: Lane;

  constructor(
    readonly name: string,
    private readonly scheduler: Scheduler,
  ) {
    this.turns = new Lane(this, scheduler);
  }

  die(): void {
    this.isDead = true;
    this.scheduler.forget(this);
  }
}

type Step = () => void;

/** Steps that happen in their order: one direction of a connection, the turns of a process's event loop. */
export class Lane {
  private readonly steps: Step[] = [];
  private isHeld = false;
  /** Where it stands among those that can go on; -1 when it can not. */
  index = -1;

  constructor(
    readonly owner: Owner,
    private readonly scheduler: Scheduler,
    /** How often it is passed over when it is its turn: what is slow in this run. */
    readonly reluctance = 0,
  ) {}

  push(step: Step): void {
    if (this.owner.isDead) return;
    this.steps.push(step);
    this.scheduler.note(this, !this.isHeld);
  }

  /** Before everything that waits in it. */
  unshift(step: Step): void {
    if (this.owner.isDead) return;
    this.steps.unshift(step);
    this.scheduler.note(this, !this.isHeld);
  }

  /** Nothing of it happens until it is let go. */
  hold(): void {
    this.isHeld = true;
    this.scheduler.note(this, false);
  }

  letGo(): void {
    this.isHeld = false;
    this.scheduler.note(this, this.steps.length > 0);
  }

  get length(): number {
    return this.steps.length;
  }

  /** Forgets all but the first few. */
  truncate(length: number): void {
    this.steps.length = Math.min(this.steps.length, length);
    this.scheduler.note(this, !this.isHeld && this.steps.length > 0);
  }

  take(): Step {
    const step = this.steps.shift()!;
    if (this.steps.length === 0) this.scheduler.note(this, false);
    return step;
  }
}

interface Timer {
  readonly atMs: number;
  readonly owner: Owner;
  readonly run: Step;
}

/**
 * Owns time and the order of everything that takes time. A step runs with all that follows from it at once (its
 * promises' continuations); then chance says which of the lanes goes on, or which timer. Timers fire when their time has
 * come; it comes slowly while there is other work, at once when there is none, and now and then early, because
 * everything else may take as long as it likes.
 */
export class Scheduler {
  nowMs = 0;
  steps = 0;
  /** Of what was chosen: two runs of a seed must agree on it. */
  hash = 0;
  current: Owner;
  readonly outside: Owner;
  private readonly ready: Lane[] = [];
  private timers: Timer[] = [];

  constructor(
    readonly chance: Chance,
    private readonly earlyTimers: number,
  ) {
    this.outside = new Owner('outside', this);
    this.current = this.outside;
  }

  note(lane: Lane, isReady: boolean): void {
    if (isReady === lane.index >= 0) return;
    if (isReady) {
      lane.index = this.ready.push(lane) - 1;
      return;
    }
    const last = this.ready.pop()!;
    if (last !== lane) {
      this.ready[lane.index] = last;
      last.index = lane.index;
    }
    lane.index = -1;
  }

  forget(owner: Owner): void {
    for (const lane of this.ready.filter((one) => one.owner === owner)) lane.truncate(0);
    this.timers = this.timers.filter((timer) => timer.owner !== owner);
  }

  after(ms: number, owner: Owner, run: Step): Timer {
    const timer = { atMs: this.nowMs + Math.max(1, ms), owner, run };
    if (!owner.isDead) this.timers.push(timer);
    return timer;
  }

  cancel(timer: Timer): void {
    const index = this.timers.indexOf(timer);
    if (index >= 0) this.timers.splice(index, 1);
  }

  /** False when there is nothing left that could happen. */
  step(): boolean {
    const timer = this.nextTimer();
    const { chance, ready } = this;
    if (timer && (ready.length === 0 || (timer.atMs <= this.nowMs ? chance.below(ready.length + 1) === 0 : chance.happens(this.earlyTimers)))) {
      this.cancel(timer);
      this.nowMs = Math.max(this.nowMs, timer.atMs);
      this.run(timer.owner, timer.run, 31);
      return true;
    }
    if (ready.length === 0) return false;
    let index = chance.below(ready.length);
    for (let tries = 0; tries < 3 && ready.length > 1 && chance.happens(ready[index]!.reluctance); tries++) index = chance.below(ready.length);
    const lane = ready[index]!;
    this.run(lane.owner, lane.take(), index);
    return true;
  }

  private run(owner: Owner, step: Step, chosen: number): void {
    this.steps++;
    this.hash = (Math.imul(this.hash, 31) + chosen + Math.floor(this.nowMs)) | 0;
    this.nowMs += this.chance.next() * 0.1;
    this.current = owner;
    step();
  }

  private nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers) if (!next || timer.atMs < next.atMs) next = timer;
    return next;
  }
}

let active: Scheduler;

/** Whose timers, clocks and dice they are from now on. */
export function activate(scheduler: Scheduler): void {
  active = scheduler;
}

/**
 * While `work` runs, the timers, the clocks and the dice of everybody's code are the active scheduler's. Nothing else may
 * run meanwhile: steps are chained by process.nextTick, which comes when no promise has anything left to say.
 *
 * Once for many runs: what is replaced for each of them, the compiler takes for no constant, and compiles all over again.
 */
export async function withSimulatedTime<T>(work: (breathe: () => Promise<void>) => Promise<T>): Promise<T> {
  const { setTimeout, clearTimeout, setImmediate } = globalThis;
  const { random } = Math;
  const { now } = Date;
  const { stackTraceLimit } = Error;
  Object.assign(globalThis, {
    setTimeout: (run: Step, ms = 0) => active.after(ms, active.current, run),
    clearTimeout: (timer: Timer | undefined) => timer && active.cancel(timer),
    setImmediate: (run: Step) => active.current.turns.push(run),
  });
  Math.random = () => active.chance.next();
  Date.now = () => Math.floor(active.nowMs);
  Object.defineProperty(performance, 'now', { value: () => active.nowMs, configurable: true });
  // Refusals and lost connections are errors, and so many that finding out where they were thrown is much of the work. A
  // run that is traced says where.
  Error.stackTraceLimit = 0;
  try {
    return await work(() => new Promise((resume) => setImmediate(resume)));
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout, setImmediate });
    Math.random = random;
    Date.now = now;
    delete (performance as { now?: unknown }).now;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/**
 * Goes on for as long as `next` says so, each time when everything that follows at once from the last has happened: ticks
 * come when no promise has anything left to say, and what they say when no tick is left. A loop that awaits as much makes
 * three times the objects, and these were a tenth of all.
 */
export function inTurns(next: () => boolean): Promise<void> {
  const atOnce = Promise.resolve();
  return new Promise((resolve, reject) => {
    const turn = () => {
      try {
        if (next()) process.nextTick(goOn);
        else resolve();
      } catch (error) {
        reject(error as Error);
      }
    };
    const goOn = () => void atOnce.then(turn);
    turn();
  });
}
