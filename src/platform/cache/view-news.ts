import type pg from 'pg';
import type { Announcer, Move, Statement } from '../consumers/consumer.js';
import type { Visibility } from '../consumers/visibility.js';
import type { Logger } from '../observability/logger.js';
import { untilNextMs } from '../queue/wake-ups.js';
import { newId } from '../../shared/ids.js';
import type { AnswerCache } from './answer-cache.js';
import type { Checkpoint } from './change-feed.js';
import { decodeMoves, encodeMoves } from './move-messages.js';
import { maxPayloadBytes, notifyStatement, PostgresChannel } from './postgres-channel.js';
import { RedisChannel } from './redis-channel.js';

const lookIntervalMs = 1_000;

/** Two databases that share a Redis are told apart by what PostgreSQL calls them. */
const identitySql = `
SELECT system_identifier::text || '.' || d.oid AS identity
FROM pg_control_system(), pg_database d WHERE d.datname = current_database()`;

const lookSql = `
SELECT v.name AS view, $3 || '.' || to_regclass(v.table_name)::oid AS "tableId", c.partition, c.position
FROM unnest($1::text[], $2::text[]) AS v(name, table_name) JOIN checkpoints c ON c.consumer = v.name`;

/**
 * Tells all nodes how far the views are and what has changed in them, and hears it from others: over Redis where there
 * is one, else by LISTEN and NOTIFY. Asks the database once a second whether something was missed. A node without a
 * cache does not listen.
 */
export class ViewNews implements Announcer {
  private readonly self = newId();
  private identity: string | undefined;
  private postgres: PostgresChannel | undefined;
  private redis: RedisChannel | undefined;
  private timer: NodeJS.Timeout | undefined;
  private looks = Promise.resolve();
  private isStarted = false;
  private wasConnected = false;

  constructor(
    private readonly options: {
      readonly databaseUrl: string;
      readonly redisUrls?: readonly string[];
      /** Whether a view is as far for this node's queries as it is in the primary. */
      readonly readsPrimary: boolean;
    },
    private readonly pool: pg.Pool,
    private readonly listTables: () => { name: string; table: string }[],
    private readonly visibility: Visibility,
    private readonly cache: AnswerCache | undefined,
    private readonly logger: Logger,
  ) {}

  get dropped(): number {
    return this.redis?.dropped ?? 0;
  }

  statement(moves: readonly Move[]): Statement | undefined {
    if (this.options.redisUrls || moves.length === 0) return undefined;
    return notifyStatement(this.channel, encodeMoves(this.self, moves, maxPayloadBytes));
  }

  committed(moves: readonly Move[]): void {
    // In this order: whoever waits for a position may then find in memory what is as of that position.
    this.cache?.feed.hear(moves);
    this.visibility.committed(moves);
    if (moves.length > 0) this.redis?.publish(encodeMoves(this.self, moves, 1_000_000));
  }

  /** Resolves when the first look was taken, or could not be: then the next one may. */
  async start(): Promise<void> {
    this.isStarted = true;
    await this.look(true);
  }

  async stop(): Promise<void> {
    this.isStarted = false;
    clearTimeout(this.timer);
    await this.looks;
    this.redis?.stop();
    this.postgres?.stop();
    await this.cache?.close();
  }

  private get channel(): string {
    return this.options.redisUrls ? `rialto:invalidations:${this.identity}` : 'rialto:invalidations';
  }

  /** One look at a time, and the next one a second after the last: not sooner than what was announced may take to come in. */
  private look(patient: boolean): Promise<void> {
    this.looks = this.looks.then(async () => {
      if (!this.isStarted) return;
      await this.lookOnce(patient);
      clearTimeout(this.timer);
      const isDone = !this.cache && this.identity !== undefined;
      if (!isDone) this.timer = setTimeout(() => void this.look(true), untilNextMs(lookIntervalMs, lookIntervalMs / 2));
    });
    return this.looks;
  }

  private async lookOnce(patient: boolean): Promise<void> {
    try {
      await this.connect();
      if (!this.cache) return;
      const tables = this.listTables();
      const values = [tables.map(({ name }) => name), tables.map(({ table }) => table), this.identity];
      const { rows } = await this.pool.query<Checkpoint>({ name: 'look-at-views', text: lookSql, values });
      const nowMs = performance.now();
      const wasBlind = this.cache.feed.isBlind(nowMs);
      const missed = this.cache.feed.look(rows, nowMs, patient);
      if (this.options.readsPrimary) {
        for (const { view, partition, position } of rows) this.visibility.advance(view, partition, position);
      }
      // A connection that looks alive and over which nothing comes: a new one may be better.
      if (missed && patient && !wasBlind) (this.redis ?? this.postgres)?.restart();
    } catch (error) {
      this.logger.warn({ err: error }, 'could not look how far the views are');
    }
  }

  private async connect(): Promise<void> {
    if (this.identity !== undefined) return;
    const { databaseUrl, redisUrls } = this.options;
    this.identity = (await this.pool.query<{ identity: string }>(identitySql)).rows[0]!.identity;
    const on = {
      message: (text: string) => this.hear(text),
      connected: () => {
        // The first connection has missed nothing that the first look does not tell of as well.
        void this.look(false);
        if (this.wasConnected) this.logger.info('hears of changes again');
        this.wasConnected = true;
      },
      lost: (error: unknown) => this.logger.warn({ err: error }, 'does not hear of changes'),
    };
    if (redisUrls) this.redis = new RedisChannel(redisUrls, this.channel, on, this.cache !== undefined);
    else if (this.cache) this.postgres = new PostgresChannel(databaseUrl, this.channel, on);
    (this.redis ?? this.postgres)?.start();
  }

  private hear(message: string): void {
    const moves = decodeMoves(message, this.self);
    this.cache?.feed.hear(moves);
    if (this.options.readsPrimary) this.visibility.committed(moves);
  }
}
