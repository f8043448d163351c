-- name: queue_for_app
-- Those who create, delete or clear this app take turns until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended($1, 2));

-- name: create_app
-- One row when the id was free, none when it was taken.
INSERT INTO app (app_id, display_name, stale_after, expire_after, retention, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (app_id) DO NOTHING
RETURNING app_id, display_name, stale_after, expire_after, retention, created_at;

-- name: app
-- One app.
SELECT app_id, display_name, stale_after, expire_after, retention, created_at
  FROM app
 WHERE app_id = $1;

-- name: lock_app
-- One app, locked.
SELECT app_id, display_name, stale_after, expire_after, retention, created_at
  FROM app
 WHERE app_id = $1
   FOR NO KEY UPDATE;

-- name: apps
-- Apps in the order of their ids, those after $1.
SELECT app_id, display_name, stale_after, expire_after, retention, created_at
  FROM app
 WHERE app_id > $1
 ORDER BY app_id
 LIMIT $2;

-- name: update_app
-- The app $1 as it is to be.
UPDATE app
   SET display_name = $2, stale_after = $3, expire_after = $4, retention = $5
 WHERE app_id = $1;

-- name: delete_app
-- One row when the app was there and empty.
DELETE FROM app
 WHERE app_id = $1 AND NOT EXISTS (SELECT FROM installation AS i WHERE i.app_id = $1)
RETURNING app_id;

-- name: delete_app_statistics
-- What was counted of the app, and how far.
WITH stocks AS (
  DELETE FROM stock WHERE app_id = $1
), flows AS (
  DELETE FROM flow WHERE app_id = $1
)
DELETE FROM bookmark WHERE app_id = $1;

-- name: remember_deletion
-- A bookmark "app_deleted": what is left of the app is to be cleared until it is created again.
INSERT INTO bookmark (app_id, name, transaction_id, change_id)
VALUES ($1, 'app_deleted', pg_current_xact_id(), 0);

-- name: forget_deletion
-- The app is created again; one row when there was an earlier one.
DELETE FROM bookmark WHERE app_id = $1 AND name = 'app_deleted' RETURNING app_id;

-- name: begin_feed_anew
-- Positions in the feed of an earlier app with this id have expired: readers have only ever got such
-- as are older than every transaction that still runs.
INSERT INTO bookmark (app_id, name, transaction_id, change_id)
VALUES ($1, 'deleted', (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8,
        9223372036854775807);

-- name: deleted_apps
-- Apps whose deletion is remembered.
SELECT app_id FROM bookmark WHERE name = 'app_deleted' ORDER BY app_id;

-- name: clear_app
-- At most $2 rows of each table that are left of an app that was deleted; how many.
WITH installations AS (
  DELETE FROM installation AS t
   USING (SELECT app_id, installation_id FROM installation WHERE app_id = $1 LIMIT $2) AS x
   WHERE t.app_id = x.app_id AND t.installation_id = x.installation_id
  RETURNING 1
), tokens AS (
  DELETE FROM live_token AS t
   USING (SELECT app_id, token_hash, environment FROM live_token WHERE app_id = $1 LIMIT $2) AS x
   WHERE t.app_id = x.app_id AND t.token_hash = x.token_hash AND t.environment = x.environment
  RETURNING 1
), consents AS (
  DELETE FROM consent_event AS t
   USING (SELECT app_id, installation_id, purpose, event_id
            FROM consent_event WHERE app_id = $1 LIMIT $2) AS x
   WHERE t.app_id = x.app_id AND t.installation_id = x.installation_id
     AND t.purpose = x.purpose AND t.event_id = x.event_id
  RETURNING 1
), changes AS (
  DELETE FROM change AS t
   USING (SELECT app_id, transaction_id, change_id, installation_id
            FROM change WHERE app_id = $1 LIMIT $2) AS x
   WHERE t.app_id = x.app_id AND t.transaction_id = x.transaction_id
     AND t.change_id = x.change_id AND t.installation_id = x.installation_id
  RETURNING 1
), invalidations AS (
  DELETE FROM invalidation AS t
   USING (SELECT app_id, installation_id, invalidation_id
            FROM invalidation WHERE app_id = $1 LIMIT $2) AS x
   WHERE t.app_id = x.app_id AND t.installation_id = x.installation_id
     AND t.invalidation_id = x.invalidation_id
  RETURNING 1
)
SELECT (SELECT count(*) FROM installations) + (SELECT count(*) FROM tokens)
     + (SELECT count(*) FROM consents) + (SELECT count(*) FROM changes)
     + (SELECT count(*) FROM invalidations);
