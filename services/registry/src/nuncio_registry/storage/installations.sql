-- name: installation
-- One installation, without its token.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.tags, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at, i.last_opened_at, i.died_at, i.vapid_key_id
  FROM installation AS i
 WHERE i.app_id = $1 AND i.installation_id = $2;

-- name: update_installation
-- Facts that are NULL stay; then topics $14 and tags $16 are added, topics $15, tags $17 and
-- attributes $18 taken away, at $20. Gives the permission before, too. Waits for other writers.
WITH before AS (
  SELECT o.permission
    FROM installation AS o
   WHERE o.app_id = $1 AND o.installation_id = $2
     FOR UPDATE
)
UPDATE installation AS i
   SET permission = coalesce($3, i.permission),
       language = coalesce($4, i.language),
       country = coalesce($5, i.country),
       time_zone = coalesce($6, i.time_zone),
       app_version = coalesce($7, i.app_version),
       os_version = coalesce($8, i.os_version),
       device_model = nullif(coalesce($9, i.device_model), ''),
       sdk_version = nullif(coalesce($10, i.sdk_version), ''),
       topics = changed_set(coalesce($11::text[], i.topics), $14::text[], $15::text[]),
       tags = changed_set(coalesce($12::text[], i.tags), $16::text[], $17::text[]),
       attributes = (i.attributes || coalesce($13::jsonb, '{}')) - $18::text[],
       last_seen_at = greatest(i.last_seen_at, $19),
       facts_updated_at = greatest(i.facts_updated_at, $20),
       content_hash = NULL
  FROM before
 WHERE i.app_id = $1 AND i.installation_id = $2
RETURNING i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
          i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
          i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.tags,
          i.attributes, i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at,
          i.registered_at, i.token_changed_at, i.last_opened_at, i.died_at, i.vapid_key_id,
          before.permission AS permission_before;

-- name: set_user
-- The user of one installation from $4 on, $3 empty: none; gives the one before. Waits for other
-- writers.
WITH before AS (
  SELECT o.user_id
    FROM installation AS o
   WHERE o.app_id = $1 AND o.installation_id = $2
     FOR UPDATE
)
UPDATE installation AS i
   SET user_id = nullif($3, ''),
       identified_at = greatest(i.identified_at, $4),
       content_hash = NULL
  FROM before
 WHERE i.app_id = $1 AND i.installation_id = $2
RETURNING coalesce(before.user_id, '') AS user_id, i.platform;

-- name: merge_users
-- The first $4 installations of the user $2, in key order, belong to the user $3 from $5 on.
WITH moving AS MATERIALIZED (
  SELECT o.installation_id
    FROM installation AS o
   WHERE o.app_id = $1 AND o.user_id = $2
   ORDER BY o.installation_id
   LIMIT $4
     FOR UPDATE
)
UPDATE installation AS i
   SET user_id = $3,
       identified_at = greatest(i.identified_at, $5),
       content_hash = NULL
  FROM moving
 WHERE i.app_id = $1 AND i.installation_id = moving.installation_id
RETURNING i.installation_id, i.platform;

-- name: set_consents
-- Purposes $3 are granted and $4 denied from $5 on; gives the latest state of all, and of how
-- many purposes there was one before. Waits for other writers.
WITH before AS (
  SELECT cardinality(o.consents_granted) + cardinality(o.consents_denied) AS purposes
    FROM installation AS o
   WHERE o.app_id = $1 AND o.installation_id = $2
     FOR UPDATE
)
UPDATE installation AS i
   SET consents_granted = changed_set(i.consents_granted, $3::text[], $4::text[]),
       consents_denied = changed_set(i.consents_denied, $4::text[], $3::text[]),
       consents_set_at = greatest(i.consents_set_at, $5),
       content_hash = NULL
  FROM before
 WHERE i.app_id = $1 AND i.installation_id = $2
RETURNING i.platform, i.consents_granted, i.consents_denied, before.purposes AS purposes_before;

-- name: consent_events
-- The newest $4 entries of an installation's ledger, older than the entry $3 unless it is NULL.
-- One row of NULLs when there is none, and no row without such an installation.
SELECT e.event_id, e.purpose, e.state, e.source, e.prompt_strategy, e.policy_version, e.actor,
       e.changed_at
  FROM installation AS i
       LEFT JOIN LATERAL (
         SELECT *
           FROM consent_event AS c
          WHERE c.app_id = i.app_id AND c.installation_id = i.installation_id
            AND ($3::bigint IS NULL OR c.event_id < $3)
          ORDER BY c.event_id DESC
          LIMIT $4
       ) AS e ON TRUE
 WHERE i.app_id = $1 AND i.installation_id = $2
 ORDER BY e.event_id DESC;

-- name: touch_installations
-- By columns: $2 were last seen at $3 and opened at $4, NULL: not told. Times never go back, and
-- rows that are there already are not written. Gives those of $2 that exist. Rows are locked in
-- key order, as all writers do, so that fewer of them wait for each other in a circle.
WITH told AS MATERIALIZED (
  SELECT t.installation_id, max(t.seen) AS seen, max(t.opened) AS opened
    FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[])
         AS t (installation_id, seen, opened)
   GROUP BY t.installation_id
   ORDER BY t.installation_id
), behind AS MATERIALIZED (
  SELECT told.*
    FROM told
         CROSS JOIN LATERAL (
           SELECT 1
             FROM installation AS i
            WHERE i.app_id = $1 AND i.installation_id = told.installation_id
              AND (told.seen > i.last_seen_at
                   OR told.opened > coalesce(i.last_opened_at, '-infinity'))
              FOR UPDATE
         ) AS locked
), moved AS (
  UPDATE installation AS i
     SET last_seen_at = greatest(i.last_seen_at, behind.seen),
         last_opened_at = greatest(i.last_opened_at, behind.opened)
    FROM behind
   WHERE i.app_id = $1 AND i.installation_id = behind.installation_id
)
SELECT i.installation_id
  FROM told
       CROSS JOIN LATERAL (
         SELECT i.installation_id
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = told.installation_id
         OFFSET 0
       ) AS i;

-- name: reachability
-- The installations of the users $2, counted by user, channel and the first reason that keeps them
-- from being reached, 0 for none, see the function suppression of schema.sql. $3: the
-- purpose, empty: consent is not asked for. $4: stale before.
SELECT s.user_id, s.provider, s.platform, s.suppression, count(*) AS installations,
       max(s.last_seen_at) AS last_seen_at
  FROM (
         SELECT i.user_id, i.provider, i.platform, i.last_seen_at,
                suppression(i.token_state, i.permission, i.platform, i.consents_granted,
                            i.last_seen_at, $3, $4) AS suppression
           FROM unnest($2::text[]) AS asked (user_id)
                CROSS JOIN LATERAL (
                  SELECT i.*
                    FROM installation AS i
                   WHERE i.app_id = $1 AND i.user_id = asked.user_id
                  OFFSET 0
                ) AS i
       ) AS s
 GROUP BY s.user_id, s.provider, s.platform, s.suppression
 ORDER BY s.user_id, s.provider, s.platform, s.suppression;
