-- name: look_at_part
-- The next $6 installations of app $1 from key $2 on, grouped by what is counted; with the ids of
-- those that expire (last seen before $4) or are deleted (dead since before $5). Last seen before
-- $3 is stale.
-- There is no index on last_seen_at, and must not be: each registration changes it, and a row
-- whose indexed columns change cannot stay on its page (HOT). All rows are looked at instead.
WITH part AS MATERIALIZED (
  SELECT i.installation_id, i.platform, i.token_state, coalesce(i.app_version, '') AS app_version,
         i.permission IN (2, 3) AS permitted, i.last_seen_at < $3::timestamptz AS stale,
         CASE WHEN i.token_state = 1 AND i.last_seen_at < $4::timestamptz THEN 1
              WHEN i.token_state <> 1 AND i.died_at < $5::timestamptz
                   AND NOT EXISTS (
                     SELECT FROM invalidation AS v
                      WHERE v.app_id = $1 AND v.installation_id = i.installation_id
                        AND v.invalidated_at >= $5) THEN 2
              ELSE 0
         END AS fate
    FROM installation AS i
   WHERE i.app_id = $1 AND i.installation_id >= $2
   ORDER BY i.installation_id
   LIMIT $6
)
SELECT p.platform, p.token_state, p.app_version, p.permitted, p.stale, p.fate,
       count(*) AS installations,
       coalesce(array_agg(p.installation_id) FILTER (WHERE p.fate <> 0), '{}') AS ids,
       (SELECT installation_id FROM part ORDER BY installation_id DESC LIMIT 1) AS cursor,
       (SELECT count(*) FROM part) < $6 AS is_last
  FROM part AS p
 GROUP BY p.platform, p.token_state, p.app_version, p.permitted, p.stale, p.fate;

-- name: due_apps
-- Apps after $2 that were not counted since $1, or are to be counted again before their turn at
-- $4. Of the changes only the days since the one before the last count are read, and only of apps
-- that may be counted again.
-- app_id of app alone has the collation "C": compared by that, an index of another table is no use.
SELECT a.app_id, a.display_name, a.stale_after, a.expire_after, a.retention, a.created_at
  FROM app AS a
       LEFT JOIN LATERAL (
         SELECT s.counted_at, s.recount_from, s.recount_since, s.recount_changes
           FROM stock AS s
          WHERE s.app_id = a.app_id COLLATE "default"
          ORDER BY s.day DESC
          LIMIT 1
       ) AS latest ON TRUE
 WHERE a.app_id > $2
   AND CASE WHEN latest.counted_at IS NULL OR latest.counted_at <= $1 THEN TRUE
            WHEN latest.recount_from <= $4 THEN latest.recount_changes <= (
                   SELECT sum(f.count)
                     FROM flow AS f
                    WHERE f.app_id = a.app_id COLLATE "default"
                      AND f.day >= latest.recount_since)
            ELSE FALSE
       END
 ORDER BY a.app_id
 LIMIT $3;

-- name: expire_tokens
-- Those of $2 that are live and were last seen before $3 expire at $4.
WITH due AS (
  SELECT i.installation_id
    FROM unnest($2::uuid[]) AS x (installation_id)
         JOIN installation AS i ON i.app_id = $1 AND i.installation_id = x.installation_id
   WHERE i.token_state = 1 AND i.last_seen_at < $3
   ORDER BY i.installation_id
     FOR UPDATE OF i SKIP LOCKED
)
UPDATE installation AS i
   SET token_state = 3, token_state_reason = 'expired', died_at = $4
  FROM due
 WHERE i.app_id = $1 AND i.installation_id = due.installation_id
RETURNING i.installation_id, i.token_hash, i.environment, i.platform;

-- name: delete_dead
-- Those of $2 that are dead since before $3 go, with their ledger and their invalidations.
WITH due AS (
  SELECT i.installation_id
    FROM unnest($2::uuid[]) AS x (installation_id)
         JOIN installation AS i ON i.app_id = $1 AND i.installation_id = x.installation_id
   WHERE i.token_state <> 1 AND i.died_at < $3
     AND NOT EXISTS (
       SELECT FROM invalidation AS v
        WHERE v.app_id = $1 AND v.installation_id = i.installation_id AND v.invalidated_at >= $3)
   ORDER BY i.installation_id
     FOR UPDATE OF i SKIP LOCKED
), ledger AS (
  DELETE FROM consent_event AS e USING due
   WHERE e.app_id = $1 AND e.installation_id = due.installation_id
), invalidations AS (
  DELETE FROM invalidation AS v USING due
   WHERE v.app_id = $1 AND v.installation_id = due.installation_id
)
DELETE FROM installation AS i USING due
 WHERE i.app_id = $1 AND i.installation_id = due.installation_id
RETURNING i.installation_id, i.token_hash, i.environment, i.platform;

-- name: delete_invalidations
-- At most $3 invalidations of app $1 told before $2; how many.
WITH due AS (
  SELECT v.installation_id, v.invalidation_id
    FROM invalidation AS v
   WHERE v.app_id = $1 AND v.invalidated_at < $2
   ORDER BY v.invalidated_at
   LIMIT $3
), gone AS (
  DELETE FROM invalidation AS v USING due
   WHERE v.app_id = $1 AND v.installation_id = due.installation_id
     AND v.invalidation_id = due.invalidation_id
  RETURNING 1
)
SELECT count(*) FROM gone;

-- name: delete_days
-- At most $2 stocks and $2 flows of days before $1; how many.
WITH stocks AS (
  DELETE FROM stock AS s
   USING (SELECT app_id, day FROM stock WHERE day < $1 LIMIT $2) AS x
   WHERE s.app_id = x.app_id AND s.day = x.day
  RETURNING 1
), flows AS (
  DELETE FROM flow AS f
   USING (SELECT app_id, day, kind, value, platform FROM flow WHERE day < $1 LIMIT $2) AS x
   WHERE f.app_id = x.app_id AND f.day = x.day AND f.kind = x.kind AND f.value = x.value
     AND f.platform = x.platform
  RETURNING 1
)
SELECT (SELECT count(*) FROM stocks) + (SELECT count(*) FROM flows);
