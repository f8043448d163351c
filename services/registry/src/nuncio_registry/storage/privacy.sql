-- name: lock_user
-- The installations of the user $2, locked in key order.
SELECT i.installation_id, i.platform, i.token_hash, i.environment
  FROM installation AS i
 WHERE i.app_id = $1 AND i.user_id = $2
 ORDER BY i.installation_id
   FOR UPDATE;

-- name: lock_installation
-- The installation $2, locked; no row when there is none.
SELECT i.installation_id, i.platform, i.token_hash, i.environment
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id = $2
   FOR UPDATE;

-- name: erase_installations
-- Removes the installations $2, whose tokens are released, and their history from every table, and
-- counts the rows of each. That an installation was erased stays in the change feed, for those who
-- did not read it yet.
WITH gone AS (
  SELECT unnest($2::uuid[]) AS installation_id
), consents AS (
  DELETE FROM consent_event AS e
   USING gone
   WHERE e.app_id = $1 AND e.installation_id = gone.installation_id
  RETURNING e.installation_id
), changes AS (
  DELETE FROM change AS c
   USING gone
   WHERE c.app_id = $1 AND c.installation_id = gone.installation_id AND c.kind <> 10
  RETURNING c.installation_id
), invalidations AS (
  DELETE FROM invalidation AS v
   USING gone
   WHERE v.app_id = $1 AND v.installation_id = gone.installation_id
  RETURNING v.installation_id
), installations AS (
  DELETE FROM installation AS i
   USING gone
   WHERE i.app_id = $1 AND i.installation_id = gone.installation_id
  RETURNING i.installation_id
)
SELECT (SELECT count(*) FROM installations) AS installation,
       (SELECT count(*) FROM consents) AS consent_event,
       (SELECT count(*) FROM changes) AS change,
       (SELECT count(*) FROM invalidations) AS invalidation;

-- name: insert_erasure
-- A proof.
INSERT INTO erasure (app_id, erasure_id, subject, subject_hash, removed, principal, erased_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: erasures
-- Proofs of the app before ($2, $3), newest first.
SELECT e.erasure_id, e.app_id, e.subject, e.subject_hash, e.removed, e.principal, e.erased_at
  FROM erasure AS e
 WHERE e.app_id = $1 AND (e.erased_at, e.erasure_id) < ($2, $3)
 ORDER BY e.erased_at DESC, e.erasure_id DESC
 LIMIT $4;

-- name: erasures_of_subject
-- Proofs of the app for the subject $5 before ($2, $3), newest first.
SELECT e.erasure_id, e.app_id, e.subject, e.subject_hash, e.removed, e.principal, e.erased_at
  FROM erasure AS e
 WHERE e.app_id = $1 AND e.subject_hash = $5 AND (e.erased_at, e.erasure_id) < ($2, $3)
 ORDER BY e.erased_at DESC, e.erasure_id DESC
 LIMIT $4;

-- name: user_installations
-- The installations of the user $2 in key order: all columns but the sealed token, the id of its
-- key, and what is computed from others.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.token_state,
       i.token_state_reason, i.token_hash, i.vapid_key_id, i.permission, i.user_id,
       i.registered_at, i.token_changed_at, i.observed_at, i.created_at, i.last_seen_at,
       i.last_opened_at, i.died_at, i.identified_at, i.facts_updated_at,
       i.consents_set_at, i.language, i.country, i.time_zone, i.app_version,
       i.os_version, i.device_model, i.sdk_version, i.topics, i.tags, i.attributes,
       i.consents_granted, i.consents_denied
  FROM installation AS i
 WHERE i.app_id = $1 AND i.user_id = $2
 ORDER BY i.installation_id;

-- name: consent_events
-- The ledger of the installations $2, in order. OFFSET 0 is a fence, as in those below: each
-- installation is looked up by its key.
SELECT e.installation_id, e.purpose, e.state, e.source, e.prompt_strategy, e.policy_version,
       e.actor, e.changed_at
  FROM unnest($2::uuid[]) AS told (installation_id)
       CROSS JOIN LATERAL (
         SELECT e.*
           FROM consent_event AS e
          WHERE e.app_id = $1 AND e.installation_id = told.installation_id
         OFFSET 0
       ) AS e
 ORDER BY e.installation_id, e.event_id;

-- name: changes
-- What the change feed has of the installations $2, in order.
SELECT c.installation_id, c.kind, c.value, c.detail, c.happened_at
  FROM unnest($2::uuid[]) AS told (installation_id)
       CROSS JOIN LATERAL (
         SELECT c.*
           FROM change AS c
          WHERE c.app_id = $1 AND c.installation_id = told.installation_id
         OFFSET 0
       ) AS c
 ORDER BY c.installation_id, c.transaction_id, c.change_id;

-- name: invalidations
-- What providers called dead of the installations $2, in order.
SELECT v.installation_id, v.token_hash, v.dead_since, v.invalidated_at, v.restored_at,
       v.superseded, v.reason, v.lane, v.campaign
  FROM unnest($2::uuid[]) AS told (installation_id)
       CROSS JOIN LATERAL (
         SELECT v.*
           FROM invalidation AS v
          WHERE v.app_id = $1 AND v.installation_id = told.installation_id
         OFFSET 0
       ) AS v
 ORDER BY v.installation_id, v.invalidation_id;
