-- name: invalidate_tokens
-- One row per reported token, in order, with the number of its InvalidationOutcome. A token dies
-- only if it is the same, live, and was not registered after it was dead. The report sees the
-- rows as they were; what changed meanwhile was registered again, and is kept as newer.
WITH dead AS (
  SELECT d.position, d.installation_id, d.token_ref, d.dead_since, d.reason
    FROM unnest($2::uuid[], $3::bytea[], $4::timestamptz[], $5::text[])
         WITH ORDINALITY AS d (installation_id, token_ref, dead_since, reason, position)
), fit AS (
  -- The first report of each that fits; the update compares again, with rows that changed since.
  SELECT DISTINCT ON (dead.installation_id)
         dead.position, dead.installation_id, dead.token_ref, dead.dead_since, dead.reason
    FROM dead
         JOIN installation AS i
           ON i.app_id = $1 AND i.installation_id = dead.installation_id
          AND substring(i.token_hash FOR 16) = dead.token_ref
          AND i.token_state = 1 AND i.registered_at <= dead.dead_since
   ORDER BY dead.installation_id, dead.position
), retired AS (
  UPDATE installation AS i
     SET token_state = 2, token_state_reason = dead.reason, died_at = dead.dead_since
    FROM fit AS dead
   WHERE i.app_id = $1 AND i.installation_id = dead.installation_id
     AND substring(i.token_hash FOR 16) = dead.token_ref
     AND i.token_state = 1 AND i.registered_at <= dead.dead_since
  RETURNING i.installation_id, i.token_hash, i.environment, dead.position
), released AS (
  DELETE FROM live_token AS o
   USING retired
   WHERE o.app_id = $1 AND o.token_hash = retired.token_hash
     AND o.environment = retired.environment
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
