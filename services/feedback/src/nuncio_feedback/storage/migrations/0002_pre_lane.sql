ALTER TABLE invalidation
  ADD COLUMN lane text NOT NULL DEFAULT '',
  ADD COLUMN campaign text NOT NULL DEFAULT '';
