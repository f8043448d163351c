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

CREATE TABLE app (
  app_id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  stale_after interval NOT NULL,
  created_at timestamptz NOT NULL
);

-- Every key begins with app_id: the column to distribute by. No foreign key to app: each
-- registration would lock the one row that all of them share. Enumerations hold the numbers of
-- the contract.
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
  -- {"plan": {"text": "free"}, "age": {"number": 7}}: the type is the key of the value, so a
  -- comparison that asks for another type finds nothing. Times are microseconds since 1970.
  attributes jsonb NOT NULL,
  -- The latest state of each purpose, for selection; consent_event tells how it came about.
  consents_granted text[] NOT NULL,
  consents_denied text[] NOT NULL,
  PRIMARY KEY (app_id, installation_id)
) WITH (fillfactor = 85); -- Room for refreshed rows on their own page, where no index changes.

-- One live owner per token, app and environment.
CREATE UNIQUE INDEX installation_live_token
  ON installation (app_id, token_hash, environment) WHERE token_state = 1;

CREATE INDEX installation_user ON installation (app_id, user_id) WHERE user_id IS NOT NULL;

CREATE INDEX installation_topics ON installation USING gin (topics);

-- What people agreed to and refused, in order. Rows are only ever added.
CREATE TABLE consent_event (
  app_id text NOT NULL,
  installation_id uuid NOT NULL,
  purpose text NOT NULL,
  event_id bigint GENERATED ALWAYS AS IDENTITY,
  state smallint NOT NULL,
  source text NOT NULL,
  prompt_strategy text NOT NULL,
  policy_version text NOT NULL,
  actor text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (app_id, installation_id, purpose, event_id)
);
