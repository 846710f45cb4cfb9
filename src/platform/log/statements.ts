import type pg from 'pg';
import { checkSqlFor, type AppendResultRow, type AppendRows } from './append.js';
import { fenceOneSql, fenceSql, lockOneSql, lockSql, whoIsThereOneSql, whoIsThereSql, type WhoIsThereRow } from './fence.js';
import { scoped, type Scope } from './partition.js';
import { refreshSql, type RefreshRow } from './refresh.js';

/** A stream whose state is to be read. */
interface Wanted {
  readonly partition: number;
  readonly name: string;
  readonly stateVersion: number;
}

interface Place {
  readonly partition: number;
  readonly position: number;
}

/**
 * How a writer puts to the database what it has to say of several partitions: in one statement, which is the cheapest, or
 * in a statement for each of them, which a server that holds only some of the partitions can be sent (ADR 0021). What is
 * sent apart is queued on one connection, in the order of partitions: that is the order of locks.
 */
export class LogStatements {
  constructor(readonly areApart: boolean) {}

  async lock(client: pg.ClientBase, partitions: readonly number[]): Promise<void> {
    if (!this.areApart) await client.query({ name: 'lock', text: lockSql, values: [partitions] });
    else await Promise.all(partitions.map((one) => client.query({ name: 'lock-one', text: lockOneSql, values: [one] })));
  }

  async refresh(
    client: pg.ClientBase,
    heads: ReadonlyMap<number, number>,
    wanted: readonly Wanted[],
    maxMissedEvents: number,
  ): Promise<RefreshRow[]> {
    const partitions = [...heads.keys()];
    const results = await Promise.all(
      (this.areApart ? partitions.map((one) => [one]) : [partitions]).map((some) => {
        const own = this.areApart ? wanted.filter(({ partition }) => partition === some[0]) : wanted;
        return client.query<RefreshRow>({
          ...scoped('refresh', refreshSql, onlyOne(some)),
          values: [
            some,
            some.map((partition) => heads.get(partition)),
            own.map(({ partition }) => partition),
            own.map(({ name }) => name),
            own.map(({ stateVersion }) => stateVersion),
            maxMissedEvents,
          ],
        });
      }),
    );
    return results.flatMap(({ rows }) => rows);
  }

  /** Everything is sent before the first answer is waited for: one that loses does not keep the others from being asked. */
  async append(client: pg.ClientBase, all: readonly AppendRows[]): Promise<AppendResultRow[]> {
    const results = await Promise.all(
      all.map((rows) => {
        const { partition, revision, group } = rows.heads;
        const scope = onlyOne(partition);
        return client.query<AppendResultRow>(
          rows.isEmpty
            ? { ...scoped('check', checkSqlFor, this.areApart ? scope : undefined), values: [partition, revision, group] }
            : rows.statement(scope),
        );
      }),
    );
    return results.flatMap(({ rows }) => rows);
  }

  async fence(client: pg.ClientBase, partitions: readonly number[]): Promise<void> {
    if (!this.areApart) await client.query(fenceSql, [partitions]);
    else await Promise.all(partitions.map((one) => client.query(fenceOneSql, [one])));
  }

  async whoIsThere(client: pg.ClientBase, places: readonly Place[]): Promise<WhoIsThereRow[]> {
    const positionsIn = (some: readonly Place[]) => some.map(({ position }) => position);
    if (!this.areApart) {
      return (await client.query<WhoIsThereRow>(whoIsThereSql, [places.map(({ partition }) => partition), positionsIn(places)])).rows;
    }
    const partitions = [...new Set(places.map(({ partition }) => partition))];
    const ask = (one: number) =>
      client.query<WhoIsThereRow>(whoIsThereOneSql, [one, positionsIn(places.filter(({ partition }) => partition === one))]);
    return (await Promise.all(partitions.map(ask))).flatMap(({ rows }) => rows);
  }
}

/** A plan for any of the partitions opens all of them (partition.ts): where there is only one, it is named. */
function onlyOne([only, ...others]: readonly number[]): Scope {
  return others.length > 0 ? undefined : only;
}
