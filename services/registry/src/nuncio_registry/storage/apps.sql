-- name: create_app
-- One row when the id was free, none when it was taken.
INSERT INTO app (app_id, display_name, stale_after, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id) DO NOTHING
RETURNING app_id, display_name, stale_after, created_at;

-- name: app
-- One app.
SELECT app_id, display_name, stale_after, created_at FROM app WHERE app_id = $1;

-- name: apps
-- Apps in the order of their ids, those after $1.
SELECT app_id, display_name, stale_after, created_at
  FROM app
 WHERE app_id > $1
 ORDER BY app_id
 LIMIT $2;
