-- name: append_events
-- Appends audit events, by columns, in order.
INSERT INTO audit_event (recorded_at, principal, peer, method, app_id, request_id, details)
SELECT new.recorded_at, new.principal, new.peer, new.method, new.app_id, new.request_id,
       new.details
  FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
              $7::jsonb[])
       WITH ORDINALITY AS new (recorded_at, principal, peer, method, app_id, request_id, details,
                               position)
 ORDER BY new.position;

-- name: events
-- Of the $7 newest events before ($1, $2) and not before $3 those of the method $4 and the
-- principal $5, at most $6, newest first. Each row, or the only one when none matches, also says
-- how many were looked at (seen), and which was the last of them (last_at, last_id).
WITH looked_at AS MATERIALIZED (
  SELECT e.event_id, e.recorded_at, e.principal, e.peer, e.method, e.app_id, e.request_id,
         e.details
    FROM audit_event AS e
   WHERE (e.recorded_at, e.event_id) < ($1, $2) AND e.recorded_at >= $3
   ORDER BY e.recorded_at DESC, e.event_id DESC
   LIMIT $7
), matching AS (
  SELECT l.event_id, l.recorded_at, l.principal, l.peer, l.method, l.app_id, l.request_id,
         l.details
    FROM looked_at AS l
   WHERE ($4 = '' OR l.method = $4) AND ($5 = '' OR l.principal = $5)
   ORDER BY l.recorded_at DESC, l.event_id DESC
   LIMIT $6
), looked (seen, last_at, last_id) AS (
  SELECT count(*) OVER (), l.recorded_at, l.event_id
    FROM looked_at AS l
   ORDER BY l.recorded_at, l.event_id
   LIMIT 1
)
SELECT m.event_id, m.recorded_at, m.principal, m.peer, m.method, m.app_id, m.request_id,
       m.details, looked.seen, looked.last_at, looked.last_id
  FROM looked
       LEFT JOIN matching AS m ON TRUE
 ORDER BY m.recorded_at DESC, m.event_id DESC;

-- name: events_of_app
-- As `events`, for the app $8 alone.
WITH looked_at AS MATERIALIZED (
  SELECT e.event_id, e.recorded_at, e.principal, e.peer, e.method, e.app_id, e.request_id,
         e.details
    FROM audit_event AS e
   WHERE e.app_id = $8 AND (e.recorded_at, e.event_id) < ($1, $2) AND e.recorded_at >= $3
   ORDER BY e.recorded_at DESC, e.event_id DESC
   LIMIT $7
), matching AS (
  SELECT l.event_id, l.recorded_at, l.principal, l.peer, l.method, l.app_id, l.request_id,
         l.details
    FROM looked_at AS l
   WHERE ($4 = '' OR l.method = $4) AND ($5 = '' OR l.principal = $5)
   ORDER BY l.recorded_at DESC, l.event_id DESC
   LIMIT $6
), looked (seen, last_at, last_id) AS (
  SELECT count(*) OVER (), l.recorded_at, l.event_id
    FROM looked_at AS l
   ORDER BY l.recorded_at, l.event_id
   LIMIT 1
)
SELECT m.event_id, m.recorded_at, m.principal, m.peer, m.method, m.app_id, m.request_id,
       m.details, looked.seen, looked.last_at, looked.last_id
  FROM looked
       LEFT JOIN matching AS m ON TRUE
 ORDER BY m.recorded_at DESC, m.event_id DESC;

-- name: delete_events
-- Deletes the $2 oldest events of those before $1; how many there were.
WITH deleted AS (
  DELETE FROM audit_event
   WHERE event_id IN (
           SELECT e.event_id
             FROM audit_event AS e
            WHERE e.recorded_at < $1
            ORDER BY e.recorded_at, e.event_id
            LIMIT $2)
  RETURNING event_id
)
SELECT count(*) FROM deleted;
