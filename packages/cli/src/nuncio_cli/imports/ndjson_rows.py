"""NDJSON: one JSON object per line, with nuncio's field names or those of a mapping."""

from collections.abc import Iterator, Mapping

import orjson

from nuncio_cli.errors import FileUnusable
from nuncio_cli.imports.csv_rows import NOT_UTF8
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row, Value
from nuncio_cli.imports.source import MAX_LINE, TOO_LONG, Source

# More are not needed, and what is nested too deeply could not be written again.
MAX_BRACKETS = 200


class NdjsonRows:
    """Rows of an NDJSON file. Nested objects are named by dots: {"attributes": {"plan": "x"}}."""

    def __init__(self, source: Source, mapping: FieldMapping) -> None:
        self.columns: list[str] = []
        self.ignored: set[str] = set()
        self._lines = source.lines()
        self._mapping = mapping

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Raises FileUnusable when the file is one JSON document over several lines."""
        begun = False
        for line, whole in enumerate(self._lines, start=1):
            text = whole.strip()
            if not text:
                continue
            if not begun and (text.startswith("[") or text == "{"):
                detail = "it is one JSON document; NDJSON has one object in each line"
                raise FileUnusable(detail=f"{detail} (jq -c '.[]' makes it of an array)")
            begun = True
            record = TOO_LONG if len(whole) >= MAX_LINE else json_object(text)
            if isinstance(record, str):
                yield BadRow(line, "", record, {}, text)
            else:
                yield self._row(line, record)

    def column_of(self, field: str) -> str:
        return self._mapping.column_of(field)

    def _row(self, line: int, record: dict[str, object]) -> Row | BadRow:
        fields: dict[str, Value] = {}
        cells = dict(flattened(record))
        self.ignored |= self._mapping.ignored(cells)
        for column, cell in cells.items():
            targets = self._mapping.fields_of(column)
            value = value_of(cell)
            if targets and value is None and cell is not None:
                return BadRow(line, targets[0], "is not a text, number, flag or list", record)
            fields |= dict.fromkeys(targets, "" if value is None else value)
        return Row(line, self._mapping.apply(fields), record)


def json_object(text: str) -> dict[str, object] | str:
    """The object in a line, or what is wrong with it."""
    if "\ufffd" in text:
        return NOT_UTF8
    if text.count("{") + text.count("[") > MAX_BRACKETS:
        return "is nested too deeply"
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"is not JSON: {error.msg}"
    return record if isinstance(record, dict) else "is not a JSON object"


def flattened(record: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Leaves with dotted names."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def value_of(cell: object) -> Value | None:
    """A value that a field can have; None for anything else, and for null."""
    if isinstance(cell, list):
        return cell if all(isinstance(item, str) for item in cell) else None
    return cell if isinstance(cell, str | bool | int | float) else None
