"""Queries by name, and scripts cut into statements."""

from pathlib import Path

import pytest

from nuncio_runtime.migrate import sql_beside
from nuncio_runtime.postgres import Queries, parse_queries, split_statements

TWO = """-- A file may begin with words about itself.

-- name: find_room
-- One room by its number.
SELECT number, name
  FROM room  -- names are unique
 WHERE number = $1;

-- name: drop_room
-- Forgets a room
-- and all in it.
DELETE FROM room WHERE number = $1
"""


def test_queries_are_found_by_name_without_their_description() -> None:
    queries = parse_queries(TWO)
    assert list(queries) == ["find_room", "drop_room"]
    assert queries.find_room.startswith("SELECT number, name\n")
    assert queries.find_room.endswith("WHERE number = $1")
    assert queries.drop_room == "DELETE FROM room WHERE number = $1"


def test_an_unknown_query_is_named() -> None:
    with pytest.raises(AttributeError, match="no query named paint_room"):
        _ = Queries({}).paint_room


@pytest.mark.parametrize(
    "text",
    [
        TWO + TWO,
        "-- name: bare\nSELECT 1\n",
        "-- name: empty\n-- Nothing follows.\n",
        "-- name: Wrong-Name\n-- Described.\nSELECT 1\n",
        "-- name: two\n-- Two statements.\nSELECT 1;\nSELECT 2;\n",
    ],
)
def test_a_sloppy_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_queries(text)


def test_statements_end_at_semicolons_that_are_not_inside_something() -> None:
    script = """
    -- a comment; not the end
    CREATE TABLE a (t text DEFAULT 'x;''y', "odd;name" int); /* nor; here */
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; SELECT $$2;$$; $body$;
    ;
    SELECT 1
    -- the end; really
    """
    statements = split_statements(script)
    assert len(statements) == 3
    assert statements[0].endswith('"odd;name" int)')
    assert statements[1].endswith("$body$")
    assert statements[2].startswith("SELECT 1")


def test_the_script_beside_a_revision_comes_with_its_colons_escaped(tmp_path: Path) -> None:
    (tmp_path / "0001_pre_x.sql").write_text("SELECT ':a'::text; SELECT 2;")
    statements = list(sql_beside(str(tmp_path / "0001_pre_x.py")))
    assert statements == [r"SELECT '\:a'\:\:text", "SELECT 2"]
