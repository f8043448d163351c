-- When an app is counted again before its turn. Empty until its next count: it waits for that.
ALTER TABLE stock
  ADD COLUMN recount_from timestamptz,
  ADD COLUMN recount_since date,
  ADD COLUMN recount_changes bigint;
