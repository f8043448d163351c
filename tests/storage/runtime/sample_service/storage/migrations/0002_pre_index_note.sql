CREATE INDEX CONCURRENTLY note_by_body ON note (body);
