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

-- Keyed, of the registration that made the row what it is; NULL once something else changed it.
ALTER TABLE installation ADD COLUMN content_hash bytea;

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
