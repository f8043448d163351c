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
