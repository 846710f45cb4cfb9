/**
 * Is there an order of these calls, one after the other, that explains every answer and in which no call comes before
 * one that had ended when it began? (Herlihy and Wing, "Linearizability", 1990.)
 *
 * The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): take any call that was under way
 * and whose answer fits, go on from there, and go back when none fits. What makes it fast is Lowe's ("Testing for
 * linearizability", 2017; Porcupine does the same): a set of calls taken that has led to the same state before is not
 * looked at again. The set is written down as the number of calls from the beginning that are all taken, and those
 * beyond it; so wherever nothing was under way the search begins anew, with nothing but the state to remember, and a
 * history of many thousands of calls costs what its busiest moments cost.
 *
 * Linearizability is local: a history is linearizable when that of each object is. So histories are split by object
 * first, and an object's calls are searched by themselves.
 */
export interface Call<Input> {
  /** What was asked, and what the answer was. */
  readonly input: Input;
  readonly invokedAtMs: number;
  /** Absent: it may take effect at any time after it was invoked, or never. */
  readonly endedAtMs?: number;
}

/** A sequential object: what calls may do to it when there is one at a time. */
export interface Model<Input> {
  /**
   * Takes effect, if the call can have had this answer in this state, and returns how to take that back; otherwise
   * leaves all as it was and returns nothing. Effects are taken back in the reverse order.
   */
  take(input: Input): (() => void) | undefined;
  /** Two states with one name behave in the same way when the same calls were taken. */
  name(): string;
}

export type Verdict<Input> =
  | { readonly kind: 'linearizable'; readonly steps: number }
  /** At its end `call` can not be explained, however those before it are ordered. */
  | { readonly kind: 'not linearizable'; readonly steps: number; readonly call: Call<Input>; readonly concurrent: readonly Call<Input>[] }
  /** The search was given up. */
  | { readonly kind: 'undecided'; readonly steps: number };

/** A second or two: what takes longer has too many calls that nobody saw the end of. Ten times as many take up to 1.6 GB. */
export const stepsMax = 200_000;

/**
 * How many calls whose end nobody saw may be taken in a row, search by search. Where there are many of them, most orders
 * have no more than one at a time, and trying every set of them at every dead end would take for ever.
 */
const openInARow = [1, 3, Infinity];

export function findOrder<Input>(calls: readonly Call<Input>[], model: Model<Input>, maxSteps = stepsMax): Verdict<Input> {
  const byInvocation = [...calls].sort((a, b) => a.invokedAtMs - b.invokedAtMs);
  const ended = byInvocation.filter(({ endedAtMs }) => endedAtMs !== undefined);
  const open = byInvocation.filter(({ endedAtMs }) => endedAtMs === undefined);
  let steps = 0;
  for (const inARow of open.length === 0 ? [Infinity] : openInARow) {
    const verdict = new Search(ended, open, model, inARow).run(maxSteps / openInARow.length);
    steps += verdict.steps;
    // That there is no order is known only when nothing was left out.
    if (verdict.kind === 'linearizable' || inARow === Infinity) return { ...verdict, steps };
  }
  throw new Error('the last search leaves nothing out');
}

/** What was taken, where the search stood, and how to go back there. */
interface Step {
  readonly isOpen: boolean;
  readonly call: number;
  readonly undo: () => void;
  /** How many open calls in a row had been taken before it. */
  readonly before: number;
}

const head = 0;

/**
 * The beginnings and ends of calls are a list in the order of time, from which a call that is taken is lifted out.
 * Whatever stands in front of the first end may be next; when none of it fits, a call whose end nobody saw may; when
 * none of those does either, the last step was wrong.
 */
class Search<Input> {
  /** Moments are numbered from 1 in the order of time; 0 is where the list begins. */
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /** By moment: the call that begins (n) or ends (−n − 1) there. */
  private readonly callAt: Int32Array;
  private readonly beginOf: Int32Array;
  private readonly endOf: Int32Array;
  private readonly isTaken: Uint8Array;
  private readonly isOpenTaken: Uint8Array;
  private readonly path: Step[] = [];
  private readonly visited = new Set<string>();
  private left: number;
  /** All before it are taken. */
  private low = 0;
  /** None after it is. */
  private high = -1;
  private openTaken = '';
  /** At the end of the path. */
  private openInARow = 0;

  constructor(
    private readonly calls: readonly Call<Input>[],
    private readonly open: readonly Call<Input>[],
    private readonly model: Model<Input>,
    private readonly maxOpenInARow: number,
  ) {
    const moments = calls.flatMap(({ invokedAtMs, endedAtMs }, call) => [
      { atMs: invokedAtMs, what: call },
      { atMs: endedAtMs!, what: -call - 1 },
    ]);
    // At the same time: beginnings first, so that what may have been concurrent counts as that.
    moments.sort((a, b) => a.atMs - b.atMs || Number(a.what < 0) - Number(b.what < 0));
    this.callAt = new Int32Array(moments.length + 1);
    this.beginOf = new Int32Array(calls.length);
    this.endOf = new Int32Array(calls.length);
    moments.forEach(({ what }, index) => {
      this.callAt[index + 1] = what;
      if (what >= 0) this.beginOf[what] = index + 1;
      else this.endOf[-what - 1] = index + 1;
    });
    this.next = Int32Array.from({ length: moments.length + 1 }, (_, index) => index + 1);
    this.previous = Int32Array.from({ length: moments.length + 2 }, (_, index) => index - 1);
    this.isTaken = new Uint8Array(calls.length + 1);
    this.isOpenTaken = new Uint8Array(open.length);
    this.left = calls.length;
  }

  run(maxSteps: number): Verdict<Input> {
    let steps = 0;
    let furthest = -1;
    let stuckAt = head;
    let at = this.next[head]!;
    let openFrom = 0;
    while (this.left > 0) {
      if (++steps > maxSteps) {
        while (this.path.length > 0) this.untake(this.path.pop()!);
        return { kind: 'undecided', steps };
      }
      const what = this.callAt[at]!;
      if (what >= 0) {
        if (this.take(what, false)) at = this.next[head]!;
        else at = this.next[at]!;
        continue;
      }
      if (this.path.length > furthest) [furthest, stuckAt] = [this.path.length, at];
      if (this.takeOpen(openFrom, at)) {
        at = this.next[head]!;
        openFrom = 0;
        continue;
      }
      const last = this.path.pop();
      if (!last) return { kind: 'not linearizable', steps, ...this.around(stuckAt) };
      this.untake(last);
      if (last.isOpen) {
        // Back at the end that it was tried for: the first one in the list.
        at = this.firstEnd();
        openFrom = last.call + 1;
      } else {
        at = this.next[this.beginOf[last.call]!]!;
        openFrom = 0;
      }
    }
    // The model is as it was: another search may follow.
    while (this.path.length > 0) this.untake(this.path.pop()!);
    return { kind: 'linearizable', steps };
  }

  private take(call: number, isOpen: boolean): boolean {
    if (isOpen && this.openInARow >= this.maxOpenInARow) return false;
    const undo = this.model.take((isOpen ? this.open : this.calls)[call]!.input);
    if (!undo) return false;
    const step = { isOpen, call, undo, before: this.openInARow };
    this.mark(step);
    const inARow = this.maxOpenInARow === Infinity ? '' : this.openInARow;
    const name = `${this.low} ${this.beyond()}|${this.openTaken}|${inARow}|${this.model.name()}`;
    if (this.visited.has(name)) {
      this.untake(step);
      return false;
    }
    this.visited.add(name);
    this.path.push(step);
    return true;
  }

  private takeOpen(from: number, end: number): boolean {
    const endedAtMs = this.calls[-this.callAt[end]! - 1]!.endedAtMs!;
    for (let call = from; call < this.open.length && this.open[call]!.invokedAtMs <= endedAtMs; call++) {
      if (!this.isOpenTaken[call] && this.take(call, true)) return true;
    }
    return false;
  }

  private mark({ isOpen, call, before }: Step): void {
    this.openInARow = isOpen ? before + 1 : 0;
    if (isOpen) {
      this.isOpenTaken[call] = 1;
      this.nameOpen();
      return;
    }
    this.isTaken[call] = 1;
    this.left--;
    this.high = Math.max(this.high, call);
    while (this.isTaken[this.low]) this.low++;
    for (const moment of [this.beginOf[call]!, this.endOf[call]!]) {
      this.next[this.previous[moment]!] = this.next[moment]!;
      this.previous[this.next[moment]!] = this.previous[moment]!;
    }
  }

  private untake({ isOpen, call, undo, before }: Step): void {
    undo();
    this.openInARow = before;
    if (isOpen) {
      this.isOpenTaken[call] = 0;
      this.nameOpen();
      return;
    }
    this.isTaken[call] = 0;
    this.left++;
    this.low = Math.min(this.low, call);
    while (this.high >= 0 && !this.isTaken[this.high]) this.high--;
    // In the reverse order of `mark`: the end first, so that each finds its neighbours as it left them.
    for (const moment of [this.endOf[call]!, this.beginOf[call]!]) {
      this.next[this.previous[moment]!] = moment;
      this.previous[this.next[moment]!] = moment;
    }
  }

  private nameOpen(): void {
    this.openTaken = '';
    for (let call = 0; call < this.open.length; call++) if (this.isOpenTaken[call]) this.openTaken += `${call},`;
  }

  private beyond(): string {
    let name = '';
    for (let call = this.low + 1; call <= this.high; call++) if (this.isTaken[call]) name += `${call - this.low},`;
    return name;
  }

  private firstEnd(): number {
    let at = this.next[head]!;
    while (this.callAt[at]! >= 0) at = this.next[at]!;
    return at;
  }

  /** The call that could not be explained, and those that were under way with it. */
  private around(end: number): { call: Call<Input>; concurrent: Call<Input>[] } {
    const call = this.calls[-this.callAt[end]! - 1]!;
    const concurrent = [...this.calls, ...this.open].filter(
      (other) => other !== call && other.invokedAtMs <= call.endedAtMs! && (other.endedAtMs ?? Infinity) >= call.invokedAtMs,
    );
    return { call, concurrent };
  }
}
