-- name: add_note
-- Keeps a note; its body is any JSON value.
INSERT INTO note (body) VALUES ($1) RETURNING note_id;

-- name: note_bodies
-- All bodies, oldest first.
SELECT body FROM note ORDER BY note_id
