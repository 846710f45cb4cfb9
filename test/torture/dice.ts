/**
 * Chance that can be repeated: the same seed, the same throws. Mulberry32 (Tommy Ettinger, 2017; public domain): 32 bits
 * of state, which is plenty for choosing what to do next, and for nothing else.
 */
export class Dice {
  private state: number;

  constructor(seed: string) {
    // FNV-1a, so that neighbouring seeds have nothing in common.
    this.state = [...seed].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0)!, 16_777_619), 2_166_136_261) >>> 0;
  }

  /** At least 0 and less than 1. */
  fraction(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number, at least `least` and at most `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** Whether what happens in so many of a hundred cases happens in this one. */
  percent(chance: number): boolean {
    return this.fraction() * 100 < chance;
  }

  oneOf<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new Error('nothing to choose from');
    return choices[Math.floor(this.fraction() * choices.length)]!;
  }

  /** One of them, as often as its weight says. */
  weighted<T extends { readonly weight: number }>(choices: readonly T[]): T {
    let left = this.fraction() * choices.reduce((sum, { weight }) => sum + weight, 0);
    return choices.find(({ weight }) => (left -= weight) < 0) ?? choices.at(-1)!;
  }

  /** Letters and digits for an id: not unique by themselves. */
  word(length = 8): string {
    return Array.from({ length }, () => this.between(0, 35).toString(36)).join('');
  }
}
