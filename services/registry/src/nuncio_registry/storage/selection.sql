-- name: select_targets
-- Matching installations from key $2 to $3, in key order, with the first reason that keeps each
-- from being reached, 0 for none. The token of a suppressed row stays here.
-- Permission: not denied; where apps have to ask, which all but Android's older ones do, granted.
-- Consent: asked for when the purpose $4 is not empty. Stale: last seen before $5.
SELECT s.suppression, uuid_send(s.installation_id) AS id,
       substring(s.token_hash FOR 16) AS token_ref, s.platform, s.provider, s.environment,
       CASE WHEN s.suppression = 0 THEN s.token_sealed END AS sealed, s.token_key_id,
       s.vapid_key_id, timestamptz_send(s.registered_at) AS registered_at
  FROM (
         SELECT i.installation_id, i.token_hash, i.platform, i.provider, i.environment,
                i.token_sealed, i.token_key_id, i.vapid_key_id, i.registered_at,
                CASE WHEN i.token_state <> 1 THEN 2
                     WHEN i.permission = 4 OR (i.permission = 1 AND i.platform <> 2) THEN 3
                     WHEN $4::text <> '' AND $4 <> ALL (i.consents_granted) THEN 4
                     WHEN i.last_seen_at < $5::timestamptz THEN 5
                     ELSE 0
                END AS suppression
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
          ORDER BY i.installation_id
          LIMIT $6
       ) AS s
 ORDER BY s.installation_id;

-- name: count_targets
-- What select_targets gives for all keys from $2 to $3, counted by reason and platform.
SELECT s.suppression, s.platform, count(*) AS installations
  FROM (
         SELECT i.platform,
                CASE WHEN i.token_state <> 1 THEN 2
                     WHEN i.permission = 4 OR (i.permission = 1 AND i.platform <> 2) THEN 3
                     WHEN $4::text <> '' AND $4 <> ALL (i.consents_granted) THEN 4
                     WHEN i.last_seen_at < $5::timestamptz THEN 5
                     ELSE 0
                END AS suppression
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id BETWEEN $2 AND $3 AND TRUE /* predicate */
       ) AS s
 GROUP BY s.suppression, s.platform;
