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
from nuncio_cli.imports.rejects import PARTIAL
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

REJECTS: Final = ".rejects"
DRY_RUN: Final = ".dry-run"
PASSED_OVER: Final = (".gz", REJECTS, DRY_RUN, PARTIAL)

STDIN: Final = Path("/dev/stdin")


def reader_for(layout: Format, source: Source, mapping: FieldMapping) -> Reader:
    """Raises MappingInvalid when the mapping renames columns of a layout that is fixed."""
    if layout in FIXED_LAYOUTS and mapping.columns:
        raise MappingInvalid(detail=f"[columns] has no meaning with --format {layout}")
    return READERS[layout](source, mapping)


def guess_format(path: Path) -> Format:
    """By the file's name: .ndjson, .jsonl and .json are NDJSON, all else is CSV.

    Rejects look like the file that they come from.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix not in PASSED_OVER]
    return Format.NDJSON if suffixes[-1:] in ([".ndjson"], [".jsonl"], [".json"]) else Format.CSV


def rejects_of(file: Path, layout: Format, *, dry_run: bool) -> Path:
    """Where the rejects of a file go by default; those of a pipe, or of whatever standard input
    is, into the working folder."""
    # The rejects of an Azure export are no such export, but rows in nuncio's own words.
    suffix = (DRY_RUN if dry_run else "") + REJECTS + (".ndjson" if layout is Format.AZURE else "")
    beside = file.is_file() and file != STDIN
    return file.with_name(file.name + suffix) if beside else Path(file.name + suffix)
