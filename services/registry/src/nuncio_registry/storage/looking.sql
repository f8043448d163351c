-- name: boundary
-- The last of the first $4 keys from $2 to $3; no row when there are fewer.
SELECT i.installation_id
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3
 ORDER BY i.installation_id
OFFSET $4 - 1
 LIMIT 1;

-- name: find_by_sets
-- Keys from $2 to $3 of at most $4 installations that match, in no order. The inner condition is
-- for the index on topics, tags and attributes alone; OFFSET 0 is a fence around it.
SELECT i.installation_id
  FROM (
         SELECT i.installation_id, i.platform, i.provider, i.environment, i.token_state,
                i.token_key_id, i.permission, i.registered_at, i.token_changed_at,
                i.created_at, i.last_seen_at, i.last_opened_at, i.token_hash,
                i.token_sealed, i.vapid_key_id, i.user_id, i.language, i.country,
                i.time_zone, i.app_version_parts, i.os_version_parts, i.device_model,
                i.sdk_version, i.topics, i.tags, i.attributes, i.consents_granted,
                i.app_id
           FROM installation AS i
          WHERE TRUE /* indexed */
         OFFSET 0
       ) AS i
 WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
 LIMIT $4;

-- name: find_by_users
-- Keys from $2 to $3 of at most $4 installations of the users $5, in no order.
SELECT i.installation_id
  FROM unnest($5::text[]) AS x(user_id)
  JOIN installation AS i ON i.app_id = $1 AND i.user_id = x.user_id AND i.user_id IS NOT NULL
 WHERE i.installation_id BETWEEN $2 AND $3
 LIMIT $4;
