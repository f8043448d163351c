"""The formats that can be imported, by name."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from nuncio_cli.errors import MappingInvalid
from nuncio_cli.imports.azure import AzureRows
from nuncio_cli.imports.csv_rows import CsvRows
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.ndjson_rows import NdjsonRows
from nuncio_cli.imports.onesignal import OneSignalRows
from nuncio_cli.imports.rows import Reader
from nuncio_cli.imports.source import Source


class Format(StrEnum):
    """What a file looks like."""

    CSV = "csv"
    NDJSON = "ndjson"
    ONESIGNAL = "onesignal"
    AZURE = "azure"


class Opener(Protocol):
    """Makes a reader."""

    def __call__(self, source: Source, mapping: FieldMapping) -> Reader: ...


READERS: Final[Mapping[Format, Opener]] = {
    Format.CSV: CsvRows,
    Format.NDJSON: NdjsonRows,
    Format.ONESIGNAL: OneSignalRows,
    Format.AZURE: AzureRows,
}
# Their columns are known; a mapping adds constants, translations and types.
FIXED_LAYOUTS: Final = (Format.ONESIGNAL, Format.AZURE)


def reader_for(layout: Format, source: Source, mapping: FieldMapping) -> Reader:
    """Raises MappingInvalid when the mapping renames columns of a layout that is fixed."""
    if layout in FIXED_LAYOUTS and mapping.columns:
        raise MappingInvalid(detail=f"[columns] has no meaning with --format {layout}")
    return READERS[layout](source, mapping)


def guess_format(path: Path) -> Format:
    """By the file's name: .ndjson, .jsonl and .json are NDJSON, all else is CSV."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    return Format.NDJSON if suffixes[-1:] in ([".ndjson"], [".jsonl"], [".json"]) else Format.CSV
