"""CSV with a header: columns that carry a field's name, or that a mapping names."""

from collections.abc import Iterator

from nuncio_cli.errors import FileUnusable, MappingInvalid
from nuncio_cli.imports.csv_records import Record, Records
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row, Value
from nuncio_cli.imports.source import Source

NOT_UTF8 = "is not UTF-8"


class CsvRows:
    """Rows of a CSV file (RFC 4180; comma, semicolon or tab, told from the header)."""

    def __init__(self, source: Source, mapping: FieldMapping) -> None:
        """Raises FileUnusable for a header that cannot be used, and MappingInvalid when the mapping
        names columns that are not there."""
        self._records = Records(source.lines())
        self.columns = _columns(self._records.header())
        missing = sorted(
            {column for column in mapping.columns.values() if column} - {*self.columns}
        )
        if missing:
            raise MappingInvalid(detail=f"the file has no column {', '.join(missing)}")
        self.ignored = mapping.ignored(filter(None, self.columns))
        self._mapping = mapping
        self._fields = {column: mapping.fields_of(column) for column in self.columns}

    def column_of(self, field: str) -> str:
        return self._mapping.column_of(field)

    def __iter__(self) -> Iterator[Row | BadRow]:
        for record in self._records:
            if record.fault:
                yield BadRow(record.line, "", record.fault, {}, record.text)
            else:
                yield self._row(record.line, record.cells)

    def _row(self, line: int, cells: list[str]) -> Row | BadRow:
        source = dict(zip(self.columns, cells, strict=True))
        fields: dict[str, Value] = {}
        for column, cell in source.items():
            if "\ufffd" in cell:
                return BadRow(line, next(iter(self._fields[column]), ""), NOT_UTF8, source)
            for field in self._fields[column]:
                fields[field] = self._value(field, cell.strip())
        return Row(line, self._mapping.apply(fields), source)

    def _value(self, field: str, cell: str) -> Value:
        if field not in ("topics", "tags"):
            return cell
        parts = cell.split(self._mapping.topic_separator)
        return [part.strip() for part in parts if part.strip()]


def _columns(header: Record | None) -> list[str]:
    if header is None:
        raise FileUnusable(detail="there is no header, nor anything else")
    columns = [cell.strip() for cell in header.cells]
    if header.fault or any("\ufffd" in column for column in columns):
        raise FileUnusable(detail=f"the header {header.fault or NOT_UTF8}")
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise FileUnusable(detail=f"the header has more than one column {', '.join(twice)}")
    return columns
