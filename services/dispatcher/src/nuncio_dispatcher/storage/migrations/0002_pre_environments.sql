ALTER TABLE page
    ADD COLUMN environments bytea NOT NULL DEFAULT '';
