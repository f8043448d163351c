-- name: lock_touched
-- The installations $2 and the live owners of the tokens $3, locked in key order; when $4, with
-- their attributes, and when $5, with their purposes; of those that have many attributes, with the
-- bytes of each (see attribute_sizes of domain.limits) in the place of its value. It is cheaper to
-- read a few than to count them.
SELECT i.*
  FROM (
         SELECT unnest($2::uuid[])
          UNION
         SELECT o.installation_id
           FROM unnest($3::bytea[]) AS told (token_hash)
                CROSS JOIN LATERAL (
                  SELECT o.installation_id
                    FROM live_token AS o
                   WHERE o.app_id = $1 AND o.token_hash = told.token_hash
                  OFFSET 0
                ) AS o
          ORDER BY 1
       ) AS touched (installation_id)
       CROSS JOIN LATERAL (
         SELECT i.installation_id, i.platform, i.environment, i.token_hash, i.token_key_id,
                i.token_state, i.registered_at, i.observed_at, i.permission,
                coalesce(i.user_id, '') AS user_id,
                CASE WHEN NOT $4 THEN NULL
                     WHEN pg_column_size(i.attributes) < 1000 THEN i.attributes
                     ELSE (
                  SELECT jsonb_object_agg(a.name, length(a.name) + coalesce(
                           octet_length(a.value ->> 'text'),
                           octet_length(a.value ->> 'version'), 8))
                    FROM jsonb_each(i.attributes) AS a (name, value)
                ) END AS attributes,
                CASE WHEN $5 THEN i.consents_granted || i.consents_denied END AS purposes,
                i.identified_at, i.facts_updated_at, i.consents_set_at
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = touched.installation_id
            FOR UPDATE
       ) AS i;

-- name: move_times_on
-- Registrations that only repeat what their rows are made of, by columns: installations $3, content
-- hashes $4, observed at $5 and last seen at $6, NULL: now, which is $2. Gives the positions of those
-- that are so, owned, sealed with the key $7, and not observed later; the others are left alone.
UPDATE installation AS i
   SET registered_at = greatest(i.registered_at, $2::timestamptz),
       observed_at = greatest(i.observed_at, coalesce(told.observed_at, $2)),
       last_seen_at = greatest(i.last_seen_at, coalesce(told.last_seen_at, $2))
  FROM (
         SELECT $1::text AS app_id, given.*
           FROM unnest($3::uuid[], $4::bytea[], $5::timestamptz[], $6::timestamptz[])
                WITH ORDINALITY
                AS given (installation_id, content_hash, observed_at, last_seen_at, position)
         OFFSET 0
       ) AS told
 WHERE i.app_id = told.app_id AND i.installation_id = told.installation_id
   AND i.content_hash = told.content_hash AND i.token_state = 1 AND i.token_key_id = $7
   AND (told.observed_at IS NULL OR told.observed_at >= i.observed_at)
RETURNING told.position, i.registered_at;

-- name: create_installations
-- First registrations: those of the rows $8 whose installation and token nobody has. Gives them;
-- the others are left alone, and so are all while somebody runs alone, or is to: they overtake it.
-- Whoever is overtaken by another transaction fails as a whole. And what move_times_on does, word
-- for word; gives its positions. Repeats alone go without all of this.
WITH repeated AS (
  UPDATE installation AS i
     SET registered_at = greatest(i.registered_at, $2::timestamptz),
         observed_at = greatest(i.observed_at, coalesce(told.observed_at, $2)),
         last_seen_at = greatest(i.last_seen_at, coalesce(told.last_seen_at, $2))
    FROM (
           SELECT $1::text AS app_id, given.*
             FROM unnest($3::uuid[], $4::bytea[], $5::timestamptz[], $6::timestamptz[])
                  WITH ORDINALITY
                  AS given (installation_id, content_hash, observed_at, last_seen_at, position)
           OFFSET 0
         ) AS told
   WHERE i.app_id = told.app_id AND i.installation_id = told.installation_id
     AND i.content_hash = told.content_hash AND i.token_state = 1 AND i.token_key_id = $7
     AND (told.observed_at IS NULL OR told.observed_at >= i.observed_at)
  RETURNING told.position, i.registered_at
), others AS MATERIALIZED (
  SELECT pg_try_advisory_xact_lock_shared(hashtextextended($1, 1)) AS may_run
), new AS MATERIALIZED (
  SELECT told.*
    FROM unnest($8::registration[]) AS told
         LEFT JOIN LATERAL (
           SELECT TRUE AS is_known
             FROM installation AS i
            WHERE i.app_id = $1 AND i.installation_id = told.installation_id
           OFFSET 0
         ) AS i ON TRUE
         LEFT JOIN LATERAL (
           SELECT TRUE AS is_owned
             FROM live_token AS o
            WHERE o.app_id = $1 AND o.token_hash = told.token_hash
              AND o.environment = told.environment
           OFFSET 0
         ) AS o ON TRUE
   WHERE i.is_known IS NULL AND o.is_owned IS NULL AND (SELECT may_run FROM others)
), created AS (
  INSERT INTO installation (
           app_id, installation_id, platform, provider, environment,
           token_sealed, token_key_id, token_hash, vapid_key_id, token_state,
           registered_at, token_changed_at, created_at, observed_at,
           user_id, permission, language, country, time_zone, app_version, os_version,
           device_model, sdk_version,
           topics, tags, attributes,
           last_seen_at, consents_granted, consents_denied, content_hash)
  SELECT $1, new.installation_id, new.platform, new.provider, new.environment,
         new.token_sealed, new.token_key_id, new.token_hash, new.vapid_key_id, 1,
         $2::timestamptz, $2, $2, coalesce(new.observed_at, $2),
         new.user_id, coalesce(new.permission, 1::smallint), new.language, new.country,
         new.time_zone, new.app_version, new.os_version,
         nullif(new.device_model, ''), nullif(new.sdk_version, ''),
         coalesce(string_to_array(new.topics, ' '), '{}'),
         coalesce(string_to_array(new.tags, ' '), '{}'), coalesce(new.attributes, '{}'),
         coalesce(new.last_seen_at, $2),
         coalesce(string_to_array(new.granted, ' '), '{}'),
         coalesce(string_to_array(new.denied, ' '), '{}'),
         new.content_hash
    FROM new
), owned AS (
  INSERT INTO live_token (app_id, installation_id, token_hash, environment)
  SELECT $1, new.installation_id, new.token_hash, new.environment
    FROM new
), said AS MATERIALIZED (
  SELECT new.installation_id, new.platform, consent.document
    FROM new
         CROSS JOIN LATERAL jsonb_array_elements(new.consents) AS consent (document)
), recorded AS (
  INSERT INTO consent_event (
           app_id, installation_id, purpose, state, source, prompt_strategy, policy_version,
           actor, changed_at)
  SELECT $1, said.installation_id, said.document ->> 0, (said.document -> 1)::smallint,
         said.document ->> 2, said.document ->> 3, said.document ->> 4, said.document ->> 5, $2
    FROM said
), told_of AS (
  INSERT INTO change (app_id, happened_at, installation_id, kind, platform, value, detail)
  SELECT $1, $2, new.installation_id, 1, new.platform, 0, ''
    FROM new
   UNION ALL
  SELECT $1, $2, said.installation_id, 8, said.platform, (said.document -> 1)::smallint,
         said.document ->> 0
    FROM said
)
SELECT new.installation_id, NULL::bigint AS position, NULL::timestamptz AS registered_at
  FROM new
 UNION ALL
SELECT NULL, repeated.position, repeated.registered_at
  FROM repeated;

-- name: replace_owners
-- The installations $2 lose their token to others: REPLACED.
UPDATE installation AS i
   SET token_state = 4, token_state_reason = 'moved_to_another_installation', died_at = $3
  FROM (
         SELECT $1::text AS app_id, unnest($2::uuid[]) AS installation_id
         OFFSET 0
       ) AS lost
 WHERE i.app_id = lost.app_id AND i.installation_id = lost.installation_id;

-- name: write_installations
-- The rows $3, new and known ones at once. A known row, which is locked, meets itself: what was not
-- told stays, the sealed token too, and times never go back. It comes with created_at -infinity,
-- and with placeholders that no value equals where a column may not be NULL. A row that was thought
-- to be new and meets another one is left alone, and missing in the count: a race.
INSERT INTO installation AS i (
         app_id, installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, token_state,
         registered_at, token_changed_at, created_at, observed_at,
         user_id, permission, language, country, time_zone, app_version, os_version,
         device_model, sdk_version,
         topics, tags, attributes,
         last_seen_at, consents_granted, consents_denied, content_hash)
SELECT $1, new.installation_id, new.platform, new.provider, new.environment,
       coalesce(new.token_sealed, ''), coalesce(new.token_key_id, 0), new.token_hash,
       new.vapid_key_id, 1,
       $2::timestamptz, $2, CASE WHEN new.is_new THEN $2 ELSE '-infinity' END,
       coalesce(new.observed_at, $2),
       new.user_id, coalesce(new.permission, new.is_new::int::smallint), new.language, new.country,
       new.time_zone, new.app_version, new.os_version,
       CASE WHEN new.is_new THEN nullif(new.device_model, '') ELSE new.device_model END,
       CASE WHEN new.is_new THEN nullif(new.sdk_version, '') ELSE new.sdk_version END,
       coalesce(string_to_array(new.topics, ' '),
                CASE WHEN new.is_new THEN '{}' ELSE '{""}' END::text[]),
       coalesce(string_to_array(new.tags, ' '),
                CASE WHEN new.is_new THEN '{}' ELSE '{""}' END::text[]),
       coalesce(new.attributes, CASE WHEN new.is_new THEN '{}' ELSE 'null' END::jsonb),
       coalesce(new.last_seen_at, $2),
       coalesce(string_to_array(new.granted, ' '), '{}'),
       coalesce(string_to_array(new.denied, ' '), '{}'),
       new.content_hash
  FROM unnest($3::registration[]) AS new
ON CONFLICT (app_id, installation_id) DO UPDATE
   SET platform = excluded.platform,
       provider = excluded.provider,
       environment = excluded.environment,
       token_sealed =
         CASE excluded.token_sealed WHEN '' THEN i.token_sealed ELSE excluded.token_sealed END,
       token_key_id =
         CASE excluded.token_sealed WHEN '' THEN i.token_key_id ELSE excluded.token_key_id END,
       token_hash = excluded.token_hash,
       vapid_key_id = excluded.vapid_key_id,
       token_state = 1,
       token_state_reason = '',
       died_at = NULL,
       registered_at = greatest(i.registered_at, excluded.registered_at),
       token_changed_at =
         CASE WHEN i.token_hash = excluded.token_hash AND i.environment = excluded.environment
              THEN i.token_changed_at
              ELSE excluded.token_changed_at
         END,
       observed_at = greatest(i.observed_at, excluded.observed_at),
       user_id = coalesce(excluded.user_id, i.user_id),
       permission =
         CASE excluded.permission WHEN 0 THEN i.permission ELSE excluded.permission END,
       language = coalesce(excluded.language, i.language),
       country = coalesce(excluded.country, i.country),
       time_zone = coalesce(excluded.time_zone, i.time_zone),
       app_version = coalesce(excluded.app_version, i.app_version),
       os_version = coalesce(excluded.os_version, i.os_version),
       device_model = nullif(coalesce(excluded.device_model, i.device_model), ''),
       sdk_version = nullif(coalesce(excluded.sdk_version, i.sdk_version), ''),
       topics = CASE excluded.topics WHEN '{""}' THEN i.topics ELSE excluded.topics END,
       tags = CASE excluded.tags WHEN '{""}' THEN i.tags ELSE excluded.tags END,
       attributes =
         CASE excluded.attributes
              WHEN 'null' THEN i.attributes
              ELSE i.attributes || excluded.attributes
         END,
       last_seen_at = greatest(i.last_seen_at, excluded.last_seen_at),
       -- Most registrations repeat what was said, and changed_set costs as much as the row.
       consents_granted =
         CASE WHEN excluded.consents_granted <@ i.consents_granted
               AND NOT excluded.consents_denied && i.consents_granted
              THEN i.consents_granted
              ELSE changed_set(i.consents_granted, excluded.consents_granted,
                               excluded.consents_denied)
         END,
       consents_denied =
         CASE WHEN excluded.consents_denied <@ i.consents_denied
               AND NOT excluded.consents_granted && i.consents_denied
              THEN i.consents_denied
              ELSE changed_set(i.consents_denied, excluded.consents_denied,
                               excluded.consents_granted)
         END,
       content_hash = excluded.content_hash
 WHERE excluded.created_at = '-infinity';
