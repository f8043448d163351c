-- A named, saved audience of an app. Names sort by their bytes, as page tokens expect.
CREATE TABLE segment (
    app_id      text        NOT NULL,
    name        text        NOT NULL COLLATE "C",
    expression  text        NOT NULL,
    description text        NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (app_id, name)
);

-- The expression of `name` refers to the segment `uses`, which therefore stays.
CREATE TABLE segment_use (
    app_id text NOT NULL,
    name   text NOT NULL COLLATE "C",
    uses   text NOT NULL COLLATE "C",
    PRIMARY KEY (app_id, name, uses),
    CONSTRAINT segment_use_name_fkey
        FOREIGN KEY (app_id, name) REFERENCES segment (app_id, name) ON DELETE CASCADE,
    CONSTRAINT segment_use_uses_fkey
        FOREIGN KEY (app_id, uses) REFERENCES segment (app_id, name)
);

-- Who uses a segment: asked when it is deleted.
CREATE INDEX segment_use_by_uses ON segment_use (app_id, uses);
