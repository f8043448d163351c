-- The schema that all migrations lead to; tests/migration compares. For reading, and for tools.

-- The numbers of a version, for comparison: trailing zeros do not count and a suffix is left out,
-- so that 2.3 = 2.3.0 = 2.3-rc1 < 2.10.
CREATE FUNCTION version_parts (version text) RETURNS int[]
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN string_to_array(regexp_replace(version, '(\.0+)*([-+].*)?$', ''), '.')::int[];

-- A set of texts, sorted, after some were added and then some were taken away.
CREATE FUNCTION changed_set (present text[], added text[], removed text[]) RETURNS text[]
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (
    SELECT coalesce(array_agg(DISTINCT item ORDER BY item), '{}')
      FROM unnest(present || added) AS item
     WHERE item <> ALL (removed)
  );

-- Why an installation may not be reached, 0: it may be. The rule of domain.model.Suppression, by its
-- numbers. The planner puts the expression in the place of each call.
CREATE FUNCTION suppression (
  token_state smallint, permission smallint, platform smallint, consents_granted text[],
  last_seen_at timestamptz, purpose text, stale_before timestamptz) RETURNS int
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN token_state <> 1 THEN 2
              WHEN permission = 4 OR (permission = 1 AND platform <> 2) THEN 3
              WHEN purpose <> '' AND purpose <> ALL (consents_granted) THEN 4
              WHEN last_seen_at < stale_before THEN 5
              ELSE 0
         END;

-- A row of a page of registrations: an array of them is one argument. NULL: not told. Lists of words
-- are separated by blanks. consents: a list of what `consent_event` keeps of each. Never altered, for
-- running processes know its fields by number: what needs another field makes another type.
CREATE TYPE registration AS (
  is_new boolean,
  installation_id uuid,
  platform smallint,
  provider smallint,
  environment smallint,
  token_sealed bytea,
  token_key_id smallint,
  token_hash bytea,
  vapid_key_id text,
  observed_at timestamptz,
  user_id text,
  permission smallint,
  language text,
  country text,
  time_zone text,
  app_version text,
  os_version text,
  device_model text,
  sdk_version text,
  topics text,
  tags text,
  attributes jsonb,
  last_seen_at timestamptz,
  granted text,
  denied text,
  content_hash bytea,
  consents jsonb
);

CREATE TABLE app (
  app_id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  stale_after interval NOT NULL,
  created_at timestamptz NOT NULL,
  expire_after interval NOT NULL DEFAULT '270 days',
  retention interval NOT NULL DEFAULT '90 days'
);

-- Enumerations hold the numbers of the contract. No foreign keys: each registration would lock the
-- one row of app that all of them share. Every key has installation_id in it, the column to
-- distribute by; live_token has token_hash instead.
CREATE TABLE installation (
  app_id text NOT NULL,
  installation_id uuid NOT NULL,
  platform smallint NOT NULL,
  provider smallint NOT NULL,
  environment smallint NOT NULL,
  token_state smallint NOT NULL,
  token_key_id smallint NOT NULL,
  permission smallint NOT NULL,
  registered_at timestamptz NOT NULL,
  token_changed_at timestamptz NOT NULL,
  observed_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  last_opened_at timestamptz,
  died_at timestamptz,
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  token_sealed bytea NOT NULL,
  token_state_reason text NOT NULL DEFAULT '',
  vapid_key_id text NOT NULL DEFAULT '',
  user_id text,
  language text,
  country text,
  time_zone text,
  app_version text,
  app_version_parts int[] GENERATED ALWAYS AS (version_parts(app_version)) STORED,
  os_version text,
  os_version_parts int[] GENERATED ALWAYS AS (version_parts(os_version)) STORED,
  device_model text,
  sdk_version text,
  topics text[] NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  -- {"plan": {"text": "free"}, "age": {"number": 7}}: the type is the key of the value, so a
  -- comparison that asks for another type finds nothing. Times are microseconds since 1970.
  attributes jsonb NOT NULL,
  -- The latest state of each purpose, for selection; consent_event tells how it came about.
  consents_granted text[] NOT NULL,
  consents_denied text[] NOT NULL,
  -- Keyed, of the registration that made the row what it is; NULL once something else changed it.
  content_hash bytea,
  -- When another call than a registration last said whose it is, what it tells, what was agreed to:
  -- what was observed before does not count any more.
  identified_at timestamptz,
  facts_updated_at timestamptz,
  consents_set_at timestamptz,
  PRIMARY KEY (app_id, installation_id)
) PARTITION BY HASH (installation_id);

CREATE INDEX installation_user ON installation (app_id, user_id) WHERE user_id IS NOT NULL;

-- For audiences that few installations match.
CREATE INDEX installation_sets
  ON installation USING gin (topics, tags, attributes jsonb_path_ops);

-- The one live owner of a token in an app and environment: a row for each ACTIVE installation.
CREATE TABLE live_token (
  app_id text NOT NULL,
  token_hash bytea NOT NULL,
  environment smallint NOT NULL,
  installation_id uuid NOT NULL,
  PRIMARY KEY (app_id, token_hash, environment)
) PARTITION BY HASH (token_hash);

CREATE SEQUENCE history_id;

-- What people agreed to and refused, in order. Rows are only ever added, until they are erased.
CREATE TABLE consent_event (
  app_id text NOT NULL,
  installation_id uuid NOT NULL,
  purpose text NOT NULL,
  event_id bigint NOT NULL DEFAULT nextval('history_id'),
  state smallint NOT NULL,
  source text NOT NULL,
  prompt_strategy text NOT NULL,
  policy_version text NOT NULL,
  actor text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (app_id, installation_id, purpose, event_id)
) PARTITION BY HASH (installation_id);

-- The change feed. A reader goes up by (transaction_id, change_id) and stops before the oldest
-- transaction that still runs, so that nothing is committed behind it. kind: the number of
-- InstallationEventKind. value: of PERMISSION_CHANGED the permission, of CONSENT_CHANGED the state.
CREATE TABLE change (
  app_id text NOT NULL,
  transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  change_id bigint NOT NULL DEFAULT nextval('history_id'),
  installation_id uuid NOT NULL,
  kind smallint NOT NULL,
  platform smallint NOT NULL,
  value smallint NOT NULL DEFAULT 0,
  detail text NOT NULL DEFAULT '',
  happened_at timestamptz NOT NULL,
  PRIMARY KEY (app_id, transaction_id, change_id, installation_id)
) PARTITION BY HASH (installation_id);

CREATE INDEX change_installation ON change (app_id, installation_id);

-- What providers called dead, so that it can be taken back. superseded: another installation had the
-- token after this one, which never gets it back.
CREATE TABLE invalidation (
  app_id text NOT NULL,
  installation_id uuid NOT NULL,
  invalidation_id bigint NOT NULL DEFAULT nextval('history_id'),
  token_hash bytea NOT NULL,
  dead_since timestamptz NOT NULL,
  invalidated_at timestamptz NOT NULL,
  restored_at timestamptz,
  reason text NOT NULL,
  lane text NOT NULL DEFAULT '',
  campaign text NOT NULL DEFAULT '',
  superseded boolean NOT NULL DEFAULT FALSE,
  PRIMARY KEY (app_id, installation_id, invalidation_id)
) PARTITION BY HASH (installation_id);

CREATE INDEX invalidation_time ON invalidation (app_id, invalidated_at, invalidation_id);

-- For whoever gives a token up: who had it before, and could get it back.
CREATE INDEX invalidation_open
  ON invalidation (app_id, token_hash) WHERE NOT superseded AND restored_at IS NULL;

-- Proofs of erasure. They name nobody: subject_hash is keyed.
CREATE TABLE erasure (
  app_id text NOT NULL,
  erasure_id uuid NOT NULL,
  subject smallint NOT NULL,
  subject_hash bytea NOT NULL,
  removed jsonb NOT NULL,
  principal text NOT NULL,
  erased_at timestamptz NOT NULL,
  PRIMARY KEY (app_id, erasure_id)
);

CREATE INDEX erasure_time ON erasure (app_id, erased_at, erasure_id);
CREATE INDEX erasure_subject ON erasure (app_id, subject_hash, erased_at, erasure_id);

-- Reads of raw tokens, and administrative calls.
CREATE TABLE audit_event (
  event_id bigint PRIMARY KEY DEFAULT nextval('history_id'),
  recorded_at timestamptz NOT NULL,
  app_id text NOT NULL,
  principal text NOT NULL,
  peer text NOT NULL,
  method text NOT NULL,
  request_id text NOT NULL,
  details jsonb NOT NULL
);

CREATE INDEX audit_event_time ON audit_event (recorded_at, event_id);
CREATE INDEX audit_event_app ON audit_event (app_id, recorded_at, event_id);

-- What an app had at the last count of a day. It is counted again before its turn at recount_from
-- or later, as soon as `flow` has recount_changes changes of the days from recount_since on.
CREATE TABLE stock (
  app_id text NOT NULL,
  day date NOT NULL,
  counted_at timestamptz NOT NULL,
  document jsonb NOT NULL,
  recount_from timestamptz,
  recount_since date,
  recount_changes bigint,
  PRIMARY KEY (app_id, day)
);

-- What happened on a day, counted from the change feed.
CREATE TABLE flow (
  app_id text NOT NULL,
  day date NOT NULL,
  kind smallint NOT NULL,
  value smallint NOT NULL,
  platform smallint NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (app_id, day, kind, value, platform)
);

-- Positions in the change feed: up to where it is counted ("flow"), and up to where it is
-- deleted ("deleted").
CREATE TABLE bookmark (
  app_id text NOT NULL,
  name text NOT NULL,
  transaction_id xid8 NOT NULL,
  change_id bigint NOT NULL,
  PRIMARY KEY (app_id, name)
);

-- 16 partitions each. With 100 million installations one has some 6 million rows: small enough to
-- vacuum, and to build an index on, in minutes. Rows are refreshed on their own page, where no
-- index changes: the fill factor leaves room for it.
DO $$
DECLARE
  part record;
BEGIN
  FOR part IN
    SELECT parent, remainder, fill
      FROM (VALUES ('installation', 85), ('live_token', 100), ('consent_event', 100),
                   ('change', 100), ('invalidation', 100)) AS t (parent, fill),
           generate_series(0, 15) AS remainder
  LOOP
    EXECUTE format(
      'CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s)
         WITH (fillfactor = %s, autovacuum_vacuum_scale_factor = 0.05,
               autovacuum_analyze_scale_factor = 0.02)',
      part.parent || '_' || part.remainder, part.parent, part.remainder, part.fill);
  END LOOP;
END
$$;
