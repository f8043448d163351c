-- When another call than a registration last said whose it is, what it tells, what was agreed to:
-- what was observed before does not count any more.
ALTER TABLE installation
  ADD COLUMN identified_at timestamptz,
  ADD COLUMN facts_updated_at timestamptz,
  ADD COLUMN consents_set_at timestamptz;
