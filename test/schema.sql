-- What the migrations make of an empty database. Not run by anything: it is here to be read in a diff.
-- After a new migration: UPDATE_SCHEMA=true npm test -- test/architecture/schema

CREATE TABLE checkpoints (
  consumer text NOT NULL,
  partition smallint NOT NULL,
  position bigint NOT NULL DEFAULT 0,
  failed_position bigint,
  failed_type text,
  error text,
  attempts integer NOT NULL DEFAULT 0,
  retry_at timestamp(3) with time zone,
  CONSTRAINT checkpoints_pkey PRIMARY KEY (consumer, partition)
) WITH (fillfactor=20);
COMMENT ON TABLE checkpoints IS 'How far each consumer has come in each partition; with failed_position, the event it can not get past.';

CREATE TABLE commands (
  partition smallint NOT NULL,
  command_id text COLLATE "C" NOT NULL,
  type text NOT NULL,
  payload json,
  metadata json,
  fingerprint text,
  status text NOT NULL,
  due_at timestamp(3) with time zone,
  created boolean,
  result json,
  first_position bigint,
  last_position bigint,
  attempts smallint NOT NULL DEFAULT 0,
  error text,
  accepted_at timestamp(3) with time zone NOT NULL,
  completed_at timestamp(3) with time zone,
  CONSTRAINT commands_pkey PRIMARY KEY (partition, command_id),
  CONSTRAINT commands_status_check CHECK ((status = ANY (ARRAY['accepted'::text, 'scheduled'::text, 'executed'::text, 'refused'::text, 'failed'::text])))
) PARTITION BY LIST (partition);
-- 16 partitions
CREATE INDEX commands_accepted_at ON ONLY commands USING btree (accepted_at);
CREATE INDEX commands_due ON ONLY commands USING btree (due_at) WHERE (status = ANY (ARRAY['accepted'::text, 'scheduled'::text]));
CREATE INDEX commands_listed ON ONLY commands USING btree (status, accepted_at, command_id) WHERE (status = ANY (ARRAY['accepted'::text, 'scheduled'::text, 'failed'::text]));
COMMENT ON TABLE commands IS 'A command''s whole life in one row: inbox (accepted, scheduled), idempotency record (executed, refused) and dead letter (failed).';

CREATE TABLE events (
  partition smallint NOT NULL,
  position bigint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  type text NOT NULL,
  data jsonb NOT NULL,
  metadata jsonb NOT NULL,
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT events_partition_stream_version_key UNIQUE (partition, stream, version),
  CONSTRAINT events_pkey PRIMARY KEY (partition, "position")
) PARTITION BY LIST (partition);
-- 16 partitions
COMMENT ON TABLE events IS 'The log. Positions of a partition are 1, 2, 3, … without a gap, versions of a stream too.';

CREATE TABLE ledger_accounts (
  ledger text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  overdraft json NOT NULL,
  overdraft_limit bigint NOT NULL,
  balance bigint NOT NULL,
  pending_in bigint NOT NULL,
  pending_out bigint NOT NULL,
  version integer NOT NULL,
  opened_at timestamp(3) with time zone NOT NULL,
  closed_at timestamp(3) with time zone,
  metadata jsonb NOT NULL,
  CONSTRAINT ledger_accounts_pkey PRIMARY KEY (ledger, account_id)
) WITH (fillfactor=70);
CREATE INDEX ledger_accounts_ledger_currency_account_id_idx ON ledger_accounts USING btree (ledger, currency, account_id);

CREATE TABLE ledger_entries (
  ledger text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  recorded_at timestamp(3) with time zone NOT NULL,
  position bigint NOT NULL,
  posting smallint NOT NULL,
  transaction_id text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  balance_after bigint NOT NULL,
  counterparty text COLLATE "C" NOT NULL,
  reference text,
  CONSTRAINT ledger_entries_pkey PRIMARY KEY (ledger, account_id, recorded_at, "position", posting)
);

CREATE TABLE ledger_transactions (
  ledger text COLLATE "C" NOT NULL,
  transaction_id text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  postings json NOT NULL,
  reference text,
  metadata jsonb NOT NULL,
  recorded_at timestamp(3) with time zone NOT NULL,
  expires_at timestamp(3) with time zone,
  reverses text COLLATE "C",
  reversed_by text COLLATE "C",
  reversed_at timestamp(3) with time zone,
  version integer NOT NULL,
  CONSTRAINT ledger_transactions_pkey PRIMARY KEY (ledger, transaction_id)
) WITH (fillfactor=90);

CREATE TABLE ledger_trial_balances (
  ledger text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  accounts bigint NOT NULL,
  debits numeric NOT NULL,
  credits numeric NOT NULL,
  CONSTRAINT ledger_trial_balances_pkey PRIMARY KEY (ledger, currency)
) WITH (fillfactor=50);

CREATE TABLE migrations (
  id integer NOT NULL DEFAULT nextval('migrations_id_seq'::regclass),
  timestamp bigint NOT NULL,
  name character varying NOT NULL,
  CONSTRAINT PK_8c82d7f526340ab734260ea46be PRIMARY KEY (id)
);

CREATE TABLE partitions (
  partition smallint NOT NULL,
  head bigint NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,
  recorded_at timestamp(3) with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone,
  CONSTRAINT partitions_pkey PRIMARY KEY (partition)
) WITH (fillfactor=20);
COMMENT ON TABLE partitions IS 'One row per partition of the log: the position of its last event, and how many batches were committed to it (with or without events). An append is conditional on the revision.';

CREATE TABLE snapshots (
  partition smallint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  state_version smallint NOT NULL,
  state jsonb NOT NULL,
  CONSTRAINT snapshots_pkey PRIMARY KEY (partition, stream)
) PARTITION BY LIST (partition);
-- 16 partitions

CREATE TABLE stream_links (
  partition smallint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  position bigint NOT NULL,
  CONSTRAINT stream_links_pkey PRIMARY KEY (partition, stream, version)
) PARTITION BY LIST (partition);
-- 16 partitions
COMMENT ON TABLE stream_links IS 'The further streams an event belongs to: a transfer is one event, of its transaction and of both accounts.';

SEQUENCE migrations_id_seq;
