import type pg from 'pg';
import {
  claimCheckpointsSql,
  claimCheckpointsUpToSql,
  headsSql,
  lookForNewsSql,
  lookForNewsUpToSql,
  readEventsSql,
  readEventsOfOneSql,
  type ClaimedCheckpoint,
  type StoredEventRow,
} from './checkpoints.js';

type Sql = Pick<pg.ClientBase, 'query'>;

/** What follows a checkpoint, up to the head that was known when it was claimed. */
export interface Unread {
  readonly partition: number;
  readonly position: number;
  readonly head: number;
}

/** What a runner asks of the log and the checkpoints, in one of two ways. */
export interface Following {
  lookForNews(sql: Sql, consumers: readonly string[]): Promise<{ now: Date; is_news: boolean }>;
  claim(sql: Sql, consumers: readonly string[]): Promise<ClaimedCheckpoint[]>;
  read(sql: Sql, unread: readonly Unread[], perPartition: number, passedOver: readonly string[]): Promise<StoredEventRow[]>;
}

/** A statement for all partitions: the cheapest, where the log is on one server. */
export const together: Following = {
  async lookForNews(sql, consumers) {
    const look = { name: 'look-for-news', text: lookForNewsSql, values: [consumers] };
    return (await sql.query<{ now: Date; is_news: boolean }>(look)).rows[0]!;
  },
  async claim(sql, consumers) {
    const claim = { name: 'claim-checkpoints', text: claimCheckpointsSql, values: [consumers] };
    return (await sql.query<ClaimedCheckpoint>(claim)).rows;
  },
  async read(sql, unread, perPartition, passedOver) {
    const values = [...columnsOf(unread), perPartition, passedOver];
    return (await sql.query<StoredEventRow>({ name: 'read-events', text: readEventsSql, values })).rows;
  },
};

/**
 * Nothing that joins log and checkpoints, for they are not on one server (ADR 0016, 0021), and each partition's events by
 * themselves. The heads are read first: what is appended after that is not claimed, and whoever appends it wakes the runner.
 */
export const apart: Following = {
  async lookForNews(sql, consumers) {
    const values = [consumers, ...(await headsOf(sql))];
    const look = { name: 'look-for-news-up-to', text: lookForNewsUpToSql, values };
    return (await sql.query<{ now: Date; is_news: boolean }>(look)).rows[0]!;
  },
  async claim(sql, consumers) {
    const values = [consumers, ...(await headsOf(sql))];
    const claim = { name: 'claim-checkpoints-up-to', text: claimCheckpointsUpToSql, values };
    return (await sql.query<ClaimedCheckpoint>(claim)).rows;
  },
  async read(sql, unread, perPartition, passedOver) {
    const results = await Promise.all(
      unread.map(({ partition, position, head }) =>
        sql.query<StoredEventRow>({ name: 'read-events-of-one', text: readEventsOfOneSql, values: [partition, position, head, perPartition, passedOver] }),
      ),
    );
    return results.flatMap(({ rows }) => rows);
  },
};

async function headsOf(sql: Sql): Promise<[partitions: number[], heads: number[]]> {
  const { rows } = await sql.query<{ partition: number; head: number }>({ name: 'heads', text: headsSql });
  return [rows.map(({ partition }) => partition), rows.map(({ head }) => head)];
}

function columnsOf(unread: readonly Unread[]): [partitions: number[], positions: number[], heads: number[]] {
  return [unread.map(({ partition }) => partition), unread.map(({ position }) => position), unread.map(({ head }) => head)];
}
