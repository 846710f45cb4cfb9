import pg from 'pg';

type Statement = string | (pg.QueryConfig & { readonly query_timeout?: number | undefined });
type Answered = (error: Error | undefined, result?: pg.QueryResult) => void;

/**
 * pg's client, which sets the time limit of its statements (`query_timeout`) by itself. pg puts what is to be done in the
 * end on a query that is already made, and queries made like that keep each other alive, with all they carry, from one full
 * garbage collection to the next: half of what an order left in the old generation (ADR 0022). Here a query is made with it.
 *
 * A statement that takes longer fails, and its connection is closed: its answer would be taken for the next one's.
 */
export class Client extends pg.Client {
  private readonly limitMs: number;

  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const { connectionParameters } = this as unknown as { connectionParameters: { query_timeout: unknown } };
    this.limitMs = Number(connectionParameters.query_timeout) || 0;
    connectionParameters.query_timeout = false; // pg looks there for every statement.
  }

  /** In the forms that pools and their users have: with a callback, or a promise. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- pg's overloads, all in one.
  override query(statement: Statement, values?: unknown, callback?: unknown): any {
    const answered = (typeof values === 'function' ? values : callback) as Answered | undefined;
    const parameters = typeof values === 'function' ? undefined : (values as unknown[] | undefined);
    if (answered) return this.send(statement, parameters, answered);
    return new Promise<pg.QueryResult>((resolve, reject) => {
      this.send(statement, parameters, (error, result) => (error ? reject(error) : resolve(result!)));
    }).catch((error: Error) => {
      // The stack of whoever asked, as pg has it, and not the socket's.
      Error.captureStackTrace(error);
      throw error;
    });
  }

  private send(statement: Statement, parameters: unknown[] | undefined, answered: Answered): void {
    // Taken off: pg would set a limit of its own for it.
    const { query_timeout: limitMs = this.limitMs, ...sent } = typeof statement === 'string' ? { text: statement } : statement;
    const late = () => {
      if (isAnswered) return;
      // In this order: whoever asked has let go of the connection before it is closed, and nobody else hears of it.
      answer(new Error('Query read timeout'));
      this.connection.stream.destroy();
    };
    // After one more look at the sockets: where it is this process that stood still, its timers have their turn before what
    // has come meanwhile.
    const timer = limitMs > 0 ? setTimeout(() => setImmediate(late), limitMs) : undefined;
    let isAnswered = false;
    const answer: Answered = (error, result) => {
      if (isAnswered) return; // pg tells of the closed connection as well.
      isAnswered = true;
      clearTimeout(timer);
      answered(error, result);
    };
    super.query(sent as never, parameters as never, answer as never);
  }
}
