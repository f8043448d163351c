-- Another installation had the token after this one, which never gets it back. Old processes do not
-- note it: what they release is told by its live owner alone, as before.
ALTER TABLE invalidation ADD COLUMN superseded boolean NOT NULL DEFAULT FALSE;

-- For whoever gives a token up: who had it before, and could get it back.
CREATE INDEX invalidation_open
  ON invalidation (app_id, token_hash) WHERE NOT superseded AND restored_at IS NULL;
