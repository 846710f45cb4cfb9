/**
 * What must be true of every run, by the names that CHECKERS gives them. A checker is a pure function of what was
 * recorded; it returns what is wrong, and nothing is what it should return.
 */
export const checkers = {
  C1: 'Money is neither made nor lost',
  C2: 'Nothing is sold that is not there',
  C3: 'What was asked for once happened once, or not at all when it was refused',
  C4: 'Nothing that was acknowledged is lost',
  C5: 'Versions of a stream are 1, 2, 3, … in the order of positions',
  C6: 'Positions of a partition are 1, 2, 3, …, and its times do not run backwards',
  C7: 'A read table is what its events add up to',
  C8: 'A read with a token sees what the token stands for',
  C9: 'The reads of one client do not go back',
  C10: 'No answer is newer than the log, or older than may be',
  C11: 'Every order comes to one end, and holds what its end says',
  C12: 'When the faults are over, all work is done in time',
  L1: 'Accounts and stock do one thing after the other (linearizability)',
  L2: 'The log has what happened in the order in which clients saw it happen',
  L3: 'Nothing is refused for lack of what was there all the time',
} as const;

export type CheckerId = keyof typeof checkers;

export interface Violation {
  readonly checker: CheckerId;
  readonly sentence: string;
  /** Numbers of the entries it is about. */
  readonly entries: readonly number[];
  /** Events it is about, as `<partition>@<position>`. */
  readonly events: readonly string[];
}

export function violation(
  checker: CheckerId,
  sentence: string,
  entries: readonly number[] = [],
  events: readonly string[] = [],
): Violation {
  return { checker, sentence, entries, events };
}

/** What is wrong by a checker that says so in words alone. */
export function violations(checker: CheckerId, sentences: readonly string[]): Violation[] {
  return sentences.map((sentence) => violation(checker, sentence));
}
