/**
 * Tests that need a program of the system. Where it is missing they are left out, and said to be; in CI that is a
 * failure, because nobody would read it there.
 */
export function describeWith(programs: Readonly<Record<string, string | undefined>>, title: string, tests: () => void): void {
  const missing = Object.keys(programs).filter((name) => programs[name] === undefined);
  if (missing.length === 0) return describe(title, tests);
  const reason = `${missing.join(' and ')} not installed`;
  if (process.env.CI === 'true') {
    describe(title, () => {
      test('has what it needs', () => expect(reason).toBe(''));
    });
  } else {
    console.warn(`Left out: "${title}", because of ${reason}`);
    describe.skip(`${title} (${reason})`, tests);
  }
}
