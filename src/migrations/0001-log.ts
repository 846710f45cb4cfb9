import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Why: the write side (docs/ARCHITECTURE.md, "The tables").
 * Locks: none that matter, every table is new.
 * Undo: drop the tables; that is the end of the data.
 * Breaking: no.
 *
 * The number of partitions is read from the setting `rialto.partitions`, which the migration runner sets. It is
 * fixed from here on: `hash(key) mod partitions` decides where every stream lives.
 */
export class Log1700000000001 implements MigrationInterface {
  name = 'Log1700000000001';

  async up(sql: QueryRunner): Promise<void> {
    await sql.query(`
      CREATE TABLE partitions (
        partition    smallint PRIMARY KEY,
        head         bigint NOT NULL DEFAULT 0,
        revision     bigint NOT NULL DEFAULT 0,
        recorded_at  timestamptz(3) NOT NULL DEFAULT '1970-01-01Z'
      ) WITH (fillfactor = 20);
      COMMENT ON TABLE partitions IS 'One row per partition of the log: the position of its last event, and how many batches were committed to it (with or without events). An append is conditional on the revision.';

      CREATE TABLE events (
        partition    smallint NOT NULL,
        position     bigint NOT NULL,
        stream       text COLLATE "C" NOT NULL,
        version      integer NOT NULL,
        type         text NOT NULL,
        data         jsonb NOT NULL,
        metadata     jsonb NOT NULL,
        recorded_at  timestamptz(3) NOT NULL,
        PRIMARY KEY (partition, position),
        UNIQUE (partition, stream, version)
      ) PARTITION BY LIST (partition);
      COMMENT ON TABLE events IS 'The log. Positions of a partition are 1, 2, 3, … without a gap, versions of a stream too.';

      CREATE TABLE stream_links (
        partition    smallint NOT NULL,
        stream       text COLLATE "C" NOT NULL,
        version      integer NOT NULL,
        position     bigint NOT NULL,
        PRIMARY KEY (partition, stream, version)
      ) PARTITION BY LIST (partition);
      COMMENT ON TABLE stream_links IS 'The further streams an event belongs to: a transfer is one event, of its transaction and of both accounts.';

      CREATE TABLE commands (
        partition      smallint NOT NULL,
        command_id     text COLLATE "C" NOT NULL,
        type           text NOT NULL,
        payload        json,
        metadata       json,
        fingerprint    text,
        status         text NOT NULL CHECK (status IN ('accepted', 'scheduled', 'executed', 'refused', 'failed')),
        due_at         timestamptz(3),
        created        boolean,
        result         json,
        first_position bigint,
        last_position  bigint,
        attempts       smallint NOT NULL DEFAULT 0,
        error          text,
        accepted_at    timestamptz(3) NOT NULL,
        completed_at   timestamptz(3),
        PRIMARY KEY (partition, command_id)
      ) PARTITION BY LIST (partition);
      COMMENT ON TABLE commands IS 'A command''s whole life in one row: inbox (accepted, scheduled), idempotency record (executed, refused) and dead letter (failed).';
      CREATE INDEX commands_due ON commands (due_at) WHERE status IN ('accepted', 'scheduled');
      CREATE INDEX commands_listed ON commands (status, accepted_at, command_id) WHERE status IN ('accepted', 'scheduled', 'failed');
      -- For the purge. A block range index would cost an insert less, but what no vacuum has summarised yet has to
      -- be read row by row, as often as the purge looks.
      CREATE INDEX commands_accepted_at ON commands (accepted_at);

      CREATE TABLE snapshots (
        partition     smallint NOT NULL,
        stream        text COLLATE "C" NOT NULL,
        version       integer NOT NULL,
        state_version smallint NOT NULL,
        state         jsonb NOT NULL,
        PRIMARY KEY (partition, stream)
      ) PARTITION BY LIST (partition);

      CREATE TABLE checkpoints (
        consumer        text NOT NULL,
        partition       smallint NOT NULL,
        position        bigint NOT NULL DEFAULT 0,
        failed_position bigint,
        failed_type     text,
        error           text,
        attempts        integer NOT NULL DEFAULT 0,
        retry_at        timestamptz(3),
        PRIMARY KEY (consumer, partition)
      ) WITH (fillfactor = 20);
      COMMENT ON TABLE checkpoints IS 'How far each consumer has come in each partition; with failed_position, the event it can not get past.';
    `);
    const [{ partitions }] = await sql.query(`SELECT current_setting('rialto.partitions')::int AS partitions`);
    await sql.query(`INSERT INTO partitions (partition) SELECT generate_series(0, $1::int - 1)`, [partitions]);
    for (let partition = 0; partition < partitions; partition++) {
      for (const table of ['events', 'stream_links', 'commands', 'snapshots']) {
        await sql.query(`CREATE TABLE ${table}_${partition} PARTITION OF ${table} FOR VALUES IN (${partition})`);
      }
    }
  }

  async down(sql: QueryRunner): Promise<void> {
    await sql.query('DROP TABLE checkpoints, snapshots, commands, stream_links, events, partitions');
  }
}
