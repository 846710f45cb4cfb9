import pg from 'pg';

/** Notes every statement that Rialto's own connections of this process send, by its text: who has sent it. */
export function recordStatements(sent: Map<string, string>): { stop(): void } {
  const query = pg.Client.prototype.query as (this: pg.Client, ...given: unknown[]) => unknown;
  const recording = jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client & { connectionParameters?: { application_name?: string } }, ...given: unknown[]) {
    const text = typeof given[0] === 'string' ? given[0] : (given[0] as { text?: string }).text;
    const from = this.connectionParameters?.application_name ?? '';
    if (text !== undefined && from.startsWith('rialto')) sent.set(text, from);
    return query.apply(this, given);
  } as never);
  return { stop: () => recording.mockRestore() };
}
