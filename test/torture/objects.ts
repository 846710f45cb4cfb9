import { accountCalls, Account } from './accounts.js';
import { operationsOf, type History } from './history.js';
import { findOrder, type Call, type Model } from './linearizability.js';
import { Stock, stockCalls } from './stock.js';
import { violation, type Violation } from './violation.js';

/** What was searched for an order, and what was not. */
export interface ObjectsChecked {
  readonly violations: readonly Violation[];
  readonly objects: number;
  readonly calls: number;
  /** Objects whose search was given up: nothing is said of them. */
  readonly undecided: readonly string[];
  /** Objects that others than clients write to. */
  readonly leftOut: readonly string[];
}

/** Every account and every SKU that only clients write to is linearizable. */
export function checkObjects(history: Pick<History, 'entries'>): ObjectsChecked {
  const operations = operationsOf(history);
  const [accounts, stock] = [accountCalls(operations), stockCalls(operations)];
  const found: Violation[] = [];
  const undecided: string[] = [];
  const check = <Input extends { readonly entries: readonly number[] }>(
    objects: ReadonlyMap<string, Call<Input>[]>,
    newModel: () => Model<Input>,
  ) => {
    for (const [name, calls] of objects) {
      const verdict = findOrder(calls, newModel());
      if (verdict.kind === 'undecided') undecided.push(name);
      if (verdict.kind !== 'not linearizable') continue;
      const { call, concurrent } = verdict;
      const [number, others] = [call.input.entries[0]!, concurrent.flatMap(({ input }) => input.entries)];
      found.push(violation('L1', `${name}: no order of what was asked of it explains the answer to #${number}`, [number, ...others]));
    }
  };
  check(accounts.calls, () => new Account());
  check(stock.calls, () => new Stock());
  const all = [...accounts.calls.values(), ...stock.calls.values()];
  return {
    violations: found,
    objects: all.length,
    calls: all.reduce((sum, calls) => sum + calls.length, 0),
    undecided,
    leftOut: [...accounts.leftOut, ...stock.leftOut],
  };
}
