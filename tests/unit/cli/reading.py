"""Reading a file as the import does."""

from pathlib import Path

from nuncio_cli.imports.formats import Format, reader_for
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row
from nuncio_cli.imports.source import open_source

UUID = "0f6f0b5e-7d0c-4f55-9d5e-6f2f5e0c1a11"


def read(
    path: Path, content: str | bytes, layout: Format, mapping: FieldMapping | None = None
) -> list[Row | BadRow]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_source(path) as source:
        return list(reader_for(layout, source, mapping or FieldMapping()))


def good(row: Row | BadRow) -> Row:
    assert isinstance(row, Row), row
    return row


def bad(row: Row | BadRow) -> BadRow:
    assert isinstance(row, BadRow), row
    return row
