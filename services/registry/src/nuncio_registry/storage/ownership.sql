-- name: run_alone
-- Until the transaction ends, none of run_with_others begins, and no first registration of the app:
-- these are left to them. It waits for those under way, and whoever comes meanwhile is behind it.
SELECT pg_advisory_xact_lock(hashtextextended($1, 1));

-- name: run_with_others
-- Wait for who runs alone, and for who came before to do so.
SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 1));

-- name: release_tokens
-- The installations $2 own the tokens $3 of the environments $4 no more; how many did. Whoever died
-- with one of these tokens before does not get it back any more: somebody else has had it since. An
-- invalidation that can be taken back is of the environment that its installation has. MATERIALIZED
-- and OFFSET 0 are fences: found by token, then written by key, also before tables are analysed.
WITH released AS (
  DELETE FROM live_token AS o
   USING (
           SELECT $1::text AS app_id, given.*
             FROM unnest($2::uuid[], $3::bytea[], $4::smallint[])
                  AS given (installation_id, token_hash, environment)
           OFFSET 0
         ) AS told
   WHERE o.app_id = told.app_id AND o.token_hash = told.token_hash
     AND o.environment = told.environment AND o.installation_id = told.installation_id
  RETURNING o.app_id, o.installation_id, o.token_hash, o.environment
), before AS MATERIALIZED (
  SELECT v.app_id, v.installation_id, v.invalidation_id
    FROM released
         CROSS JOIN LATERAL (
           SELECT v.app_id, v.installation_id, v.invalidation_id
             FROM invalidation AS v
            WHERE v.app_id = released.app_id AND v.token_hash = released.token_hash
              AND NOT v.superseded AND v.restored_at IS NULL
              AND v.installation_id <> released.installation_id
              AND released.environment = (
                    SELECT i.environment
                      FROM installation AS i
                     WHERE i.app_id = released.app_id AND i.installation_id = v.installation_id)
           OFFSET 0
         ) AS v
   ORDER BY v.installation_id, v.invalidation_id
), superseded AS (
  UPDATE invalidation AS v
     SET superseded = TRUE
    FROM before
   WHERE v.app_id = before.app_id AND v.installation_id = before.installation_id
     AND v.invalidation_id = before.invalidation_id
)
SELECT count(*) FROM released;

-- name: take_tokens
-- The installations $2 own the tokens $3 of the environments $4 from now on. Fails when one of
-- them has an owner.
INSERT INTO live_token (app_id, installation_id, token_hash, environment)
SELECT $1, taken.installation_id, taken.token_hash, taken.environment
  FROM unnest($2::uuid[], $3::bytea[], $4::smallint[])
       AS taken (installation_id, token_hash, environment);
