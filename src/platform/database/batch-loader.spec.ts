import { batchLoader } from './batch-loader.js';

/** A loader whose statements answer when they are told to, each key with itself. */
function heldBack(atOnce?: number) {
  const statements: { readonly keys: readonly string[]; answer(): void; fail(error: Error): void }[] = [];
  const loader = batchLoader(
    (keys: readonly string[]) =>
      new Promise<string[]>((resolve, reject) => statements.push({ keys, answer: () => resolve([...keys]), fail: reject })),
    atOnce,
  );
  return { statements, loader, asked: () => statements.map(({ keys }) => keys.join()) };
}

const turn = () => new Promise((resume) => setImmediate(() => setImmediate(resume)));

describe('Lookups', () => {
  it('that are asked for in one turn of the event loop share a statement', async () => {
    const { loader, statements, asked } = heldBack();
    const both = Promise.all([loader.load('a'), loader.load('b')]);
    await turn();
    const later = loader.load('c');
    await turn();
    expect(asked()).toEqual(['a,b', 'c']);
    for (const { answer } of statements) answer();
    expect([await both, await later]).toEqual([['a', 'b'], 'c']);
  });

  it('gather while as many statements as there may be are under way', async () => {
    const { loader, statements, asked } = heldBack(1);
    const all = [loader.load('a')];
    await turn();
    for (const key of ['b', 'c', 'd']) {
      all.push(loader.load(key));
      await turn();
    }
    expect(asked()).toEqual(['a']);
    statements[0]!.answer();
    await turn();
    expect(asked()).toEqual(['a', 'b,c,d']);
    statements[1]!.answer();
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('go on after a statement that failed', async () => {
    const { loader, statements, asked } = heldBack(1);
    const failing = expect(loader.load('a')).rejects.toThrow('gone');
    await turn();
    const next = loader.load('b');
    statements[0]!.fail(new Error('gone'));
    await failing;
    await turn();
    statements[1]!.answer();
    expect(await next).toBe('b');
    expect(asked()).toEqual(['a', 'b']);
  });

  it('beyond 500 are a statement of their own, which waits its turn', async () => {
    const { loader, statements } = heldBack(1);
    const all = Array.from({ length: 1_100 }, (_, n) => loader.load(String(n)));
    const sizes: number[] = [];
    for (let n = 0; n < 3; n++) {
      await turn();
      expect(statements).toHaveLength(n + 1);
      sizes.push(statements[n]!.keys.length);
      statements[n]!.answer();
    }
    expect(sizes).toEqual([500, 500, 100]);
    expect((await Promise.all(all)).at(-1)).toBe('1099');
  });
});
