-- name: count_targets
-- What scan_targets gives for all keys from $2 to $3, counted by reason and platform.
SELECT s.suppression, s.platform, count(*) AS installations
  FROM (
         SELECT i.platform,
                suppression(i.token_state, i.permission, i.platform, i.consents_granted,
                            i.last_seen_at, $4, $5) AS suppression
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
       ) AS s
 GROUP BY s.suppression, s.platform;

-- name: count_among
-- The same of those that match among the installations $2; consent $3, stale $4. OFFSET 0 is a
-- fence: the rows are looked up one by one, by key, before the predicate is asked.
SELECT s.suppression, s.platform, count(*) AS installations
  FROM (
         SELECT i.platform,
                suppression(i.token_state, i.permission, i.platform, i.consents_granted,
                            i.last_seen_at, $3, $4) AS suppression
           FROM unnest($2::uuid[]) AS x(installation_id)
                CROSS JOIN LATERAL (
                  SELECT i.*
                    FROM installation AS i
                   WHERE i.app_id = $1 AND i.installation_id = x.installation_id
                  OFFSET 0
                ) AS i
          WHERE TRUE /* predicate */
       ) AS s
 GROUP BY s.suppression, s.platform;
