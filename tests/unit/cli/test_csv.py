"""CSV that is not as it should be: what is lost, and what is not."""

from pathlib import Path

import pytest

from nuncio_cli.errors import FileUnusable, MappingInvalid
from nuncio_cli.imports.formats import Format
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row
from tests.unit.cli.reading import bad, good, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_a_stray_quote_costs_its_own_line_and_no_other(file: Path) -> None:
    stray = 'ios,"a2'
    content = "platform,token\n" + f"{stray}\n" + "".join(f"ios,{n:x}\n" for n in range(50_000))
    rows = read(file, content, Format.CSV)
    assert [(row.line, row.raw) for row in rows if isinstance(row, BadRow)] == [(2, stray)]
    tokens = [row.values["token"] for row in rows if isinstance(row, Row)]
    assert tokens == [f"{n:x}" for n in range(50_000)]


@pytest.mark.parametrize("stray", ['ios,"a2', 'ios,"a"2', '"ios,a2', 'ios,"a2"x"'])
@pytest.mark.parametrize("rows_after", [0, 1, 3])
def test_rows_after_a_stray_quote_are_read_from_their_own_line(
    file: Path, stray: str, rows_after: int
) -> None:
    content = f"platform,token\n{stray}\n" + 'ios,"quoted"\n' * rows_after
    first, *others = read(file, content, Format.CSV)
    assert (bad(first).line, bad(first).raw) == (2, stray)
    assert [row.line for row in others] == list(range(3, 3 + rows_after))
    assert all(good(row).values["token"] == "quoted" for row in others)


def test_a_record_over_several_lines_with_wrong_cells_costs_its_first_line(file: Path) -> None:
    rows = read(file, 'platform,token\nios,"a\nios,b\nios,c",d\nios,e\n', Format.CSV)
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert good(rows[1]).values["token"] == "b"
    assert bad(rows[2]).rule == "has 3 cells where the header has 2"
    assert good(rows[3]).values["token"] == "e"


def test_a_line_that_is_too_long_is_rejected_alone(file: Path) -> None:
    rows = read(file, f"platform,token\nios,{'a' * (3 << 20)}\nios,b\n", Format.CSV)
    assert (bad(rows[0]).rule, len(bad(rows[0]).raw)) == ("is longer than 1 MiB", 1 << 20)
    assert (rows[1].line, good(rows[1]).values["token"]) == (3, "b")


def test_blank_lines_before_the_header_and_spaces_in_it_do_not_matter(file: Path) -> None:
    rows = read(file, "\n \n platform ; token \n\nios;ab\n", Format.CSV)
    assert (rows[0].line, good(rows[0]).values) == (5, {"platform": "ios", "token": "ab"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"platform,token,token\n", "more than one column token"),
        (b"platform,\xfcser\n", "the header is not UTF-8"),
        (b'platform,"token\n', "the header is not CSV"),
        (b"\n\n", "no header"),
    ],
)
def test_a_header_that_cannot_be_used_is_told_once(file: Path, content: bytes, says: str) -> None:
    with pytest.raises(FileUnusable, match=says):
        read(file, content, Format.CSV)


def test_a_mapping_that_names_a_missing_column_is_refused(file: Path) -> None:
    mapping = FieldMapping(columns={"token": "push", "user_id": ""})
    with pytest.raises(MappingInvalid, match="no column push"):
        read(file, "platform,token\nios,ab\n", Format.CSV, mapping)
