-- name: take_lead
-- Whether this session leads now, among all that use this schema. It does until it ends.
SELECT pg_try_advisory_lock(hashtextextended('leader of ' || current_schema(), 2));

-- name: is_there
-- Whether the session is still there.
SELECT true;
