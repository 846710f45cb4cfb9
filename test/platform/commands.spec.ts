import type { CommandBus } from '@nestjs/cqrs';
import { pino } from 'pino';
import type { CommandRegistry } from '../../src/platform/commands/command-registry.js';
import { InboxWorker } from '../../src/platform/commands/inbox-worker.js';
import { type AcceptedCommand, Inbox } from '../../src/platform/commands/inbox.js';
import { LogCommand, type LogCommandClass } from '../../src/platform/commands/log-command.js';
import { UnavailableError } from '../../src/platform/errors.js';
import { InboxMetrics } from '../../src/platform/observability/metrics.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { WakeUps } from '../../src/platform/queue/wake-ups.js';
import { eventually } from '../support/eventually.js';
import { count, modes, newCommandId, startWriter, type TestWriter } from './counters.js';

interface CountInput {
  readonly name: string;
  readonly by: number;
}

class Count extends LogCommand<CountInput> {
  static readonly type = 'test.count';
  static partitionKey = ({ name }: CountInput): string => name;
}

describe.each(modes)('The inbox, with %s', (_name, lanes) => {
  let database: TestDatabase;
  let writers: TestWriter[];
  let broken: ((command: Count) => void | Promise<void>) | undefined;

  beforeEach(async () => {
    database = await createTestDatabase();
    writers = [];
    broken = undefined;
  });

  afterEach(async () => {
    await Promise.all(writers.map((writer) => writer.close()));
    await database.drop();
  });

  /** A process that drains the inbox. */
  const start = () => {
    const writer = startWriter(database.url, { lanes });
    writers.push(writer);
    const inbox = new Inbox(writer.pools.log, 10_000, writer.scopes);
    const find = (type: string) => (type === Count.type ? (Count as LogCommandClass<CountInput>) : undefined);
    const execute = async (command: Count) => {
      await broken?.(command);
      const { name, by } = command.input;
      const { commandId, metadata, record } = command.envelope;
      return writer.execute(count(name, by, { commandId, metadata, record }));
    };
    const worker = new InboxWorker(
      inbox,
      { find } as unknown as CommandRegistry,
      { execute } as unknown as CommandBus,
      new WakeUps(),
      new InboxMetrics(writer.registry, writer.pools.log),
      pino({ level: 'silent' }),
    );
    const command = (name: string, by = 1, fingerprint = 'f'): AcceptedCommand => {
      const partition = writer.writer.partitionOf(name);
      const commandId = `${partition}.${newCommandId()}`;
      return { partition, commandId, type: Count.type, payload: { name, by }, metadata: {}, fingerprint };
    };
    /** One look at the inbox, and what it finds done. */
    const drain = async () => {
      const found = await worker.run();
      await worker.idle();
      return found;
    };
    return { ...writer, inbox, worker, drain, command };
  };
  const row = async ({ commandId }: AcceptedCommand) =>
    (await database.pool.query('SELECT * FROM commands WHERE command_id = $1', [commandId])).rows[0];
  /** By the clock that says what is due, in milliseconds. */
  const databaseMs = async () => (await database.pool.query<{ now: Date }>('SELECT clock_timestamp() AS now')).rows[0]!.now.getTime();
  const due = () => database.pool.query(`UPDATE commands SET due_at = now() - interval '1 ms' WHERE status IN ('accepted', 'scheduled')`);

  test('keeps what it has accepted, and runs it', async () => {
    const { inbox, drain, command, value } = start();
    const commands = Array.from({ length: 50 }, (_, index) => command(`n${index % 5}`));
    const accepted = await Promise.all(commands.map((one) => inbox.accept(one)));
    expect(accepted).toEqual(commands.map(() => ({ isNew: true, fingerprint: 'f' })));
    expect(await value('n0')).toBe(0);
    await drain();
    expect(await value('n0')).toBe(10);
    expect(await row(commands[0]!)).toMatchObject({ status: 'executed', attempts: 1, due_at: null, error: null, created: true });
  });

  test('accepts a command once, at the same time and later', async () => {
    const { inbox, command } = start();
    const other = start();
    const once = command('a');
    const accepted = await Promise.all([inbox.accept(once), inbox.accept(once), other.inbox.accept(once)]);
    expect(accepted.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(await inbox.accept({ ...once, fingerprint: 'other' })).toEqual({ isNew: false, fingerprint: 'f' });
  });

  test('accepts the first of two requests that come with one id at the same time, and tells the other one', async () => {
    const { inbox, command, drain, value } = start();
    const first = command('a', 1, 'f');
    const second = { ...first, payload: { name: 'a', by: 5 }, fingerprint: 'g' };
    expect(await Promise.all([inbox.accept(first), inbox.accept(second)])).toEqual([
      { isNew: true, fingerprint: 'f' },
      { isNew: false, fingerprint: 'f' },
    ]);
    await drain();
    expect(await value('a')).toBe(1);
  });

  test('keeps a command that was accepted while another request with its id was being run', async () => {
    const { inbox, command, execute, drain, value } = start();
    await execute(count('a'));
    const accepted = command('a', 5, 'g');
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM partitions WHERE partition = $1 FOR UPDATE', [accepted.partition]);
    // Its statement has begun, and does not see what is accepted now.
    const direct = execute(count('a', 1, { commandId: accepted.commandId, record: { fingerprint: 'f' } }));
    const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await eventually(async () => (await database.pool.query(waiting)).rows[0].n, (n) => n === 1);
    expect(await inbox.accept(accepted)).toEqual({ isNew: true, fingerprint: 'g' });
    await holder.query('COMMIT');
    holder.release();
    await expect(direct).rejects.toMatchObject({ code: 'idempotency-key-reused' });
    await drain();
    expect(await row(accepted)).toMatchObject({ status: 'executed', fingerprint: 'g', result: 6 });
    expect(await value('a')).toBe(6);
  });

  test('is drained by several workers, each command once', async () => {
    const workers = [start(), start(), start()];
    const commands = Array.from({ length: 600 }, (_, index) => workers[0]!.command(`n${index % 7}`));
    await Promise.all(commands.map((one) => workers[0]!.inbox.accept(one)));
    for (let more = true; more; ) {
      const results = await Promise.all(workers.map(({ drain }) => drain()));
      more = results.some((found) => found !== 'nothing');
    }
    const { rows } = await database.pool.query('SELECT status, count(*)::int AS n, max(attempts) AS attempts FROM commands GROUP BY status');
    expect(rows).toEqual([{ status: 'executed', n: 600, attempts: 1 }]);
    expect((await database.pool.query('SELECT count(*)::int AS n FROM events')).rows[0].n).toBe(600);
  });

  test('runs a command once though two workers hold it, as after a claim that ran out', async () => {
    const [one, two] = [start(), start()];
    const command = one.command('a');
    await one.inbox.accept(command);
    const claims = [await one.inbox.claim(10)];
    await due();
    claims.push(await two.inbox.claim(10));
    expect(claims.map((claimed) => claimed.map(({ command_id }) => command_id))).toEqual([[command.commandId], [command.commandId]]);
    const run = async ({ execute }: TestWriter) => execute(count('a', 1, { commandId: command.commandId, record: { fingerprint: 'f' } }));
    const outcomes = await Promise.all([run(one), run(two)]);
    expect(outcomes.map(({ replayed }) => replayed).sort()).toEqual([false, true]);
    expect(await one.value('a')).toBe(1);
  });

  test('is worked off a few at a time, and what takes long does not hold up the rest', async () => {
    const { inbox, worker, command, value } = start();
    const commands = Array.from({ length: 300 }, (_, index) => command(index % 30 ? 'quick' : 'slow'));
    await Promise.all(commands.map((one) => inbox.accept(one)));
    let finish!: () => void;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    let running = 0;
    let most = 0;
    broken = async ({ input }) => {
      most = Math.max(most, ++running);
      if (input.name === 'slow') await finished;
      else await new Promise(setImmediate);
      running--;
    };
    while ((await worker.run()) !== 'nothing');
    await eventually(() => value('quick'), (quick) => quick === 290);
    finish();
    await worker.idle();
    expect(await value('slow')).toBe(10);
    expect(most).toBeLessThanOrEqual(80);
  });

  test('and the client that asks for the same command directly meet in one effect', async () => {
    const { inbox, drain, command, execute, value } = start();
    const once = command('a');
    await inbox.accept(once);
    const [direct] = await Promise.all([execute(count('a', 1, { commandId: once.commandId, record: { fingerprint: 'f' } })), drain()]);
    expect(direct.status).toBe('executed');
    expect(await value('a')).toBe(1);
    await expect(execute(count('a', 2, { commandId: once.commandId, record: { fingerprint: 'g' } }))).rejects.toMatchObject({ code: 'idempotency-key-reused' });
  });

  test('keeps a refusal as a result', async () => {
    const { inbox, drain, command } = start();
    const refused = command('a', -1);
    await inbox.accept(refused);
    await drain();
    expect(await row(refused)).toMatchObject({ status: 'refused', result: { code: 'below-zero' }, attempts: 1 });
  });

  describe('parks a command that keeps failing', () => {
    const failsAt = (by: number) => {
      broken = ({ input }) => {
        if (input.by === by) throw new Error('a bug \u0000');
      };
    };

    test('after its attempts, each later than the one before, while the others of its partition run', async () => {
      const { inbox, drain, command, value } = start();
      failsAt(13);
      const poison = command('a', 13);
      await inbox.accept(poison);
      for (let attempts = 1; attempts <= 8; attempts++) {
        await inbox.accept(command('a'));
        const beforeMs = await databaseMs();
        await drain();
        expect(await value('a')).toBe(attempts);
        const state = await row(poison);
        expect(state).toMatchObject({ status: attempts < 8 ? 'accepted' : 'failed', attempts, error: 'Error: a bug \uFFFD' });
        // The least that chance leaves of a back-off is more than the most that it makes of the one before.
        if (attempts < 8) expect(state.due_at.getTime()).toBeGreaterThanOrEqual(beforeMs + 0.75 * 200 * 2 ** attempts);
        // However long this test is kept from its next look, the command is not due then.
        await database.pool.query(`UPDATE commands SET due_at = due_at + interval '1 hour' WHERE command_id = $1`, [poison.commandId]);
        await drain();
        expect((await row(poison)).attempts).toBe(attempts);
        await due();
      }
      await drain();
      expect(await row(poison)).toMatchObject({ status: 'failed', attempts: 8 });
      expect((await inbox.list('failed', { acceptedAt: '0001-01-01T00:00:00Z', commandId: '' }, 10)).map(({ command_id }) => command_id)).toEqual([poison.commandId]);
    });

    test('and runs it when it is redriven after the fix, once', async () => {
      const { inbox, drain, command, value } = start();
      failsAt(13);
      const poison = command('a', 13);
      await inbox.accept(poison);
      await database.pool.query('UPDATE commands SET attempts = 7');
      await drain();
      expect((await row(poison)).status).toBe('failed');
      broken = undefined;
      expect(await inbox.redrive(poison.partition, poison.commandId)).toMatchObject({ status: 'accepted', attempts: 0, error: null });
      expect(await inbox.redrive(poison.partition, poison.commandId)).toBeUndefined();
      await drain();
      expect(await row(poison)).toMatchObject({ status: 'executed', attempts: 1, error: null });
      expect(await value('a')).toBe(13);
    });

    test('of a type that no module knows', async () => {
      const { inbox, drain, command } = start();
      const unknown = { ...command('a'), type: 'test.of-the-future' };
      await inbox.accept(unknown);
      await database.pool.query('UPDATE commands SET attempts = 7');
      await drain();
      expect(await row(unknown)).toMatchObject({ status: 'failed', error: expect.stringContaining('test.of-the-future') });
    });

    test('that its own process did not survive', async () => {
      const { inbox, drain, command } = start();
      const deadly = command('a');
      await inbox.accept(deadly);
      // Claimed and never heard of again, seven times.
      for (let death = 0; death < 7; death++) {
        expect(await inbox.claim(10)).toHaveLength(1);
        await due();
      }
      failsAt(1);
      await drain();
      expect(await row(deadly)).toMatchObject({ status: 'failed', attempts: 8 });
    });
  });

  test('does not count an overload as a failure of the command', async () => {
    const { inbox, drain, command, value } = start();
    const patient = command('a');
    await inbox.accept(patient);
    broken = () => { throw new UnavailableError('overloaded', 'full'); };
    const beforeMs = await databaseMs();
    await drain();
    const state = await row(patient);
    expect(state).toMatchObject({ status: 'accepted', error: null });
    expect(state.due_at.getTime()).toBeGreaterThanOrEqual(beforeMs + 1_000);
    broken = undefined;
    await due();
    await drain();
    expect(await value('a')).toBe(1);
  });

  test('forgets commands that were done long ago, and no others', async () => {
    const { inbox, drain, command, execute } = start();
    const [old, waiting, failed, young] = [command('a'), command('b'), command('c'), command('d')];
    await inbox.accept(old);
    await execute(count('e', 1, { key: '1.direct' }));
    await execute(count('f', -1, { key: '1.refused' }));
    await drain();
    await inbox.accept(waiting);
    await inbox.accept(failed);
    await database.pool.query(`UPDATE commands SET status = 'failed' WHERE command_id = $1`, [failed.commandId]);
    await database.pool.query(`UPDATE commands SET accepted_at = accepted_at - interval '8 days', completed_at = completed_at - interval '8 days'`);
    await inbox.accept(young);
    await drain();
    await due();
    // Accepted long ago, done just now.
    const { rows } = await database.pool.query(`SELECT command_id FROM commands WHERE accepted_at < now() - interval '7 days' AND completed_at > now() - interval '7 days'`);
    expect(rows.map(({ command_id }) => command_id)).toEqual([waiting.commandId]);

    let purged = 0;
    for (let some = 1; some > 0; purged += some) some = await inbox.purge(7 * 86_400_000, 2);
    expect(purged).toBe(3);
    const left = (await database.pool.query('SELECT command_id FROM commands')).rows.map(({ command_id }) => command_id);
    expect(left.sort()).toEqual([waiting, failed, young].map(({ commandId }) => commandId).sort());
  });
});
