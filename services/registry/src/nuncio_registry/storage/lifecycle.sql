-- name: lock_installations
-- Those of the installations $2 that there are, locked in key order.
SELECT i.installation_id
  FROM (SELECT DISTINCT unnest($2::uuid[])) AS touched (installation_id)
       JOIN installation AS i
         ON i.app_id = $1 AND i.installation_id = touched.installation_id
 ORDER BY i.installation_id
   FOR UPDATE OF i;

-- name: invalidate_tokens
-- One row per reported token, in order, with the number of its InvalidationOutcome. The rows of the
-- installations are locked. A token dies only if it is the same, live, and was not observed after
-- it was dead. Those that die are still to be released.
WITH judged AS (
  SELECT dead.*, i.token_hash, i.environment, i.platform,
         CASE WHEN i.installation_id IS NULL THEN 5
              WHEN substring(i.token_hash FOR 16) <> dead.token_ref THEN 3
              WHEN i.token_state <> 1 THEN 4
              WHEN i.observed_at > dead.dead_since THEN 2
              ELSE 1
         END AS outcome
    FROM unnest($3::uuid[], $4::bytea[], $5::timestamptz[], $6::text[], $7::text[], $8::text[])
         WITH ORDINALITY
         AS dead (installation_id, token_ref, dead_since, reason, lane, campaign, position)
         LEFT JOIN LATERAL (
           SELECT i.installation_id, i.token_hash, i.environment, i.platform, i.token_state,
                  i.observed_at
             FROM installation AS i
            WHERE i.app_id = $1 AND i.installation_id = dead.installation_id
           OFFSET 0
         ) AS i ON TRUE
), placed AS MATERIALIZED (
  -- A token dies of the first report that fits.
  SELECT judged.*,
         min(position) FILTER (WHERE outcome = 1) OVER (PARTITION BY installation_id) AS dies_at
    FROM judged
), dying AS (
  SELECT placed.* FROM placed WHERE placed.position = placed.dies_at
), retired AS (
  UPDATE installation AS i
     SET token_state = 2, token_state_reason = dying.reason, died_at = dying.dead_since
    FROM dying
   WHERE i.app_id = $1 AND i.installation_id = dying.installation_id
), recorded AS (
  INSERT INTO invalidation (
           app_id, installation_id, token_hash, dead_since, invalidated_at, reason, lane, campaign)
  SELECT $1, dying.installation_id, dying.token_hash, dying.dead_since, $2, dying.reason,
         dying.lane, dying.campaign
    FROM dying
   ORDER BY dying.position
)
SELECT placed.installation_id, placed.token_hash, placed.environment, placed.platform,
       placed.reason,
       -- What the page says of a token after it died in it.
       CASE WHEN placed.outcome IN (1, 2) AND placed.dies_at < placed.position THEN 4
            ELSE placed.outcome
       END AS outcome
  FROM placed
 ORDER BY placed.position;

-- name: select_invalidations
-- At most $8 invalidations from $2 on and before ($3, $4), newest first. Empty texts and lists: any.
SELECT v.installation_id, v.invalidation_id, v.invalidated_at
  FROM invalidation AS v
 WHERE v.app_id = $1
   AND v.invalidated_at >= $2
   AND (v.invalidated_at, v.invalidation_id) < ($3::timestamptz, $4::bigint)
   AND ($5::text[] = '{}' OR v.reason = ANY ($5))
   AND ($6::text = '' OR v.lane = $6)
   AND ($7::text = '' OR v.campaign = $7)
 ORDER BY v.invalidated_at DESC, v.invalidation_id DESC
 LIMIT $8;

-- name: lock_invalidations
-- The invalidations $3 of the installations $2, locked in key order: nobody who takes one of their
-- tokens gives it up before the transaction ends.
SELECT v.installation_id
  FROM unnest($2::uuid[], $3::bigint[]) AS wanted (installation_id, invalidation_id)
       JOIN invalidation AS v
         ON v.app_id = $1 AND v.installation_id = wanted.installation_id
        AND v.invalidation_id = wanted.invalidation_id
 ORDER BY v.installation_id, v.invalidation_id
   FOR UPDATE OF v;

-- name: judge_restorations
-- One row per invalidation, in order, with the number of its RestoreOutcome. An installation is dead
-- by the latest of its invalidations, if it still is what that one made of it. A token that another
-- has, or has had since, is that one's.
SELECT v.installation_id, v.invalidation_id, v.token_hash, i.environment, i.platform,
       CASE WHEN i.installation_id IS NULL THEN 4
            WHEN v.restored_at IS NOT NULL
              OR (i.token_state, i.token_hash, i.died_at, i.token_state_reason)
                 IS DISTINCT FROM (2::smallint, v.token_hash, v.dead_since, v.reason)
              OR EXISTS (
                   SELECT
                     FROM invalidation AS later
                    WHERE later.app_id = $1 AND later.installation_id = v.installation_id
                      AND later.invalidation_id > v.invalidation_id)
            THEN 2
            WHEN v.superseded OR o.installation_id IS NOT NULL THEN 3
            ELSE 1
       END AS outcome
  FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY
       AS wanted (installation_id, invalidation_id, position)
       CROSS JOIN LATERAL (
         SELECT v.installation_id, v.invalidation_id, v.token_hash, v.dead_since, v.reason,
                v.restored_at, v.superseded
           FROM invalidation AS v
          WHERE v.app_id = $1 AND v.installation_id = wanted.installation_id
            AND v.invalidation_id = wanted.invalidation_id
         OFFSET 0
       ) AS v
       LEFT JOIN LATERAL (
         SELECT i.installation_id, i.environment, i.platform, i.token_state, i.token_hash,
                i.died_at, i.token_state_reason
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = wanted.installation_id
         OFFSET 0
       ) AS i ON TRUE
       LEFT JOIN LATERAL (
         SELECT o.installation_id
           FROM live_token AS o
          WHERE o.app_id = $1 AND o.token_hash = v.token_hash AND o.environment = i.environment
         OFFSET 0
       ) AS o ON TRUE
 ORDER BY wanted.position;

-- name: take_free_tokens
-- Those of the installations $2 that own the tokens $3 of the environments $4 from now on. Whoever
-- comes second to a token, in this list or from elsewhere, does not get it.
INSERT INTO live_token (app_id, installation_id, token_hash, environment)
SELECT $1, wanted.installation_id, wanted.token_hash, wanted.environment
  FROM unnest($2::uuid[], $3::bytea[], $4::smallint[]) WITH ORDINALITY
       AS wanted (installation_id, token_hash, environment, position)
 ORDER BY wanted.position
    ON CONFLICT DO NOTHING
RETURNING installation_id;

-- name: revive_installations
-- The installations $2 are ACTIVE. Their rows are locked.
UPDATE installation AS i
   SET token_state = 1, token_state_reason = '', died_at = NULL
  FROM unnest($2::uuid[]) AS revived (installation_id)
 WHERE i.app_id = $1 AND i.installation_id = revived.installation_id;

-- name: note_restored
-- The invalidations $3 of the installations $2 are taken back.
UPDATE invalidation AS v
   SET restored_at = $4
  FROM unnest($2::uuid[], $3::bigint[]) AS restored (installation_id, invalidation_id)
 WHERE v.app_id = $1 AND v.installation_id = restored.installation_id
   AND v.invalidation_id = restored.invalidation_id;
