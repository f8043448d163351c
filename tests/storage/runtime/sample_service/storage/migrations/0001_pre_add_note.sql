-- Notes; and a function whose body has semicolons: they end nothing.
CREATE TABLE note (
    note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body jsonb NOT NULL DEFAULT '{"kind": ":none;"}'::jsonb
);

CREATE FUNCTION note_count() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM note); -- counted; not estimated
END;
$$;

INSERT INTO note (body) VALUES ('"100% :sure"'), (DEFAULT);
