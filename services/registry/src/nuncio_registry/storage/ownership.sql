-- name: queue_up
-- Writers of an app that came into each other's way take turns until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended($1, 1));

-- name: release_tokens
-- The installations $2 own the tokens $3 of the environments $4 no more.
DELETE FROM live_token AS o
 USING (
         SELECT $1::text AS app_id, given.*
           FROM unnest($2::uuid[], $3::bytea[], $4::smallint[])
                AS given (installation_id, token_hash, environment)
         OFFSET 0
       ) AS released
 WHERE o.app_id = released.app_id AND o.token_hash = released.token_hash
   AND o.environment = released.environment AND o.installation_id = released.installation_id;

-- name: take_tokens
-- The installations $2 own the tokens $3 of the environments $4 from now on. Fails when one of
-- them has an owner.
INSERT INTO live_token (app_id, installation_id, token_hash, environment)
SELECT $1, taken.installation_id, taken.token_hash, taken.environment
  FROM unnest($2::uuid[], $3::bytea[], $4::smallint[])
       AS taken (installation_id, token_hash, environment);
