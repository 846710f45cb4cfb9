/** How many of the first ones are so, when none is that comes after one that is not: by halving. */
export function countWhile<T>(items: readonly T[], isSo: (item: T) => boolean): number {
  let [from, to] = [0, items.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (isSo(items[middle]!)) from = middle + 1;
    else to = middle;
  }
  return from;
}
