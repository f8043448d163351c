-- name: lock_touched
-- The installations $2 and the live owners of the tokens $3, locked in key order; when $4, with
-- their attributes; of those that have many, with the bytes of each (see attribute_sizes of
-- domain.limits) in the place of its value. It is cheaper to read a few than to count them.
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
                ) END AS attributes
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = touched.installation_id
            FOR UPDATE
       ) AS i;

-- name: replace_owners
-- The installations $2 lose their token to others: REPLACED.
UPDATE installation AS i
   SET token_state = 4, token_state_reason = 'moved_to_another_installation', died_at = $3
  FROM (
         SELECT $1::text AS app_id, unnest($2::uuid[]) AS installation_id
         OFFSET 0
       ) AS lost
 WHERE i.app_id = lost.app_id AND i.installation_id = lost.installation_id;

-- name: insert_installations
-- New rows, by columns. Lists of words are separated by blanks; a fact that is NULL was not told.
INSERT INTO installation (
         app_id, installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, token_state,
         registered_at, token_changed_at, created_at, observed_at,
         user_id, permission, language, country, time_zone, app_version, os_version,
         device_model, sdk_version, topics, attributes, last_seen_at,
         consents_granted, consents_denied, tags)
SELECT $1, new.installation_id, new.platform, new.provider, new.environment,
       new.token_sealed, new.token_key_id, new.token_hash, new.vapid_key_id, 1,
       $2, $2, $2, coalesce(new.observed_at, $2),
       new.user_id, coalesce(new.permission, 1), new.language, new.country, new.time_zone,
       new.app_version, new.os_version, nullif(new.device_model, ''), nullif(new.sdk_version, ''),
       coalesce(string_to_array(new.topics, ' '), '{}'), coalesce(new.attributes, '{}'),
       coalesce(new.last_seen_at, $2),
       coalesce(string_to_array(new.granted, ' '), '{}'),
       coalesce(string_to_array(new.denied, ' '), '{}'),
       coalesce(string_to_array(new.tags, ' '), '{}')
  FROM unnest(
         $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[],
         $7::bytea[], $8::smallint[], $9::bytea[], $10::text[], $11::timestamptz[],
         $12::text[], $13::smallint[], $14::text[], $15::text[], $16::text[], $17::text[],
         $18::text[], $19::text[], $20::text[], $21::text[], $22::jsonb[], $23::timestamptz[],
         $24::text[], $25::text[], $26::text[]
       ) AS new (
         installation_id, platform, provider, environment,
         token_sealed, token_key_id, token_hash, vapid_key_id, observed_at,
         user_id, permission, language, country, time_zone, app_version,
         os_version, device_model, sdk_version, topics, attributes, last_seen_at,
         granted, denied, tags
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
       tags = coalesce(string_to_array(new.tags, ' '), i.tags),
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
  FROM (
         -- Apart, so that the page comes first and its rows are looked up by the whole key.
         SELECT $1::text AS app_id, told.*
           FROM unnest(
                  $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[],
                  $7::bytea[], $8::smallint[], $9::bytea[], $10::text[], $11::timestamptz[],
                  $12::text[], $13::smallint[], $14::text[], $15::text[], $16::text[], $17::text[],
                  $18::text[], $19::text[], $20::text[], $21::text[], $22::jsonb[],
                  $23::timestamptz[], $24::text[], $25::text[], $26::text[]
                ) AS told (
                  installation_id, platform, provider, environment,
                  token_sealed, token_key_id, token_hash, vapid_key_id, observed_at,
                  user_id, permission, language, country, time_zone, app_version,
                  os_version, device_model, sdk_version, topics, attributes, last_seen_at,
                  granted, denied, tags
                )
         OFFSET 0
       ) AS new
 WHERE i.app_id = new.app_id AND i.installation_id = new.installation_id;
