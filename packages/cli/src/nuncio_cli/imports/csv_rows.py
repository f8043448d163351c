"""CSV with a header: columns that carry a field's name, or that a mapping names."""

import csv
from collections.abc import Iterator

from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row, Value
from nuncio_cli.imports.source import Source

NOT_UTF8 = "is not UTF-8"


class CsvRows:
    """Rows of a CSV file (RFC 4180; comma, semicolon or tab, told from the header)."""

    def __init__(self, source: Source, mapping: FieldMapping) -> None:
        header = source.text.readline()
        self._lines = csv.reader(source.text, delimiter=_delimiter(header), strict=True)
        self.columns = next(csv.reader([header], delimiter=_delimiter(header)), [])
        self.ignored = mapping.ignored(self.columns)
        self._mapping = mapping
        self._fields = {column: mapping.fields_of(column) for column in self.columns}

    def __iter__(self) -> Iterator[Row | BadRow]:
        while True:
            line = self._lines.line_num + 2  # The header is line 1, and was read before.
            try:
                cells = next(self._lines)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(line, "", f"is not CSV: {error}", {})
                continue
            if cells:
                yield self._row(line, cells)

    def _row(self, line: int, cells: list[str]) -> Row | BadRow:
        source = dict(zip(self.columns, cells, strict=False))
        if len(cells) != len(self.columns):
            rule = f"has {len(cells)} cells where the header has {len(self.columns)}"
            return BadRow(line, "", rule, source)
        fields: dict[str, Value] = {}
        for column, cell in source.items():
            if "\ufffd" in cell:
                return BadRow(line, next(iter(self._fields[column]), ""), NOT_UTF8, source)
            for field in self._fields[column]:
                fields[field] = self._value(field, cell.strip())
        return Row(line, self._mapping.apply(fields), source)

    def _value(self, field: str, cell: str) -> Value:
        if field != "topics":
            return cell
        parts = cell.split(self._mapping.topic_separator)
        return [topic.strip() for topic in parts if topic.strip()]


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
