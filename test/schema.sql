-- What the migrations make of an empty database. Not run by anything: it is here to be read in a diff.
-- After a new migration: UPDATE_SCHEMA=true npm test -- test/architecture/schema

CREATE TABLE catalog_prices (
  product_id text COLLATE "C" NOT NULL,
  category text COLLATE "C" NOT NULL,
  sku text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  currency text COLLATE "C" NOT NULL,
  below bigint NOT NULL /* The next price below it of the same product and currency, -1 when it is the lowest. */,
  orderable boolean NOT NULL,
  CONSTRAINT catalog_prices_pkey PRIMARY KEY (product_id, category, sku) INCLUDE (currency, amount)
);
CREATE INDEX catalog_prices_category_currency_orderable_amount_product_i_idx ON catalog_prices USING btree (category, currency, orderable, amount, product_id) INCLUDE (below);
COMMENT ON TABLE catalog_prices IS 'One row per SKU and category of its product, and one per SKU in the category '''', which is the whole catalogue.';

CREATE TABLE catalog_products (
  product_id text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  name text NOT NULL,
  sort_name text COLLATE "C" NOT NULL,
  description text NOT NULL,
  categories jsonb NOT NULL,
  attributes jsonb NOT NULL,
  variants jsonb NOT NULL,
  created_at timestamp(3) with time zone NOT NULL,
  position bigint NOT NULL,
  version integer NOT NULL,
  search tsvector NOT NULL GENERATED ALWAYS AS (((((to_tsvector('simple'::regconfig, name) || to_tsvector('simple'::regconfig, description)) || jsonb_to_tsvector('simple'::regconfig, categories, '["string"]'::jsonb)) || jsonb_to_tsvector('simple'::regconfig, jsonb_path_query_array(variants, '$[*]."sku"'::jsonpath), '["string"]'::jsonb)) || jsonb_to_tsvector('simple'::regconfig, jsonb_path_query_array(variants, '$[*]."name"'::jsonpath), '["string"]'::jsonb))) STORED,
  answer text NOT NULL GENERATED ALWAYS AS (catalog_product_answer(product_id, status, name, description, categories, attributes, variants, version, created_at)) STORED,
  CONSTRAINT catalog_products_pkey PRIMARY KEY (product_id)
);
CREATE INDEX catalog_products_categories_idx ON catalog_products USING gin (categories);
CREATE INDEX catalog_products_search_idx ON catalog_products USING gin (search);
CREATE INDEX catalog_products_status_position_idx ON catalog_products USING btree (status, "position");
CREATE INDEX catalog_products_status_sort_name_product_id_idx ON catalog_products USING btree (status, sort_name, product_id);

CREATE TABLE catalog_skus (
  sku text COLLATE "C" NOT NULL,
  product_id text COLLATE "C" NOT NULL,
  name text,
  amount bigint NOT NULL,
  currency text COLLATE "C" NOT NULL,
  orderable boolean NOT NULL,
  CONSTRAINT catalog_skus_pkey PRIMARY KEY (sku)
);
CREATE INDEX catalog_skus_currency_orderable_amount_product_id_idx ON catalog_skus USING btree (currency, orderable, amount, product_id);
CREATE INDEX catalog_skus_product_id_currency_amount_sku_idx ON catalog_skus USING btree (product_id, currency, amount, sku);

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
  partition smallint NOT NULL STATISTICS 10,
  command_id text COLLATE "C" NOT NULL STATISTICS 10,
  type text NOT NULL STATISTICS 10,
  payload json STATISTICS 0,
  metadata json STATISTICS 0,
  fingerprint text STATISTICS 10,
  status text NOT NULL STATISTICS 10,
  due_at timestamp(3) with time zone STATISTICS 10,
  created boolean STATISTICS 10,
  result json STATISTICS 0,
  first_position bigint STATISTICS 10,
  last_position bigint STATISTICS 10,
  attempts smallint NOT NULL DEFAULT 0 STATISTICS 10,
  error text STATISTICS 0,
  accepted_at timestamp(3) with time zone NOT NULL STATISTICS 10,
  completed_at timestamp(3) with time zone STATISTICS 10,
  CONSTRAINT commands_pkey PRIMARY KEY (partition, command_id),
  CONSTRAINT commands_status_check CHECK ((status = ANY (ARRAY['accepted'::text, 'scheduled'::text, 'executed'::text, 'refused'::text, 'failed'::text])))
) PARTITION BY LIST (partition);
-- 16 partitions
CREATE INDEX commands_accepted_at ON ONLY commands USING btree (accepted_at);
CREATE INDEX commands_due ON ONLY commands USING btree (due_at) WHERE (status = ANY (ARRAY['accepted'::text, 'scheduled'::text]));
CREATE INDEX commands_listed ON ONLY commands USING btree (status, accepted_at, command_id) WHERE (status = ANY (ARRAY['accepted'::text, 'scheduled'::text, 'failed'::text]));
COMMENT ON TABLE commands IS 'A command''s whole life in one row: inbox (accepted, scheduled), idempotency record (executed, refused) and dead letter (failed).';

CREATE TABLE events (
  partition smallint NOT NULL STATISTICS 10,
  position bigint NOT NULL STATISTICS 10,
  stream text COLLATE "C" NOT NULL STATISTICS 10,
  version integer NOT NULL STATISTICS 10,
  type text NOT NULL STATISTICS 10,
  data jsonb NOT NULL STATISTICS 0,
  metadata jsonb NOT NULL STATISTICS 0,
  recorded_at timestamp(3) with time zone NOT NULL STATISTICS 10,
  CONSTRAINT events_partition_stream_version_key UNIQUE (partition, stream, version),
  CONSTRAINT events_pkey PRIMARY KEY (partition, "position")
) PARTITION BY LIST (partition);
-- 16 partitions
COMMENT ON TABLE events IS 'The log. Positions of a partition are 1, 2, 3, … without a gap, versions of a stream too.';

CREATE TABLE inventory_movements (
  sku text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  line smallint NOT NULL,
  recorded_at timestamp(3) with time zone NOT NULL,
  type text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  quantity bigint NOT NULL,
  on_hand_after bigint NOT NULL,
  reserved_after bigint NOT NULL,
  reservation_id text COLLATE "C",
  reference text,
  reason text,
  CONSTRAINT inventory_movements_pkey PRIMARY KEY (sku, "position", line)
);

CREATE TABLE inventory_reservations (
  sku text COLLATE "C" NOT NULL,
  reservation_id text COLLATE "C" NOT NULL,
  quantity bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  allocations json NOT NULL,
  expires_at timestamp(3) with time zone,
  CONSTRAINT inventory_reservations_pkey PRIMARY KEY (sku, reservation_id)
) WITH (fillfactor=90);

CREATE TABLE inventory_stock (
  sku text COLLATE "C" NOT NULL,
  until timestamp(3) with time zone NOT NULL,
  location text COLLATE "C" NOT NULL,
  first_position bigint NOT NULL,
  on_hand bigint NOT NULL,
  reserved bigint NOT NULL,
  versions integer NOT NULL,
  CONSTRAINT inventory_stock_pkey PRIMARY KEY (sku, until, location)
) WITH (fillfactor=70);
COMMENT ON TABLE inventory_stock IS 'Per SKU and location: what is there, in the row of until = infinity; and how much of what is reserved stops counting at a moment, in a row for each.';

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

CREATE TABLE ordering_orders (
  order_id text COLLATE "C" NOT NULL,
  customer_id text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  placed_at timestamp(3) with time zone NOT NULL,
  version integer NOT NULL,
  state json NOT NULL STATISTICS 0,
  CONSTRAINT ordering_orders_pkey PRIMARY KEY (order_id)
) WITH (fillfactor=50);
CREATE INDEX ordering_orders_customer_id_placed_at_order_id_idx ON ordering_orders USING btree (customer_id, placed_at, order_id);
CREATE INDEX ordering_orders_placed_at_order_id_idx ON ordering_orders USING btree (placed_at, order_id);
CREATE INDEX ordering_orders_status_placed_at_order_id_idx ON ordering_orders USING btree (status, placed_at, order_id);
COMMENT ON TABLE ordering_orders IS 'One row per order: its state as the domain folds it, and what lists are filtered by.';

CREATE TABLE partitions (
  partition smallint NOT NULL,
  head bigint NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,
  recorded_at timestamp(3) with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone,
  CONSTRAINT partitions_pkey PRIMARY KEY (partition)
) WITH (fillfactor=20);
COMMENT ON TABLE partitions IS 'One row per partition of the log: the position of its last event, and how many batches were committed to it (with or without events). An append is conditional on the revision.';

CREATE TABLE snapshots (
  partition smallint NOT NULL STATISTICS 10,
  stream text COLLATE "C" NOT NULL STATISTICS 10,
  version integer NOT NULL STATISTICS 10,
  state_version smallint NOT NULL STATISTICS 10,
  state jsonb NOT NULL STATISTICS 0,
  CONSTRAINT snapshots_pkey PRIMARY KEY (partition, stream)
) PARTITION BY LIST (partition);
-- 16 partitions

CREATE TABLE stream_links (
  partition smallint NOT NULL STATISTICS 10,
  stream text COLLATE "C" NOT NULL STATISTICS 10,
  version integer NOT NULL STATISTICS 10,
  position bigint NOT NULL STATISTICS 10,
  CONSTRAINT stream_links_pkey PRIMARY KEY (partition, stream, version)
) PARTITION BY LIST (partition);
-- 16 partitions
COMMENT ON TABLE stream_links IS 'The further streams an event belongs to: a transfer is one event, of its transaction and of both accounts.';

FUNCTION catalog_product_answer(text,text,text,text,jsonb,jsonb,jsonb,integer,timestamp with time zone)
CREATE OR REPLACE FUNCTION public.catalog_product_answer(product_id text, status text, name text, description text, categories jsonb, attributes jsonb, variants jsonb, version integer, created_at timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
        SELECT json_build_object('productId', product_id, 'status', status, 'name', name, 'description', description,
          'categories', categories, 'attributes', attributes, 'variants', variants, 'version', version,
          'createdAt', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))::text
      $function$
;
FUNCTION lock_partitions(smallint[])
CREATE OR REPLACE FUNCTION public.lock_partitions(wanted smallint[])
 RETURNS TABLE(partition smallint, revision bigint)
 LANGUAGE plpgsql
 STRICT ROWS 16
AS $function$
      BEGIN
        RETURN QUERY
          SELECT p.partition, p.revision FROM partitions p WHERE p.partition = ANY (wanted) ORDER BY p.partition FOR UPDATE;
      END $function$
;
SEQUENCE migrations_id_seq;
