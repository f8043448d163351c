-- name: create_app
-- One row when the id was free, none when it was taken.
INSERT INTO app (app_id, display_name, stale_after, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id) DO NOTHING
RETURNING app_id, display_name, stale_after, created_at;

-- name: app
-- One app.
SELECT app_id, display_name, stale_after, created_at FROM app WHERE app_id = $1;

-- name: apps
-- Apps in the order of their ids, those after $1.
SELECT app_id, display_name, stale_after, created_at
  FROM app
 WHERE app_id > $1
 ORDER BY app_id
 LIMIT $2;

-- name: queue_up
-- Writers of an app that came into each other's way take turns until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended($1, 1));

-- name: lock_touched
-- The installations $2 and the live owners of the tokens $3, locked in key order; with the names
-- of their attributes when $4.
SELECT i.installation_id, i.environment, i.token_hash, i.token_key_id, i.token_state = 1 AS live,
       i.registered_at, i.observed_at,
       CASE WHEN $4 THEN ARRAY(SELECT jsonb_object_keys(i.attributes)) ELSE '{}' END AS attributes
  FROM installation AS i
 WHERE i.app_id = $1
   AND i.installation_id IN (
         SELECT unnest($2::uuid[])
          UNION
         SELECT o.installation_id
           FROM installation AS o
          WHERE o.app_id = $1 AND o.token_hash = ANY ($3::bytea[]) AND o.token_state = 1
       )
 ORDER BY i.installation_id
   FOR UPDATE OF i;

-- name: replace_owners
-- The installations $2 lose their token to others: REPLACED.
UPDATE installation
   SET token_state = 4, token_state_reason = 'moved_to_another_installation', died_at = $3
 WHERE app_id = $1 AND installation_id = ANY ($2::uuid[]);

-- name: insert_installations
-- New rows, by columns. Lists of words are separated by blanks; a fact that is NULL was not told.
INSERT INTO installation (
         app_id, installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, token_state,
         registered_at, token_changed_at, created_at, observed_at,
         user_id, permission, language, country, time_zone, app_version, os_version,
         device_model, sdk_version, topics, attributes, last_seen_at,
         consents_granted, consents_denied)
SELECT $1, new.installation_id, new.platform, new.provider, new.environment,
       new.token_sealed, new.token_key_id, new.token_hash, new.vapid_key_id, 1,
       $2, $2, $2, coalesce(new.observed_at, $2),
       new.user_id, coalesce(new.permission, 1), new.language, new.country, new.time_zone,
       new.app_version, new.os_version, nullif(new.device_model, ''), nullif(new.sdk_version, ''),
       coalesce(string_to_array(new.topics, ' '), '{}'), coalesce(new.attributes, '{}'),
       coalesce(new.last_seen_at, $2),
       coalesce(string_to_array(new.granted, ' '), '{}'),
       coalesce(string_to_array(new.denied, ' '), '{}')
  FROM unnest(
         $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[],
         $7::bytea[], $8::smallint[], $9::bytea[], $10::text[], $11::timestamptz[],
         $12::text[], $13::smallint[], $14::text[], $15::text[], $16::text[], $17::text[],
         $18::text[], $19::text[], $20::text[], $21::text[], $22::jsonb[], $23::timestamptz[],
         $24::text[], $25::text[]
       ) AS new (
         installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, observed_at,
         user_id, permission, language, country, time_zone, app_version,
         os_version, device_model, sdk_version, topics, attributes, last_seen_at,
         granted, denied
       );

-- name: refresh_installations
-- Known rows, by the same columns as insert_installations. What is NULL stays as it is, the
-- sealed token too; times never go back.
UPDATE installation AS i
   SET platform = new.platform,
       provider = new.provider,
       environment = new.environment,
       token_sealed = coalesce(new.token_sealed, i.token_sealed),
       token_key_id = coalesce(new.token_key_id, i.token_key_id),
       token_hash = new.token_hash,
       vapid_key_id = new.vapid_key_id,
       token_state = 1,
       token_state_reason = '',
       died_at = NULL,
       registered_at = greatest(i.registered_at, $2),
       token_changed_at =
         CASE WHEN i.token_hash = new.token_hash AND i.environment = new.environment
              THEN i.token_changed_at
              ELSE $2
         END,
       observed_at = greatest(i.observed_at, coalesce(new.observed_at, $2)),
       user_id = coalesce(new.user_id, i.user_id),
       permission = coalesce(new.permission, i.permission),
       language = coalesce(new.language, i.language),
       country = coalesce(new.country, i.country),
       time_zone = coalesce(new.time_zone, i.time_zone),
       app_version = coalesce(new.app_version, i.app_version),
       os_version = coalesce(new.os_version, i.os_version),
       device_model = nullif(coalesce(new.device_model, i.device_model), ''),
       sdk_version = nullif(coalesce(new.sdk_version, i.sdk_version), ''),
       topics = coalesce(string_to_array(new.topics, ' '), i.topics),
       attributes =
         CASE WHEN new.attributes IS NULL THEN i.attributes ELSE i.attributes || new.attributes END,
       last_seen_at = greatest(i.last_seen_at, coalesce(new.last_seen_at, $2)),
       consents_granted =
         CASE WHEN new.granted IS NULL
              THEN i.consents_granted
              ELSE changed_set(i.consents_granted, string_to_array(new.granted, ' '),
                               string_to_array(new.denied, ' '))
         END,
       consents_denied =
         CASE WHEN new.denied IS NULL
              THEN i.consents_denied
              ELSE changed_set(i.consents_denied, string_to_array(new.denied, ' '),
                               string_to_array(new.granted, ' '))
         END
  FROM unnest(
         $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[],
         $7::bytea[], $8::smallint[], $9::bytea[], $10::text[], $11::timestamptz[],
         $12::text[], $13::smallint[], $14::text[], $15::text[], $16::text[], $17::text[],
         $18::text[], $19::text[], $20::text[], $21::text[], $22::jsonb[], $23::timestamptz[],
         $24::text[], $25::text[]
       ) AS new (
         installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, observed_at,
         user_id, permission, language, country, time_zone, app_version,
         os_version, device_model, sdk_version, topics, attributes, last_seen_at,
         granted, denied
       )
 WHERE i.app_id = $1 AND i.installation_id = new.installation_id;

-- name: record_consents
-- Appends changes to the ledger, by columns, in order; not those that only repeat the latest
-- event of their purpose. The rows of their installations are locked.
INSERT INTO consent_event (
         app_id, installation_id, purpose, state, source, prompt_strategy, policy_version, actor,
         changed_at)
SELECT $1, new.installation_id, new.purpose, new.state, new.source, new.prompt_strategy,
       new.policy_version, new.actor, $2
  FROM unnest($3::uuid[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::text[],
              $9::text[])
       WITH ORDINALITY AS new (installation_id, purpose, state, source, prompt_strategy,
                               policy_version, actor, position)
       LEFT JOIN LATERAL (
         SELECT e.state, e.source, e.prompt_strategy, e.policy_version, e.actor
           FROM consent_event AS e
          WHERE e.app_id = $1 AND e.installation_id = new.installation_id
            AND e.purpose = new.purpose
          ORDER BY e.event_id DESC
          LIMIT 1
       ) AS latest ON TRUE
 WHERE (new.state, new.source, new.prompt_strategy, new.policy_version, new.actor)
       IS DISTINCT FROM (latest.state, latest.source, latest.prompt_strategy,
                         latest.policy_version, latest.actor)
 ORDER BY new.position;

-- name: installation
-- One installation, without its token.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id = $2;

-- name: installations
-- Installations from the key $2 on that match the predicate, in key order, without their tokens.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id >= $2 AND TRUE /* predicate */
 ORDER BY i.installation_id
 LIMIT $3;

-- name: update_installation
-- Facts that are NULL stay; then topics $13 are added, $14 and attributes $15 taken away.
UPDATE installation AS i
   SET permission = coalesce($3, i.permission),
       language = coalesce($4, i.language),
       country = coalesce($5, i.country),
       time_zone = coalesce($6, i.time_zone),
       app_version = coalesce($7, i.app_version),
       os_version = coalesce($8, i.os_version),
       device_model = nullif(coalesce($9, i.device_model), ''),
       sdk_version = nullif(coalesce($10, i.sdk_version), ''),
       topics = changed_set(coalesce($11::text[], i.topics), $13::text[], $14::text[]),
       attributes = (i.attributes || coalesce($12::jsonb, '{}')) - $15::text[],
       last_seen_at = greatest(i.last_seen_at, $16)
 WHERE i.app_id = $1 AND i.installation_id = $2
RETURNING i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
          i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
          i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.attributes,
          i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
          i.token_changed_at;

-- name: set_user
-- The user of one installation, $3 empty: none; gives the one before. Waits for other writers.
WITH before AS (
  SELECT o.user_id
    FROM installation AS o
   WHERE o.app_id = $1 AND o.installation_id = $2
     FOR UPDATE
)
UPDATE installation AS i
   SET user_id = nullif($3, '')
  FROM before
 WHERE i.app_id = $1 AND i.installation_id = $2
RETURNING coalesce(before.user_id, '') AS user_id;

-- name: set_consents
-- Purposes $3 are granted and $4 denied; gives the latest state of all.
UPDATE installation
   SET consents_granted = changed_set(consents_granted, $3::text[], $4::text[]),
       consents_denied = changed_set(consents_denied, $4::text[], $3::text[])
 WHERE app_id = $1 AND installation_id = $2
RETURNING consents_granted, consents_denied;

-- name: select_targets
-- Matching installations from key $2 to $3, in key order, with the first reason that keeps each
-- from being reached, 0 for none. The token of a suppressed row stays here.
-- Permission: not denied; where apps have to ask, which all but Android's older ones do, granted.
-- Consent: asked for when the purpose $4 is not empty. Stale: last seen before $5.
SELECT s.suppression, uuid_send(s.installation_id) AS id,
       substring(s.token_hash FOR 16) AS token_ref, s.platform, s.provider, s.environment,
       CASE WHEN s.suppression = 0 THEN s.token_sealed END AS sealed, s.token_key_id,
       s.vapid_key_id, timestamptz_send(s.registered_at) AS registered_at
  FROM (
         SELECT i.installation_id, i.token_hash, i.platform, i.provider, i.environment,
                i.token_sealed, i.token_key_id, i.vapid_key_id, i.registered_at,
                CASE WHEN i.token_state <> 1 THEN 2
                     WHEN i.permission = 4 OR (i.permission = 1 AND i.platform <> 2) THEN 3
                     WHEN $4::text <> '' AND $4 <> ALL (i.consents_granted) THEN 4
                     WHEN i.last_seen_at < $5::timestamptz THEN 5
                     ELSE 0
                END AS suppression
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
          ORDER BY i.installation_id
          LIMIT $6
       ) AS s
 ORDER BY s.installation_id;

-- name: count_targets
-- What select_targets gives for all keys from $2 to $3, counted by reason and platform.
SELECT s.suppression, s.platform, count(*) AS installations
  FROM (
         SELECT i.platform,
                CASE WHEN i.token_state <> 1 THEN 2
                     WHEN i.permission = 4 OR (i.permission = 1 AND i.platform <> 2) THEN 3
                     WHEN $4::text <> '' AND $4 <> ALL (i.consents_granted) THEN 4
                     WHEN i.last_seen_at < $5::timestamptz THEN 5
                     ELSE 0
                END AS suppression
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
       ) AS s
 GROUP BY s.suppression, s.platform;

-- name: invalidate_tokens
-- One row per reported token, in order, with the number of its InvalidationOutcome. A token dies
-- only if it is the same, live, and was not registered after it was dead. The report sees the
-- rows as they were; what changed meanwhile was registered again, and is kept as newer.
WITH dead AS (
  SELECT d.position, d.installation_id, d.token_ref, d.dead_since, d.reason
    FROM unnest($2::uuid[], $3::bytea[], $4::timestamptz[], $5::text[])
         WITH ORDINALITY AS d (installation_id, token_ref, dead_since, reason, position)
), retired AS (
  UPDATE installation AS i
     SET token_state = 2, token_state_reason = dead.reason, died_at = dead.dead_since
    FROM dead
   WHERE i.app_id = $1 AND i.installation_id = dead.installation_id
     AND substring(i.token_hash FOR 16) = dead.token_ref
     AND i.token_state = 1 AND i.registered_at <= dead.dead_since
  RETURNING i.installation_id, dead.position
)
SELECT CASE WHEN i.installation_id IS NULL THEN 5
            WHEN retired.position = dead.position THEN 1
            WHEN substring(i.token_hash FOR 16) <> dead.token_ref THEN 3
            WHEN i.token_state <> 1 THEN 4
            WHEN i.registered_at > dead.dead_since THEN 2
            WHEN retired.position IS NOT NULL THEN 4
            ELSE 2
       END AS outcome
  FROM dead
       LEFT JOIN installation AS i
         ON i.app_id = $1 AND i.installation_id = dead.installation_id
       LEFT JOIN retired ON retired.installation_id = dead.installation_id
 ORDER BY dead.position;
