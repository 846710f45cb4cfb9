import { moveCheckpointsSql } from '../../src/platform/consumers/checkpoints.js';
import type { Stretch, TailBuffer } from '../../src/platform/consumers/tail-buffer.js';
import { checkSql } from '../../src/platform/log/append.js';
import { fenceSql, whoIsThereSql } from '../../src/platform/log/fence.js';
import type { Outcome, Write } from '../../src/platform/log/writer.js';
import { redriveSql } from '../../src/platform/commands/inbox.js';
import { applySql, partitions } from './domain.js';
import { keyOf, type Model } from './simulated-postgres.js';
import { appendModel, appendRules, moveModel, redriveModel, withAppend } from './statements.js';
import { models, type Process, type Sabotage } from './world.js';

/** The inside of a writer, as far as it is meddled with. */
interface Inside {
  pool: { query(text: string, values: unknown[]): Promise<{ rows: { partition: number; command_id: string }[] }> };
  cache: { put(partition: number, entry: unknown): void };
  views: Map<number, unknown>;
  stale: Set<number>;
  append(client: unknown, round: Round): Promise<unknown>;
  catchUp(partition: number, view: unknown): void;
  settle(round: Round, result: { partition: number; won: boolean }[]): unknown;
  resolveLost(open: Pending[], round: Round): Promise<Pending[]>;
}
interface Pending {
  partition: number;
  resolve(outcome: Outcome): void;
}
interface Round {
  decided: Map<number, { pending: Pending; outcome: Outcome }[]>;
  events: Map<number, { position: number; metadata: { commandId: string } }[]>;
  expected: Map<number, unknown>;
  layers: Map<number, { changes(): Iterable<unknown> }>;
}

const inside = (process: Process): Inside => process.writer as unknown as Inside;
const append = (rules: Partial<typeof appendRules>): Sabotage => ({ models: withAppend(models, appendModel({ ...appendRules, ...rules }), partitions) });
const replacing = (text: string, model: Model): Sabotage => ({ models: new Map([...models, [text, model]]) });

/** Bugs, each of which somebody could make. The simulation has to find them all. */
export const mutants: Readonly<Record<string, Sabotage>> = {
  'appends to a partition that others have written to': append({ isCurrent: () => true }),
  'does not look for commands that were done before': append({ isKnown: () => false }),
  'lets the partitions of a command take part one without the other': append({ groupOf: (partition) => partition }),
  'calls a command done that another request was accepted for meanwhile': append({ isTaken: () => false }),
  'answers what it has only looked up without asking whether it still holds': replacing(checkSql, (db, tx, values) =>
    (models.get(checkSql)!(db, tx, values) as object[]).map((row) => ({ ...row, won: true, is_current: true })),
  ),
  'answers before it commits': {
    process: (process) => {
      const writer = inside(process);
      const { append } = writer;
      writer.append = function (client, round) {
        for (const { pending, outcome } of [...round.decided.values()].flat()) pending.resolve(outcome);
        return append.call(this, client, round);
      };
    },
  },
  'forgets what a key was used for': {
    process: ({ writer }) => {
      const execute = writer.execute.bind(writer);
      writer.execute = (write: Write) => execute({ ...write, record: write.record && { fingerprint: null } });
    },
  },
  'accepts a command whatever its id was used for': {
    process: ({ inbox }) => {
      const accept = inbox.accept.bind(inbox);
      inbox.accept = async (command) => ({ ...(await accept(command)), fingerprint: command.fingerprint });
    },
  },
  'runs a command that is done once more, when that is asked for': replacing(redriveSql, redriveModel((command) => command !== undefined)),
  'says that a failed command runs again, and leaves it where it is': replacing(redriveSql, () => []),
  'takes a lost answer for a failure': {
    process: (process) => {
      inside(process).resolveLost = (open) => Promise.resolve(open);
    },
  },
  'looks for what a lost statement did while that may still be under way': replacing(fenceSql, () => []),
  'takes a batch for committed when its first command is there': {
    process: (process) => {
      const writer = inside(process);
      writer.resolveLost = async function (open, round) {
        const places = [...round.expected.keys()].sort((a, b) => a - b);
        const first = places.map((partition) => round.events.get(partition)![0]);
        await this.pool.query(fenceSql, [places]);
        const { rows } = await this.pool.query(whoIsThereSql, [places, first.map((event) => event?.position ?? 0)]);
        const isThere = (partition: number, index: number) =>
          rows.some((row) => row.partition === partition && row.command_id === first[index]?.metadata.commandId);
        const happened = new Set(places.filter(isThere));
        for (const partition of happened) for (const { pending, outcome } of round.decided.get(partition)!) pending.resolve(outcome);
        return open.filter((pending) => !happened.has(pending.partition));
      };
    },
  },
  'does not fold what others have written into the states it holds': {
    process: (process) => {
      inside(process).catchUp = function (partition, view) {
        this.views.set(partition, view);
        this.stale.delete(partition);
      };
    },
  },
  'keeps the states of a batch that has lost': {
    process: (process) => {
      const writer = inside(process);
      const { settle } = writer;
      writer.settle = function (round, result) {
        for (const { partition, won } of result) if (!won) for (const entry of round.layers.get(partition)!.changes()) this.cache.put(partition, entry);
        return settle.call(this, round, result);
      };
    },
  },
  'moves a checkpoint in a transaction of its own': replacing(moveCheckpointsSql, (db, _tx, [consumers, places, , positions]) => {
    (consumers as string[]).forEach((consumer, index) => {
      const key = keyOf((places as number[])[index]!, consumer);
      db.checkpoints.get(key)!.position = (positions as number[])[index]!;
      db.changed.checkpoints.add(key);
    });
    db.onCommit();
    return [];
  }),
  'moves a checkpoint although its projection has failed': replacing(applySql, (db, tx, values) => {
    try {
      return models.get(applySql)!(db, tx, values);
    } catch {
      return [];
    }
  }),
  'goes on from where it left a checkpoint, wherever that is now': replacing(moveCheckpointsSql, moveModel(() => true)),
  'hands on what it remembers of the log, wherever that begins': {
    process: ({ runners }) => {
      for (const { tail } of runners as unknown as { tail: TailBuffer }[]) {
        const { tails } = tail as unknown as { tails: Map<number, Stretch> };
        tail.after = (partition, position, limit) => {
          const held = tails.get(partition);
          if (!held || held.upTo <= position) return undefined;
          const events = held.events.filter((event) => event.position > position).slice(0, limit);
          return { events, upTo: events.length < limit ? held.upTo : events.at(-1)!.position };
        };
      }
    },
  },
};
