-- name: insert_segment
-- Gives the stored row, the new one or the one that was there. The update changes nothing: it
-- makes the conflicting row lockable and visible, even if it was inserted a moment ago.
INSERT INTO segment (app_id, name, expression, description, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (app_id, name) DO UPDATE SET description = segment.description
RETURNING name, expression, description, created_at, updated_at;

-- name: replace_segment
-- Equal content leaves updated_at alone. No row: there is no such segment.
UPDATE segment
   SET expression = $3,
       description = $4,
       updated_at = CASE WHEN expression = $3 AND description = $4 THEN updated_at ELSE $5 END
 WHERE app_id = $1 AND name = $2
RETURNING name, expression, description, created_at, updated_at;

-- name: keep_segments
-- The named segments, those that are there; none of them goes while the transaction runs.
SELECT name
  FROM segment
 WHERE app_id = $1 AND name = ANY ($2::text[])
   FOR KEY SHARE;

-- name: insert_uses
-- What a segment refers to; all of it has to be there.
INSERT INTO segment_use (app_id, name, uses)
SELECT $1, $2, uses FROM unnest($3::text[]) AS given (uses)
ON CONFLICT (app_id, name, uses) DO NOTHING;

-- name: delete_uses
-- What a segment referred to and does not any more.
DELETE FROM segment_use WHERE app_id = $1 AND name = $2 AND uses <> ALL ($3::text[]);

-- name: get_segment
-- One segment.
SELECT name, expression, description, created_at, updated_at
  FROM segment
 WHERE app_id = $1 AND name = $2;

-- name: list_segments
-- The next $3 segments of an app after a name.
SELECT name, expression, description, created_at, updated_at
  FROM segment
 WHERE app_id = $1 AND name > $2
 ORDER BY name
 LIMIT $3;

-- name: segment_contents
-- The named segments, those that are there.
SELECT name, expression, description
  FROM segment
 WHERE app_id = $1 AND name = ANY ($2::text[]);

-- name: delete_segment
-- Breaks segment_use_uses_fkey while another segment refers to it.
DELETE FROM segment WHERE app_id = $1 AND name = $2;

-- name: users_of_segment
-- The first ten segments that refer to one.
SELECT name FROM segment_use WHERE app_id = $1 AND uses = $2 ORDER BY name LIMIT 10;
