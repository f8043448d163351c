-- name: installations
-- Of the installations from the key $2 to $3 the first $4 that match the predicate, in key order,
-- without their tokens.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.tags, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at, i.last_opened_at, i.died_at, i.vapid_key_id
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
 ORDER BY i.installation_id
 LIMIT $4;

-- name: installations_among
-- The same of those that match among the installations $2. OFFSET 0 is a fence: the rows are looked
-- up one by one, by key, before the predicate is asked.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.tags, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at, i.last_opened_at, i.died_at, i.vapid_key_id
  FROM unnest($2::uuid[]) AS x(installation_id)
       CROSS JOIN LATERAL (
         SELECT i.*
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = x.installation_id
         OFFSET 0
       ) AS i
 WHERE TRUE /* predicate */
 ORDER BY i.installation_id;
