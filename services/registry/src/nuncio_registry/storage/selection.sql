-- name: scan_targets
-- A page of matching installations as columns, in key order: of those that may be reached, with the
-- first reason (0: none) of all. Looks at $7 keys from $2 to $3, until $6 match.
-- Permission: not denied; where apps have to ask, which all but Android's older ones do, granted.
-- Consent: asked for when the purpose $4 is not empty. Stale: last seen before $5.
-- Columns of numbers have two bytes each. boundary: the last key looked at, NULL when the page is
-- full or its end is that of the keys. The inner LIMIT is a fence: the predicate cannot choose an
-- index there.
SELECT count(*) AS matched,
       (array_agg(s.installation_id))[count(*)::int] AS last_id,
       CASE WHEN count(*) < $6
            THEN (
                   SELECT b.installation_id
                     FROM installation AS b
                    WHERE b.app_id = $1 AND b.installation_id BETWEEN $2 AND $3
                    ORDER BY b.installation_id
                   OFFSET $7 - 1
                    LIMIT 1
                 )
       END AS boundary,
       string_agg(int2send(s.suppression::int2), '') AS suppressions,
       string_agg(uuid_send(s.installation_id), '') FILTER (WHERE s.suppression = 0) AS ids,
       string_agg(substring(s.token_hash FOR 16), '') FILTER (WHERE s.suppression = 0)
         AS token_refs,
       string_agg(int2send(s.platform), '') FILTER (WHERE s.suppression = 0) AS platforms,
       string_agg(int2send(s.provider), '') FILTER (WHERE s.suppression = 0) AS providers,
       string_agg(int2send(s.environment), '') FILTER (WHERE s.suppression = 0) AS environments,
       array_agg(s.token_sealed) FILTER (WHERE s.suppression = 0) AS sealed,
       string_agg(int2send(s.token_key_id), '') FILTER (WHERE s.suppression = 0) AS key_ids,
       array_agg(s.vapid_key_id) FILTER (WHERE s.suppression = 0 AND s.provider = 3)
         AS vapid_key_ids,
       string_agg(timestamptz_send(s.registered_at), '') FILTER (WHERE s.suppression = 0)
         AS registered_at
  FROM (
         SELECT i.installation_id, i.token_hash, i.platform, i.provider, i.environment,
                i.token_sealed, i.token_key_id, i.vapid_key_id, i.registered_at,
                suppression(i.token_state, i.permission, i.platform, i.consents_granted,
                            i.last_seen_at, $4, $5) AS suppression
           FROM (
                  SELECT i.installation_id, i.platform, i.provider, i.environment, i.token_state,
                         i.token_key_id, i.permission, i.registered_at, i.token_changed_at,
                         i.created_at, i.last_seen_at, i.last_opened_at, i.token_hash,
                         i.token_sealed, i.vapid_key_id, i.user_id, i.language, i.country,
                         i.time_zone, i.app_version_parts, i.os_version_parts, i.device_model,
                         i.sdk_version, i.topics, i.tags, i.attributes, i.consents_granted
                    FROM installation AS i
                   WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3
                   ORDER BY i.installation_id
                   LIMIT $7
                ) AS i
          WHERE TRUE /* predicate */
          LIMIT $6
       ) AS s;

-- name: targets_among
-- The same of those that match among the installations $2, whatever their number. OFFSET 0 is a
-- fence: the rows are looked up one by one, by key, before the predicate is asked.
SELECT count(*) AS matched,
       string_agg(int2send(s.suppression::int2), '') AS suppressions,
       string_agg(uuid_send(s.installation_id), '') FILTER (WHERE s.suppression = 0) AS ids,
       string_agg(substring(s.token_hash FOR 16), '') FILTER (WHERE s.suppression = 0)
         AS token_refs,
       string_agg(int2send(s.platform), '') FILTER (WHERE s.suppression = 0) AS platforms,
       string_agg(int2send(s.provider), '') FILTER (WHERE s.suppression = 0) AS providers,
       string_agg(int2send(s.environment), '') FILTER (WHERE s.suppression = 0) AS environments,
       array_agg(s.token_sealed) FILTER (WHERE s.suppression = 0) AS sealed,
       string_agg(int2send(s.token_key_id), '') FILTER (WHERE s.suppression = 0) AS key_ids,
       array_agg(s.vapid_key_id) FILTER (WHERE s.suppression = 0 AND s.provider = 3)
         AS vapid_key_ids,
       string_agg(timestamptz_send(s.registered_at), '') FILTER (WHERE s.suppression = 0)
         AS registered_at
  FROM (
         SELECT i.installation_id, i.token_hash, i.platform, i.provider, i.environment,
                i.token_sealed, i.token_key_id, i.vapid_key_id, i.registered_at,
                suppression(i.token_state, i.permission, i.platform, i.consents_granted,
                            i.last_seen_at, $3, $4) AS suppression
           FROM unnest($2::uuid[]) AS x(installation_id)
          CROSS JOIN LATERAL (
                  SELECT i.installation_id, i.platform, i.provider, i.environment, i.token_state,
                         i.token_key_id, i.permission, i.registered_at, i.token_changed_at,
                         i.created_at, i.last_seen_at, i.last_opened_at, i.token_hash,
                         i.token_sealed, i.vapid_key_id, i.user_id, i.language, i.country,
                         i.time_zone, i.app_version_parts, i.os_version_parts, i.device_model,
                         i.sdk_version, i.topics, i.tags, i.attributes, i.consents_granted
                    FROM installation AS i
                   WHERE i.app_id = $1 AND i.installation_id = x.installation_id
                  OFFSET 0
                ) AS i
          WHERE TRUE /* predicate */
          ORDER BY i.installation_id
       ) AS s;
